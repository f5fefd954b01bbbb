"""Cards of vendors that print a table of their devices, by the program of each.

None of these tables was seen on a card: a line with memory in use and in all is taken for a device, in the order of
their numbers, and figures in it are told apart by their units. What is not recognised is None, and a table without
such lines is a reason why nothing is measured.
"""

from __future__ import annotations

import re
import subprocess

from clipbench.api import Reading
from clipbench_meters.visible import visible_device

MEMORY = re.compile(r"(\d+)\s*M(?:i?B)?\s*/\s*\d+\s*M(?:i?B)?\b")
UNITS = {
    "watts": re.compile(r"(\d+(?:\.\d+)?)\s*W\b"),
    "celsius": re.compile(r"(\d+(?:\.\d+)?)\s*°?C\b"),
    "percent": re.compile(r"(\d+(?:\.\d+)?)\s*%"),
}
SECONDS = 10.0
# By kind of device: the program, and the variable that hides devices.
PROGRAMS = {
    "sdaa": (("teco-smi",), "SDAA_VISIBLE_DEVICES"),
    "npu": (("npu-smi", "info"), "ASCEND_RT_VISIBLE_DEVICES"),
    "mlu": (("cnmon",), "MLU_VISIBLE_DEVICES"),
    "musa": (("mthreads-gmi",), "MUSA_VISIBLE_DEVICES"),
}


class Smi:
    """Power, temperature, utilisation and memory of one device; its energy is power over time."""

    def __init__(self, kind: str, local_rank: int) -> None:
        self._command, variable = PROGRAMS[kind]
        self._device = visible_device((variable,), local_rank)

    def unavailable(self) -> str | None:
        """Return why the program cannot be used, or None."""
        try:
            reading = self.read()
        except (OSError, subprocess.SubprocessError) as error:
            return f"{self._command[0]}: {error}"
        if reading == Reading():
            return f"{self._command[0]}: no line with power, temperature or memory of device {self._device}"
        return None

    def read(self) -> Reading:
        """Return the figures in the device's line."""
        done = subprocess.run(self._command, capture_output=True, text=True, timeout=SECONDS, check=True)
        rows = [line for line in done.stdout.splitlines() if MEMORY.search(line)]
        number = int(self._device) if str(self._device).isdigit() else 0
        return read_line(rows[number]) if number < len(rows) else Reading()

    def close(self) -> None:
        """Nothing is held."""


def read_line(line: str) -> Reading:
    """Return the figures in one device's line of the table."""
    memory = MEMORY.search(line)
    figures = {name: float(found[1]) if (found := unit.search(line)) else None for name, unit in UNITS.items()}
    percent = figures["percent"]
    return Reading(
        watts=figures["watts"],
        celsius=figures["celsius"],
        utilisation=None if percent is None else percent / 100,
        memory_bytes=int(memory[1]) * 2**20 if memory else None,
    )

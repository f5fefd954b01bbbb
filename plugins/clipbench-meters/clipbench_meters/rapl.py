"""Processors, by Linux' powercap: https://docs.kernel.org/power/powercap/powercap.html."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clipbench.api import Reading

ROOT = Path("/sys/class/powercap")


@dataclass
class _Package:
    """One package's counter in microjoules, which starts at 0 again after ``largest``."""

    file: Path
    largest: int
    last: int
    total: int = 0

    def read(self) -> int:
        """Return the microjoules since the first reading."""
        now = int(self.file.read_text())
        used = now - self.last
        self.total += used if used >= 0 else used + self.largest + 1
        self.last = now
        return self.total


class Rapl:
    """Energy of all packages of the machine, memory and other programs included. Rank 0 of a machine counts it."""

    def __init__(self, kind: str, local_rank: int, root: Path = ROOT) -> None:
        self._counts, self._root = local_rank == 0, root
        self._packages: list[_Package] = []

    def unavailable(self) -> str | None:
        """Return why the counters cannot be read, or None."""
        zones = sorted(zone for zone in self._root.glob("intel-rapl:*") if zone.name.count(":") == 1)
        if not zones:
            return f"{self._root} has no intel-rapl zone: virtual machines mostly have none"
        try:
            self._packages = [
                _Package(zone / "energy_uj", int((zone / "max_energy_range_uj").read_text()), _number(zone))
                for zone in zones
            ]
        except OSError as error:
            advice = f"`sudo chmod a+r {self._root}/intel-rapl:*/energy_uj` lets all users read it"
            return f"{error.filename}: {error.strerror}; {advice}"
        return None

    def read(self) -> Reading:
        """Return the joules so far; on ranks that do not count them 0, so that a machine is counted once."""
        return Reading(joules=sum(package.read() for package in self._packages) / 1e6 if self._counts else 0.0)

    def close(self) -> None:
        """Nothing is held."""


def _number(zone: Path) -> int:
    return int((zone / "energy_uj").read_text())

"""Check a device in its own process, ``python -m clipbench.doctor.device_check``: drivers crash, or never answer."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from clipbench.api import DeviceInfo, Engine, Probe, UsageError, from_plain, to_plain
from clipbench.api.registry import load_object, load_registry
from clipbench.runs.devices import open_device, pick_precision

KILL_SECONDS = 5.0


@dataclass(frozen=True)
class PrecisionProbe(Probe):
    """A probe, and the precision it was made in."""

    precision: str = "float32"


@dataclass(frozen=True)
class DeviceCheck:
    """What one device answered; None where it was not asked or did not answer.

    ``engine_problem`` and ``unavailable`` say why it cannot be used. ``free_memory`` is in bytes, ``others`` has a line
    for each other process on it, ``refused`` a sentence for each precision that it lacks. ``broke_off`` says how the
    process of the check ended before all was answered; in that process, at which question it is.
    """

    engine: str
    device: str
    versions: Mapping[str, str] | None = None
    engine_problem: str | None = None
    unavailable: str | None = None
    others: tuple[str, ...] | None = None
    info: DeviceInfo | None = None
    free_memory: int | None = None
    probes: tuple[PrecisionProbe, ...] = ()
    refused: tuple[str, ...] = ()
    broke_off: str | None = None

    @property
    def available(self) -> bool:
        return not (self.engine_problem or self.unavailable or self.broke_off)


def run_device_check(engine: str, device: str, precisions: Sequence[str], timeout: float = 60.0) -> DeviceCheck:
    """Return the answers of a device, those that it gave within ``timeout`` seconds and before its process ended."""
    with tempfile.TemporaryDirectory(prefix="clipbench-") as folder:
        answers, log = Path(folder) / "answers.jsonl", Path(folder) / "log"
        _write(answers, DeviceCheck(engine, device, broke_off="when asked for the engine"))
        command = [sys.executable, "-m", "clipbench.doctor.device_check", str(answers), engine, device, *precisions]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            code = None
            try:
                with suppress(subprocess.TimeoutExpired):
                    code = process.wait(timeout)
            finally:
                process.kill()
                with suppress(subprocess.TimeoutExpired):  # a driver can keep a process from ending
                    process.wait(KILL_SECONDS)
        last = from_plain(DeviceCheck, json.loads(answers.read_text(encoding="utf-8").splitlines()[-1]))
        output_lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if code == 0:
        return last
    if code is None:
        reason = f"no answer within {timeout:.0f} s"
    elif code < 0:
        reason = signal.Signals(-code).name
    else:
        reason = f"{output_lines[-1] if output_lines else f'exit code {code}'},"
    return replace(last, broke_off=f"{reason} {last.broke_off}")


def _write(path: Path, check: DeviceCheck) -> None:
    """Append a line of JSON."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(to_plain(check)) + "\n")


# --- in the process of the check ------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> None:
    """Append all answers up to now to the file that the first argument names, after each answer."""
    path, engine, device, *precisions = arguments
    for check, question in _ask(DeviceCheck(engine, device), precisions):
        _write(Path(path), replace(check, broke_off=f"when asked for {question}" if question else None))


def _ask(check: DeviceCheck, precisions: Sequence[str]) -> Iterator[tuple[DeviceCheck, str]]:
    """Yield the answers up to now, and the next question."""
    registry = load_registry()
    engine: Engine = load_object(registry.engines.get(check.engine, "engine").load)()
    if problem := engine.problem():
        yield replace(check, engine_problem=problem), ""
        return
    check = replace(check, versions=engine.versions())
    yield check, "the device"
    device = open_device(registry, check.device)
    if isinstance(device, str):
        yield replace(check, unavailable=device), ""
        return
    yield check, "other processes on it"  # before this process is one of them
    others = device.others()
    check = replace(check, others=None if others is None else tuple(others))
    yield check, "its name and memory"
    device.select(0)
    device.tune()
    check = replace(check, info=device.info(), free_memory=device.free_memory())
    for requested in precisions:
        try:
            precision = pick_precision(device, requested)
        except UsageError as error:
            check = replace(check, refused=(*check.refused, str(error)))
            continue
        yield check, f"its probes in {precision}"
        probes = (PrecisionProbe(**vars(probe), precision=precision) for probe in engine.probe(device, precision, 0))
        check = replace(check, probes=(*check.probes, *probes))
    yield check, ""


if __name__ == "__main__":
    main(sys.argv[1:])

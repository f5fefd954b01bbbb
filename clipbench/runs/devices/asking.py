"""Ask devices, each in a process of its own, ``python -m clipbench.runs.devices.asking``: drivers crash, or hang."""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from clipbench.api import ClipbenchError, DeviceInfo, Probe, UsageError, from_plain, to_plain
from clipbench.api.registry import load_registry
from clipbench.runs.devices.opening import open_device, pick_precision

KILL_SECONDS = 5.0
ANSWERS, LOG = "answers.jsonl", "log"
# Frameworks and drivers take seconds to load, from a slow disk tens of them.
ANSWER_SECONDS, ANSWER_VARIABLE = 60.0, "CLIPBENCH_DEVICE_SECONDS"


@dataclass(frozen=True)
class PrecisionProbe(Probe):
    """A probe, and the precision it was made in."""

    precision: str = "float32"


@dataclass(frozen=True)
class DeviceCheck:
    """What one device answered; None where it was not asked or did not answer.

    ``engine_problem`` and ``unavailable`` say why it cannot be used, ``present`` that it said it can. ``free_memory``
    is in bytes, ``others`` has a line for each other process on it, ``refused`` a sentence for each precision that it
    lacks. ``broke_off`` says how the process of the check ended before all was answered; in that process, at which
    question it is.
    """

    engine: str
    device: str
    versions: Mapping[str, str] | None = None
    engine_problem: str | None = None
    unavailable: str | None = None
    present: bool = False
    others: tuple[str, ...] | None = None
    info: DeviceInfo | None = None
    free_memory: int | None = None
    probes: tuple[PrecisionProbe, ...] = ()
    refused: tuple[str, ...] = ()
    broke_off: str | None = None

    @property
    def reason(self) -> str | None:
        """Why the device cannot be used, or None."""
        return self.engine_problem or self.unavailable or self.broke_off

    @property
    def available(self) -> bool:
        return self.reason is None


@dataclass(frozen=True)
class Question:
    """A device to be asked in each of ``precisions``; where there is none, only whether it can be used."""

    engine: str
    device: str
    precisions: tuple[str, ...] = ()


def answer_seconds(environ: Mapping[str, str] = os.environ) -> float:
    """Return how long a device may take to answer; raise UsageError for a setting that is not a positive number."""
    text = environ.get(ANSWER_VARIABLE, str(ANSWER_SECONDS))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise UsageError(f"environment variable {ANSWER_VARIABLE}: expected a number of seconds above 0, got '{text}'")
    return seconds


def ask_devices(questions: Sequence[Question], seconds: float | None = None) -> Generator[DeviceCheck, None, None]:
    """Ask all devices side by side, and yield the answers in the order of ``questions``.

    An answer has what the device gave within ``seconds`` (None: ``answer_seconds``) and before its process ended. Where
    the caller needs no more answers, the rest of the processes are ended.
    """
    seconds = answer_seconds() if seconds is None else seconds
    deadline = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="clipbench-") as name, ExitStack() as stack:
        folders = [Path(name) / str(number) for number in range(len(questions))]
        processes = [stack.enter_context(_asking(*pair)) for pair in zip(folders, questions, strict=True)]
        for folder, process in zip(folders, processes, strict=True):
            try:
                code = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                code = None
            yield _answer(folder, code, seconds)


@contextmanager
def _asking(folder: Path, question: Question) -> Iterator[subprocess.Popen[bytes]]:
    """Start the process that asks; end it, and those that it has started, at the end."""
    folder.mkdir()
    _write(folder / ANSWERS, DeviceCheck(question.engine, question.device, broke_off="when asked for the engine"))
    words = [str(folder / ANSWERS), question.engine, question.device, *question.precisions]
    with (folder / LOG).open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):  # a driver can keep a process from ending
            process.wait(KILL_SECONDS)


def _answer(folder: Path, code: int | None, seconds: float) -> DeviceCheck:
    """Return the last answer, with how the process broke off; ``code`` is None for one that is still running."""
    whole_lines = (folder / ANSWERS).read_text(encoding="utf-8").rpartition("\n")[0]
    check = from_plain(DeviceCheck, json.loads(whole_lines.splitlines()[-1]))
    if code == 0 or check.broke_off is None:  # else a driver crashed when everything had been answered
        return check
    if code is None:
        reason = f"no answer within {seconds:g} s"
    elif code < 0:
        reason = signal.Signals(-code).name
    else:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        reason = f"{lines[-1] if lines else f'exit code {code}'},"
    return replace(check, broke_off=f"{reason} {check.broke_off}")


def _write(path: Path, check: DeviceCheck) -> None:
    """Append a line of JSON."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(to_plain(check)) + "\n")


# --- in the process of the check ------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> None:
    """Append all answers up to now to the file that the first argument names, after each answer."""
    path, engine, device, *precisions = arguments
    try:
        for check, question in _ask(DeviceCheck(engine, device), precisions):
            _write(Path(path), replace(check, broke_off=f"when asked for {question}" if question else None))
    except ClipbenchError as error:  # a plugin's fault, said in a sentence that names it
        sys.exit(str(error))


def _ask(check: DeviceCheck, precisions: Sequence[str]) -> Iterator[tuple[DeviceCheck, str]]:
    """Yield the answers up to now, and the next question."""
    registry = load_registry()
    engine = registry.open_engine(check.engine)
    if problem := engine.problem():
        yield replace(check, engine_problem=problem), ""
        return
    check = replace(check, versions=engine.versions())
    yield check, "the device"
    device = open_device(registry, check.engine, check.device)
    if isinstance(device, str):
        yield replace(check, unavailable=device), ""
        return
    check = replace(check, present=True)
    if not precisions:
        yield check, ""
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
        probes = (PrecisionProbe(**vars(probe), precision=precision) for probe in engine.probe(device, precision))
        check = replace(check, probes=(*check.probes, *probes))
    yield check, ""


if __name__ == "__main__":
    main(sys.argv[1:])

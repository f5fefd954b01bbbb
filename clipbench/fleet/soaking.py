"""A soak: one case again and again on every device of this machine, all at once, until its time is over."""

import glob
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from clipbench.api import Case, InvalidFileError
from clipbench.api.registry import Registry
from clipbench.errors import NotReadyError, UsageError
from clipbench.fleet.repetitions import Repetition, Soak, of_result, summarise
from clipbench.results.result import read_result
from clipbench.runs.devices.asking import Question, ask_devices
from clipbench.runs.devices.choosing import choose_devices
from clipbench.runs.process import counted_signals
from clipbench.runs.runner import list_missing

POLL_SECONDS = 0.1
# A device that fails so often in a row is given up: it would fail until the time is over.
MOST_FAILURES = 3
LOG = "soak.log"


def soak(
    suite: str,
    changes: Sequence[str],
    case: Case,
    registry: Registry,
    out: Path,
    seconds: float,
    tell: Callable[[Repetition], None],
) -> Soak:
    """Run ``case`` until ``seconds`` are over: no repetition begins after them, those under way are finished.

    SIGINT and SIGTERM stop those under way in order. ``tell`` gets each repetition as it ends.
    """
    if case.world_size != 1:
        raise UsageError(f"world_size: {case.world_size}; a soak runs one process on each device: use --nproc 1")
    device, name, count = _devices(case, registry)
    words = [part for change in changes for part in ("--set", change)]
    words += ["--case", glob.escape(case.name), "--set", "checkpoint.keep=none"]
    command = [sys.executable, "-m", "clipbench", "run", suite, *words, "--restart", "--progress", "none"]
    folders = [out / f"device-{index}" for index in range(count)]
    slots = [_Slot(index, [*command, "--out", str(folder)], folder) for index, folder in enumerate(folders)]
    started, received = time.monotonic(), list[int]()
    with counted_signals(received):
        try:
            done = _run_slots(slots, lambda: time.monotonic() - started, seconds, received, tell)
        finally:
            for slot in slots:
                slot.stop(at_once=True)
    took = time.monotonic() - started
    return summarise(case.name, device, name, took, done, count, received[0] if received else None)


def _run_slots(
    slots: "Sequence[_Slot]",
    clock: Callable[[], float],
    seconds: float,
    received: Sequence[int],
    tell: Callable[[Repetition], None],
) -> list[Repetition]:
    """Keep every device at work until the time is over or a signal was received; return what has ended, in order."""
    done = []
    while True:
        now = clock()
        for ended in filter(None, [slot.look(now) for slot in slots]):
            done.append(ended)
            tell(ended)
        for slot in slots:
            slot.go_on(may_start=not received and now < seconds)
        if all(slot.process is None for slot in slots):
            return done
        for slot in slots if received else ():
            slot.stop(at_once=len(received) > 1)
        time.sleep(POLL_SECONDS)


@dataclass
class _Slot:
    """A device, and the process that runs the case on it, if any."""

    device: int
    command: Sequence[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    number: int = 0
    failures: int = 0
    before: frozenset[Path] = frozenset()
    is_stopping: bool = False

    def go_on(self, may_start: bool) -> None:
        """Start the next repetition, a run of its own, where none is under way and not too many have failed."""
        if self.process is not None or not may_start or self.failures >= MOST_FAILURES:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.before, self.number = frozenset(self.folder.glob("*.json")), self.number + 1
        rank = {"RANK": "0", "LOCAL_RANK": str(self.device), "WORLD_SIZE": "1"}
        with (self.folder / LOG).open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **rank},
                start_new_session=True,  # Ctrl-C is for the soak, which asks every run to stop
            )

    def stop(self, at_once: bool) -> None:
        """Ask the run to stop, once; or kill it."""
        if self.process is None or self.process.poll() is not None:
            return
        if at_once:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        elif not self.is_stopping:
            self.is_stopping = True
            self.process.send_signal(signal.SIGTERM)

    def look(self, now: float) -> Repetition | None:
        """Return the repetition that has ended since the last look, or None."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        repetition = self._repetition(code if code >= 0 else 128 - code, now)
        self.failures = self.failures + 1 if repetition.status == "failed" else 0
        return repetition

    def _repetition(self, code: int, now: float) -> Repetition:
        new = sorted(set(self.folder.glob("*.json")) - self.before)
        ended = Repetition(self.device, self.number, "failed", round(now, 3), code, new[0] if new else None)
        if self.is_stopping and code:
            return replace(ended, status="stopped")
        if not new:
            return replace(ended, message=self._last_line())
        try:
            return of_result(ended, read_result(new[0]))
        except InvalidFileError as error:
            return replace(ended, message=str(error))

    def _last_line(self) -> str:
        lines = (self.folder / LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it ended without a word"


def _devices(case: Case, registry: Registry) -> tuple[str, str, int]:
    """Return the device of the case, its model, and how many of it there are; raise NotReadyError for none."""
    choices = choose_devices(registry, [case])
    if choices.missing:
        raise NotReadyError(list_missing(choices.missing))
    device = choices.of(case).device
    (check,) = ask_devices([Question(case.engine, device, (case.precision,))])
    if check.reason is not None or check.info is None:
        raise NotReadyError(f"device {device}: {check.reason or check.refused or 'it does not say what it is'}")
    return device, check.info.name, check.info.count

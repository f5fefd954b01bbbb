"""A soak: one case again and again on every device of this machine, all at once, until its time is over."""

import glob
import hashlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from clipbench.api import Case, InvalidFileError, Result
from clipbench.api.plain import to_plain
from clipbench.api.registry import Registry
from clipbench.errors import ExitCode, NotReadyError, UsageError
from clipbench.results.metrics import THROUGHPUT
from clipbench.results.result import read_result
from clipbench.runs.devices.asking import Question, ask_devices
from clipbench.runs.devices.choosing import choose_devices
from clipbench.runs.process import counted_signals
from clipbench.runs.runner import list_missing

POLL_SECONDS = 0.1
# A device that fails so often in a row is given up: it would fail until the time is over.
MOST_FAILURES = 3
LOG = "soak.log"


@dataclass(frozen=True)
class Repetition:
    """One run of the case on the device with index ``device``; ``seconds`` count from the start of the soak.

    ``throughput`` in pairs/s, ``throttled_seconds`` by reason. ``trace`` tells whether two runs have computed the same.
    ``deviates``: it is not the trace of most. ``message`` says why it has failed.
    """

    device: int
    number: int
    status: Literal["completed", "failed", "stopped"]
    seconds: float
    exit_code: int
    result: Path | None = None
    throughput: float | None = None
    celsius_peak: float | None = None
    throttled_seconds: Mapping[str, float] = field(default_factory=dict)
    trace: str | None = None
    deviates: bool = False
    message: str | None = None


@dataclass(frozen=True)
class DeviceSummary:
    """What the repetitions on one device come to: throughput in pairs/s of the first, the last and in between."""

    device: int
    completed: int
    failed: int
    deviating: tuple[int, ...]
    first: float | None
    median: float | None
    lowest: float | None
    last: float | None
    celsius_peak: float | None
    throttled_seconds: Mapping[str, float]


@dataclass(frozen=True)
class Soak:
    """A soak that has ended: what it ran, for how long, what every repetition came to, and each device's summary.

    ``repeats_its_bits`` None: fewer than two repetitions have completed. ``stopped_by`` is the signal that ended it.
    """

    case: str
    device: str
    device_name: str
    seconds: float
    repetitions: tuple[Repetition, ...]
    devices: tuple[DeviceSummary, ...]
    repeats_its_bits: bool | None
    stopped_by: int | None = None

    @property
    def exit_code(self) -> int:
        """1 where a repetition deviates or has failed, or none has completed; else that of the signal, or 0."""
        if any(one.deviates or one.status == "failed" for one in self.repetitions):
            return ExitCode.GATE_FAILED
        if self.stopped_by is not None:
            return 128 + self.stopped_by
        return ExitCode.PASS if any(one.status == "completed" for one in self.repetitions) else ExitCode.GATE_FAILED


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
    slots = [
        _Slot(index, [*command, "--out", str(out / f"device-{index}")], out / f"device-{index}")
        for index in range(count)
    ]
    started, received, done = time.monotonic(), list[int](), list[Repetition]()
    with counted_signals(received):
        try:
            while True:
                for slot in slots:
                    if (ended := slot.look(time.monotonic() - started)) is not None:
                        done.append(ended)
                        tell(ended)
                    if (
                        slot.process is None
                        and slot.may_go_on
                        and not received
                        and time.monotonic() - started < seconds
                    ):
                        slot.start()
                if all(slot.process is None for slot in slots):
                    break
                if received:
                    for slot in slots:
                        slot.stop(at_once=len(received) > 1)
                time.sleep(POLL_SECONDS)
        finally:
            for slot in slots:
                slot.stop(at_once=True)
    took = time.monotonic() - started
    return summarise(case.name, device, name, took, done, count, received[0] if received else None)


def summarise(
    case: str,
    device: str,
    name: str,
    seconds: float,
    done: Sequence[Repetition],
    count: int,
    stopped_by: int | None = None,
) -> Soak:
    """Return what repetitions come to: the trace that most have is right, the first one's where as many have others."""
    traces = Counter(one.trace for one in done if one.trace is not None)
    expected = max(traces, key=lambda trace: traces[trace], default=None)  # the first of equals
    judged = tuple(replace(one, deviates=one.trace is not None and one.trace != expected) for one in done)
    repeats = len(traces) == 1 if sum(traces.values()) > 1 else None
    devices = tuple(_summary(index, [one for one in judged if one.device == index]) for index in range(count))
    return Soak(case, device, name, seconds, judged, devices, repeats, stopped_by)


def trace_of(result: Result) -> str:
    """Return what is the same for two runs that have computed the same, bit for bit: losses and query ranks."""
    losses = [(record.epoch, record.train_loss, record.val_loss) for record in result.epochs]
    text = json.dumps([losses, to_plain(result.query_ranks)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass
class _Slot:
    """A device, and the process that runs the case on it, if any."""

    device: int
    command: Sequence[str]
    folder: Path
    process: "subprocess.Popen[bytes] | None" = None
    number: int = 0
    failures: int = 0
    before: frozenset[Path] = frozenset()
    is_stopping: bool = False

    @property
    def may_go_on(self) -> bool:
        return self.failures < MOST_FAILURES

    def start(self) -> None:
        """Start the next repetition: a run of its own, with the local rank of the device."""
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
        ended = Repetition(self.device, self.number, "failed", round(now, 3), code)
        new = sorted(set(self.folder.glob("*.json")) - self.before)
        if self.is_stopping and code:
            return replace(ended, status="stopped", result=new[0] if new else None)
        if not new:
            return replace(ended, message=self._last_line())
        try:
            result = read_result(new[0])
        except InvalidFileError as error:
            return replace(ended, result=new[0], message=str(error))
        if not result.completed:
            return replace(ended, result=new[0], message=result.error.message if result.error else None)
        measured = [record.telemetry for record in result.epochs if record.telemetry is not None]
        throttled = Counter[str]()
        for one in measured:
            throttled.update(one.throttled_seconds or {})
        return replace(
            ended,
            status="completed",
            result=new[0],
            throughput=result.value(THROUGHPUT),
            celsius_peak=max((one.celsius_peak for one in measured if one.celsius_peak is not None), default=None),
            throttled_seconds=dict(throttled),
            trace=trace_of(result),
        )

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


def _summary(device: int, own: Sequence[Repetition]) -> DeviceSummary:
    completed = [one for one in own if one.status == "completed"]
    speeds = [one.throughput for one in completed if one.throughput is not None]
    throttled = Counter[str]()
    for one in completed:
        throttled.update(one.throttled_seconds)
    return DeviceSummary(
        device=device,
        completed=len(completed),
        failed=sum(one.status == "failed" for one in own),
        deviating=tuple(one.number for one in own if one.deviates),
        first=speeds[0] if speeds else None,
        median=statistics.median(speeds) if speeds else None,
        lowest=min(speeds, default=None),
        last=speeds[-1] if speeds else None,
        celsius_peak=max((one.celsius_peak for one in completed if one.celsius_peak is not None), default=None),
        throttled_seconds=dict(throttled),
    )

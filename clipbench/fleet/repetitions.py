"""Repetitions of a soak, and what they come to: which of them deviates, and how each device has kept up."""

import hashlib
import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from clipbench.api import Result
from clipbench.api.plain import to_plain
from clipbench.errors import ExitCode
from clipbench.results.measures.metrics import THROUGHPUT


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


def of_result(begun: Repetition, result: Result) -> Repetition:
    """Return the repetition that ``begun`` has come to, by its result."""
    if not result.completed:
        return replace(begun, message=result.error.message if result.error else None)
    measured = [record.telemetry for record in result.epochs if record.telemetry is not None]
    return replace(
        begun,
        status="completed",
        throughput=result.value(THROUGHPUT),
        celsius_peak=_highest(one.celsius_peak for one in measured),
        throttled_seconds=_sums(one.throttled_seconds or {} for one in measured),
        trace=trace_of(result),
    )


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
    """Return what is equal for two runs that have computed the same, bit for bit: losses, and every query's rank."""
    losses = [record.val_loss for record in result.epochs]
    text = json.dumps([losses, *map(to_plain, (result.loss_trace, result.query_ranks, result.per_query))])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _summary(device: int, own: Sequence[Repetition]) -> DeviceSummary:
    speeds = [one.throughput for one in own if one.throughput is not None]
    return DeviceSummary(
        device=device,
        completed=sum(one.status == "completed" for one in own),
        failed=sum(one.status == "failed" for one in own),
        deviating=tuple(one.number for one in own if one.deviates),
        first=speeds[0] if speeds else None,
        median=statistics.median(speeds) if speeds else None,
        lowest=min(speeds, default=None),
        last=speeds[-1] if speeds else None,
        celsius_peak=_highest(one.celsius_peak for one in own),
        throttled_seconds=_sums(one.throttled_seconds for one in own),
    )


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _sums(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total = Counter[str]()
    for part in parts:
        total.update(part)
    return dict(total)

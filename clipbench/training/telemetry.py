"""Power, temperature, clocks and throttling over an epoch, read by a thread of its own beside the training."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from clipbench.api import Meter, Reading
from clipbench.api.result import Telemetry, TelemetrySample

INTERVAL_SECONDS = 0.5
ANSWER_SECONDS = 2.0
MOST_SAMPLES = 60
PHASES = ("train", "eval")


@dataclass(frozen=True)
class _Moment:
    """A reading, when it was made, and the joules used since sampling began; None once they cannot be known."""

    at: float
    reading: Reading
    joules: float | None


@dataclass
class Sampler:
    """Reads ``meter`` every ``interval`` seconds until it is closed; ``absent`` says why there is none.

    The device is never waited for: readings are made in a thread, and what was used between two moments is found
    between the readings around them.
    """

    meter: Meter | None
    name: str = ""
    absent: str = ""
    interval: float = INTERVAL_SECONDS
    clock: Callable[[], float] = time.monotonic
    _moments: list[_Moment] = field(init=False, default_factory=list)
    _phases: dict[str, list[tuple[float, float]]] = field(init=False, default_factory=dict)
    _began: tuple[str, float] | None = field(init=False, default=None)
    _partial: bool = field(init=False, default=False)
    _problem: str = field(init=False, default="")
    _changed: threading.Condition = field(init=False, default_factory=threading.Condition)
    _wake: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread | None = field(init=False, default=None)

    def start(self) -> None:
        """Start reading."""
        if self.meter is not None:
            self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop reading; a meter that does not answer is left behind."""
        if self.meter is None or self._thread is None:
            return
        meter, self.meter = self.meter, None
        self._wake.set()
        self._thread.join(ANSWER_SECONDS)
        if not self._thread.is_alive():
            meter.close()

    def begin(self, phase: str, resumed: bool = False) -> None:
        """Note that ``train`` or ``eval`` begins; where it is ``resumed``, its beginning was not measured."""
        self.end()
        self._began, self._partial = (phase, self.clock()), self._partial or resumed

    def end(self) -> None:
        """Note that the phase under way has ended."""
        if self._began is not None:
            phase, since = self._began
            self._phases.setdefault(phase, []).append((since, self.clock()))
            self._began = None

    def take(self) -> Telemetry | None:
        """Return what was measured since the last call, None where nothing can be; waits for a last reading."""
        self.end()
        if self.meter is None:
            return None
        phases, self._phases = self._phases, {}
        partial, self._partial = self._partial, False
        last = max((until for spans in phases.values() for _, until in spans), default=self.clock())
        with self._changed:
            self._wake.set()
            answered = self._changed.wait_for(lambda: self._problem or self._read_until(last), ANSWER_SECONDS)
            moments = list(self._moments)
            self._moments = moments[-1:]
        problem = self._problem or ("" if answered else "the meter did not answer")
        if partial:
            problem = "the epoch was resumed: its first part was not measured"
        return summary(self.name, moments, phases, problem)

    def latest(self) -> Reading | None:
        """Return the last reading, or None."""
        moments = self._moments
        return moments[-1].reading if moments else None

    def _read_until(self, moment: float) -> bool:
        return bool(self._moments) and self._moments[-1].at >= moment

    def _run(self) -> None:
        while (meter := self.meter) is not None:
            self._wake.clear()
            try:
                reading, at = meter.read(), self.clock()
            except Exception as error:  # a driver may raise anything
                with self._changed:
                    self._problem = f"{self.name} raised {type(error).__name__}: {error}"
                    self._changed.notify_all()
                return
            with self._changed:
                before = self._moments[-1] if self._moments else None
                self._moments.append(_Moment(at, reading, joules_until(before, reading, at)))
                self._changed.notify_all()
            self._wake.wait(self.interval)


def joules_until(before: _Moment | None, reading: Reading, at: float) -> float | None:
    """Return the joules used up to ``reading``: by its counter, else by power over time; None where neither is there.

    A counter that has gone down has started anew: what was used meanwhile is not known.
    """
    if before is None:
        return 0.0
    if before.joules is None:
        return None
    if reading.joules is not None and before.reading.joules is not None:
        used = reading.joules - before.reading.joules
        return before.joules + used if used >= 0 else None
    if reading.watts is not None and before.reading.watts is not None:
        return before.joules + (reading.watts + before.reading.watts) / 2 * (at - before.at)
    return None


def summary(
    name: str, moments: Sequence[_Moment], phases: Mapping[str, Sequence[tuple[float, float]]], problem: str
) -> Telemetry:
    """Return what ``moments`` come to; figures are of the time of ``phases``. A figure that is None has its reason."""
    reasons: dict[str, str] = {}
    joules = {phase: _joules(moments, phases.get(phase, ()), problem, reasons, phase) for phase in PHASES}
    spans = [span for spans in phases.values() for span in spans]
    # Of an epoch that is shorter than the interval there is the reading at its end.
    during = [moment for moment in moments if _is_within(moment.at, spans)] or [*moments[-1:]]
    watts = _watts(during)

    def known(name: str) -> list[Any]:
        return _known(getattr(moment.reading, name) for moment in during)

    shared = [count > 1 for count in known("processes")]
    return Telemetry(
        meter=name,
        joules=joules,
        watts_mean=_mean(watts),
        watts_peak=max(watts, default=None),
        celsius_peak=max(known("celsius"), default=None),
        mhz_mean=_mean(known("mhz")),
        utilisation_mean=_mean(known("utilisation")),
        memory_peak_bytes=max(known("memory_bytes"), default=None),
        throttled_seconds=_throttled(moments, spans),
        shared=any(shared) if shared else None,
        samples=tuple(_samples(during)),
        reasons=reasons,
    )


def combine(ranks: Sequence[Telemetry | None]) -> Telemetry | None:
    """Return the telemetry of all ranks' devices: joules and power in sum, else the first rank's; None if one has none.

    Peaks are of any device. Throttled seconds are those of the device that was throttled longest.
    """
    measured = _known(ranks)
    if not measured or len(measured) < len(ranks):
        return None

    def known(name: str) -> list[Any]:
        return _known(getattr(rank, name) for rank in measured)

    def total(name: str) -> float | None:
        return _sum(getattr(rank, name) for rank in measured)

    first: Telemetry = measured[0]
    return replace(
        first,
        joules={phase: _sum(rank.joules[phase] for rank in measured) for phase in PHASES},
        watts_mean=total("watts_mean"),
        watts_peak=total("watts_peak"),
        celsius_peak=max(known("celsius_peak"), default=None),
        memory_peak_bytes=max(known("memory_peak_bytes"), default=None),
        throttled_seconds=max(known("throttled_seconds"), key=lambda one: sum(one.values()), default=None),
        shared=any(known("shared")) if known("shared") else None,
        reasons={key: reason for rank in measured for key, reason in rank.reasons.items()},
    )


def _is_within(at: float, spans: Sequence[tuple[float, float]]) -> bool:
    return any(since <= at <= until for since, until in spans)


def _joules(
    moments: Sequence[_Moment], spans: Sequence[tuple[float, float]], problem: str, reasons: dict[str, str], phase: str
) -> float | None:
    """Return the joules of one phase; where they are not known, add to ``reasons`` why."""
    if not spans:
        reasons[f"joules.{phase}"] = "nothing was done in this phase"
        return None
    parts = [] if problem else [_between(moments, since, until) for since, until in spans]
    total = _sum(parts) if parts else None
    if total is None:
        reasons[f"joules.{phase}"] = problem or "the meter gave no power or energy, or its counter started anew"
    return total


def _between(moments: Sequence[_Moment], since: float, until: float) -> float | None:
    ends = [_joules_at(moments, moment) for moment in (since, until)]
    return None if ends[0] is None or ends[1] is None else ends[1] - ends[0]


def _joules_at(moments: Sequence[_Moment], at: float) -> float | None:
    """Return the joules up to a moment, on the line between the readings around it."""
    for one, other in pairwise(moments):
        if one.at <= at <= other.at:
            if one.joules is None or other.joules is None:
                return None
            share = (at - one.at) / (other.at - one.at) if other.at > one.at else 0.0
            return one.joules + share * (other.joules - one.joules)
    return None


def _watts(moments: Sequence[_Moment]) -> list[float]:
    """Return the power at each reading: as read, else by the counter since the one before."""
    if read := _known(moment.reading.watts for moment in moments):
        return read
    pairs = pairwise(moments)
    return [
        (other.joules - one.joules) / (other.at - one.at)
        for one, other in pairs
        if one.joules is not None and other.joules is not None and other.at > one.at
    ]


def _throttled(moments: Sequence[_Moment], spans: Sequence[tuple[float, float]]) -> dict[str, float] | None:
    """Return the seconds of ``spans`` in which the device was slowed down, by reason; None where it does not tell."""
    if not any(moment.reading.throttled is not None for moment in moments):
        return None
    seconds: dict[str, float] = {}
    for one, other in pairwise(moments):
        within = sum(max(0.0, min(other.at, until) - max(one.at, since)) for since, until in spans)
        for reason in one.reading.throttled or ():
            seconds[reason] = seconds.get(reason, 0.0) + within
    return seconds


def _samples(moments: Sequence[_Moment]) -> Iterable[TelemetrySample]:
    """Yield at most 60 readings, evenly spread; seconds count from the first."""
    step = max(1, -(-len(moments) // MOST_SAMPLES))
    for moment in moments[::step]:
        own = moment.reading
        at = round(moment.at - moments[0].at, 3)
        yield TelemetrySample(at, own.watts, own.celsius, own.mhz, own.utilisation, own.memory_bytes)


def _known(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _sum(values: Iterable[float | None]) -> float | None:
    listed = list(values)
    known = _known(listed)
    return sum(known) if known and len(known) == len(listed) else None

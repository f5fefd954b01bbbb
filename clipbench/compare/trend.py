"""Results over time: a series for each case on one kind of device, and the trend of one metric in each."""

import fnmatch
from collections.abc import Container, Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from clipbench.api import Direction, ExitCode, Result, UsageError, did_you_mean, finite
from clipbench.results.measures.metrics import UNITS_AND_DIRECTIONS, metric_called


class SeriesKey(NamedTuple):
    """What all results of a series have in common."""

    suite: str
    case: str
    engine: str | None
    device: str
    precision: str
    world_size: int

    @property
    def label(self) -> str:
        """Case, engine, number and model of the devices, and precision, for people."""
        device = f"{self.world_size} x {self.device}" if self.world_size > 1 else self.device
        return ", ".join(filter(None, [self.case, self.engine, device, self.precision]))


def group_by_series(results: Iterable[Result]) -> dict[SeriesKey, list[Result]]:
    """Return the results of each series, oldest first; the series with the newest result comes first."""
    groups: dict[SeriesKey, list[Result]] = {}
    # Of tens of thousands of outlines, most share these sections; each is kept alive by a result in a group.
    by_section: dict[tuple[str, str, int, int], list[Result]] = {}
    for result in results:
        sections = result.suite, result.case, id(result.config), id(result.environment)
        group = by_section.get(sections)
        if group is None:
            device, precision = result.device_name or "device unknown", result.precision or "precision unknown"
            key = SeriesKey(result.suite, result.case, result.engine, device, precision, result.world_size)
            group = by_section[sections] = groups.setdefault(key, [])
        group.append(result)
    for group in groups.values():
        group.sort(key=age)
    return dict(sorted(groups.items(), key=lambda item: age(item[1][-1]), reverse=True))


def newest_of_each(series: Iterable[Sequence[Result]]) -> list[Result]:
    """Return the newest of every series and seed, newest first: what holds now. Older ones are history."""
    newest: dict[tuple[int, int], Result] = {}
    for number, results in enumerate(series):
        newest |= {(number, one.seed): one for one in results}  # a later one takes an earlier one's place
    return sorted(newest.values(), key=age, reverse=True)


def newest_of_series(results: Sequence[Result], count: int, wanted: Container[str] = ()) -> list[Result]:
    """Return the newest ``count`` results of every series, and the runs ``wanted``, in the order given."""
    groups = group_by_series(results).values()
    kept = {result.run_id for group in groups for result in group[-count:]}
    return [result for result in results if result.run_id in kept or result.run_id in wanted]


def age(result: Result) -> tuple[str, str]:
    """Return what sorts by time of start, then by run."""
    # UTC texts sort by time once the Z is gone: with and without a fraction of a second they differ there alone.
    return result.started.rstrip("Z"), result.run_id


# --- one metric ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measurement:
    """One result's value of the metric, None with its ``reason``; ``started`` is UTC, as results have it."""

    run_id: str
    started: str
    commit: str | None
    dirty: bool | None
    status: str
    value: float | None
    reason: str | None


@dataclass(frozen=True)
class Trend:
    """One metric of one series, oldest first; ``left_out`` is the number of older measurements that are not here."""

    metric: str
    unit: str
    direction: Direction
    series: SeriesKey
    measurements: tuple[Measurement, ...]
    left_out: int = 0

    @property
    def known(self) -> tuple[float, ...]:
        """The values that there are, oldest first."""
        return tuple(m.value for m in self.measurements if m.value is not None)

    def newest(self, count: int) -> "Trend":
        """Return this trend with its newest ``count`` measurements alone."""
        kept = self.measurements[-count:]
        return replace(self, measurements=kept, left_out=self.left_out + len(self.measurements) - len(kept))


def trends_of(results: Sequence[Result], metric: str) -> "list[Trend]":
    """Return the trends of ``metric``, the one with the newest result first.

    Raises UsageError with the nearest name for a metric that neither a result nor clipbench knows.
    """
    metric = metric_called(metric)
    unit, direction = _unit_and_direction(results, metric)
    return [
        Trend(metric, unit, direction, key, tuple(_measurement(result, metric) for result in group))
        for key, group in group_by_series(results).items()
    ]


def select_cases(results: Sequence[Result], patterns: Sequence[str]) -> list[Result]:
    """Return results of cases that match any of ``patterns`` (shell wildcards), all of them without a pattern.

    Raises UsageError for a pattern that no case matches.
    """
    names = dict.fromkeys(result.case for result in results)
    for pattern in patterns:
        if names and not fnmatch.filter(names, pattern):
            raise UsageError(f"--case {pattern}: no such case among the results; they have:\n  " + "\n  ".join(names))
    return [r for r in results if not patterns or any(fnmatch.fnmatchcase(r.case, p) for p in patterns)]


def exit_code(series: Sized, problems: Sized) -> ExitCode:
    """Return 3 when a file was refused, 4 without any series of results, else 0: what shows results judges nothing."""
    if problems:
        return ExitCode.NOT_COMPARABLE
    return ExitCode.PASS if series else ExitCode.CASE_FAILED


def trend_data(trends: "Iterable[Trend]", problems: Sequence[str]) -> dict[str, Any]:
    """Return all of it as plain data, for ``--format json``."""
    series = [
        # The parts of the series' key stand beside the metric. Of tens of thousands of measurements no copy is made.
        {**vars(trend), "measurements": list(map(vars, trend.measurements)), **trend.series._asdict()}
        for trend in trends
    ]
    for one in series:
        del one["series"]
    return {"kind": "clipbench.trend", "schema_version": 2, "problems": list(problems), "trends": series}


def _measurement(result: Result, metric: str) -> Measurement:
    stored, reason = result.metric(metric), None
    value = finite(stored.value) if stored else None
    if not result.completed:
        # What a broken run had reached before is no measurement of what the case comes to.
        value, reason = None, f"the case {'was interrupted' if result.status == 'interrupted' else 'failed'}"
    elif stored is None:
        reason = "the result has no such metric"
    elif stored.value is None:
        reason = stored.reason or "not measured"
    source = result.clipbench
    return Measurement(result.run_id, result.started, source.commit, source.dirty, result.status, value, reason)


def _unit_and_direction(results: Iterable[Result], metric: str) -> tuple[str, Direction]:
    if metric in UNITS_AND_DIRECTIONS:
        return UNITS_AND_DIRECTIONS[metric]
    known = set(UNITS_AND_DIRECTIONS)
    for result in results:
        stored = result.metric(metric)
        if stored:
            return stored.unit, stored.direction
        known.update(result.metric_names)
    raise UsageError(f"--metric {metric}: no such metric; {did_you_mean(metric, known)}")

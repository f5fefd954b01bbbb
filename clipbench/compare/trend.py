"""One metric over time: a trend for each series of results."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass, replace
from typing import Any

from clipbench.api.plain import to_plain
from clipbench.api.result import Direction, Result
from clipbench.compare.series import SeriesKey, group_by_series
from clipbench.errors import ExitCode, UsageError, did_you_mean
from clipbench.results.metrics import UNITS_AND_DIRECTIONS


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

    def newest(self, count: int) -> Trend:
        """Return this trend with its newest ``count`` measurements alone."""
        kept = self.measurements[-count:]
        return replace(self, measurements=kept, left_out=self.left_out + len(self.measurements) - len(kept))


def trends_of(results: Sequence[Result], metric: str) -> list[Trend]:
    """Return the trends of ``metric``, the one with the newest result first.

    Raises UsageError with the nearest name for a metric that neither a result nor clipbench knows.
    """
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


def trend_data(trends: Iterable[Trend], problems: Sequence[str]) -> dict[str, Any]:
    """Return all of it as plain data, for ``--format json``."""
    series = [{**to_plain(trend), **trend.series._asdict()} for trend in trends]
    for one in series:
        del one["series"]  # its key, whose parts stand beside the metric
    return {"kind": "clipbench.trend", "schema_version": 2, "problems": list(problems), "trends": series}


def _measurement(result: Result, metric: str) -> Measurement:
    stored, value, reason = result.metric(metric), result.value(metric), None
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

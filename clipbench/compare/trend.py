"""One metric over time: a series for each case on each device, oldest result first."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clipbench.errors import ExitCode, UsageError
from clipbench.results.metrics import UNITS_AND_DIRECTIONS
from clipbench.results.references import finite_number
from clipbench.results.result import Result


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
    """One metric of one case on one kind of device, oldest first; ``left_out`` is how many older ones are not here."""

    metric: str
    unit: str
    direction: str
    suite: str
    case: str
    device: str
    precision: str
    ranks: int
    measurements: tuple[Measurement, ...]
    left_out: int = 0

    @property
    def known(self) -> tuple[float, ...]:
        """The values that there are, oldest first."""
        return tuple(m.value for m in self.measurements if m.value is not None)

    def newest(self, count: int) -> Trend:
        """This trend with its newest ``count`` measurements alone."""
        kept = self.measurements[-count:]
        return replace(self, measurements=kept, left_out=self.left_out + len(self.measurements) - len(kept))


def trends_of(results: Iterable[Result], metric: str) -> list[Trend]:
    """The trends of ``metric``, the one with the newest result first.

    A metric that neither a result nor clipbench knows is a UsageError with the nearest names.
    """
    results = list(results)
    unit, direction = _unit_and_direction(results, metric)
    groups: dict[tuple[str, str, str, str, int], list[Measurement]] = {}
    for result in results:
        device = (result["environment"] or {}).get("device", {})
        key = (
            result["suite"],
            result["case"],
            device.get("name", "device unknown"),
            device.get("precision", "precision unknown"),
            device.get("ranks", 1),
        )
        groups.setdefault(key, []).append(_measurement(result, metric))
    made = [Trend(metric, unit, direction, *key, tuple(sorted(group, key=_age))) for key, group in groups.items()]
    return sorted(made, key=lambda trend: _age(trend.measurements[-1]), reverse=True)


def select_cases(results: Sequence[Result], patterns: Sequence[str]) -> list[Result]:
    """Results of cases that match any of ``patterns`` (shell wildcards), all without one; a miss is a UsageError."""
    names = dict.fromkeys(result["case"] for result in results)
    for pattern in patterns:
        if names and not fnmatch.filter(names, pattern):
            raise UsageError(f"--case {pattern}: no such case among the results; they have:\n  " + "\n  ".join(names))
    return [r for r in results if not patterns or any(fnmatch.fnmatchcase(r["case"], p) for p in patterns)]


def exit_code(trends: Sequence[Trend], problems: Sequence[str]) -> ExitCode:
    """3 when a file was refused, 4 without any result, else 0: a trend shows and judges nothing."""
    if problems:
        return ExitCode.NOT_COMPARABLE
    return ExitCode.PASS if trends else ExitCode.CASE_FAILED


def trend_data(trends: Sequence[Trend], problems: Sequence[str]) -> dict[str, Any]:
    """All of it as plain data, for ``--format json``."""
    series = [{**vars(trend), "measurements": [vars(m) for m in trend.measurements]} for trend in trends]
    return {"kind": "clipbench.trend", "schema_version": 1, "problems": list(problems), "trends": series}


def _measurement(result: Result, metric: str) -> Measurement:
    last = result["metrics"]["last"]
    found: Mapping[str, Any] | None = last["values"].get(metric) if last else None
    reason = None
    if result["status"] != "completed":
        # What a broken run had reached before is no measurement of what the case comes to.
        found, reason = None, f"the case {'was interrupted' if result['status'] == 'interrupted' else 'failed'}"
    elif found is None:
        reason = "the result has no such metric"
    elif found["value"] is None:
        reason = found.get("reason", "not measured")
    source = result["clipbench"]
    return Measurement(
        run_id=result["run_id"],
        started=result["started"],
        commit=source["commit"],
        dirty=source["dirty"],
        status=result["status"],
        value=finite_number(found["value"]) if found else None,
        reason=reason,
    )


def _unit_and_direction(results: Sequence[Result], metric: str) -> tuple[str, str]:
    if metric in UNITS_AND_DIRECTIONS:
        return UNITS_AND_DIRECTIONS[metric]
    known = set(UNITS_AND_DIRECTIONS)
    for result in results:
        values = (result["metrics"]["last"] or {"values": {}})["values"]
        if metric in values:
            return values[metric]["unit"], values[metric]["direction"]
        known |= set(values)
    near = difflib.get_close_matches(metric, known, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    raise UsageError(f"--metric {metric}: no such metric{hint} (known: {', '.join(sorted(known))})")


def _age(measurement: Measurement) -> tuple[str, str]:
    # UTC texts sort by time once the Z is gone: with and without a fraction of a second they differ there alone.
    return measurement.started.rstrip("Z"), measurement.run_id

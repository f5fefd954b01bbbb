"""Many results as series over time: one series for each case on one kind of device, oldest result first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clipbench.compare.verdicts import Comparison
from clipbench.results.result import Result


@dataclass(frozen=True)
class Gate:
    """How one metric was judged: its verdict, and what it was held against (None where there is nothing)."""

    status: str
    reference: float | None
    tolerance: float | None


@dataclass(frozen=True)
class Point:
    """One result of a series: ``started`` in UTC, as results have it; ``values``, ``units``, ``gates`` by metric."""

    run_id: str
    started: str
    commit: str | None
    seed: int
    status: str
    values: Mapping[str, float | None]
    units: Mapping[str, str]
    gates: Mapping[str, Gate]


@dataclass(frozen=True)
class Series:
    """All results of one case on one kind of device, oldest first."""

    suite: str
    case: str
    device: str
    precision: str
    ranks: int
    points: tuple[Point, ...]

    @property
    def name(self) -> str:
        """What tells the series from others, in words."""
        device = f"{self.ranks} x {self.device}" if self.ranks > 1 else self.device
        return ", ".join([self.case, device, self.precision])


@dataclass(frozen=True)
class Band:
    """From the point ``start`` on, until the next band: the value held against, and the tolerance on either side."""

    start: int
    reference: float | None
    low: float | None
    high: float | None


def series_of(results: Iterable[Result], comparisons: Iterable[Comparison]) -> tuple[Series, ...]:
    """Results, each with its comparison, as series; the series with the newest result is first."""
    groups: dict[tuple[str, str, str, str, int], list[Point]] = {}
    for result, comparison in zip(results, comparisons, strict=True):
        key = (
            result["suite"],
            result["case"],
            comparison.device or "device unknown",
            comparison.precision or "precision unknown",
            comparison.ranks or 1,
        )
        groups.setdefault(key, []).append(point_of(result, comparison))
    made = [Series(*key, tuple(sorted(points, key=_age))) for key, points in groups.items()]
    return tuple(sorted(made, key=lambda series: _age(series.points[-1]), reverse=True))


def point_of(result: Result, comparison: Comparison) -> Point:
    """What a history keeps of a result."""
    # What a broken run had reached before is no measurement of what its case comes to.
    verdicts = [verdict for verdict in comparison.verdicts if result["status"] == "completed"]
    return Point(
        run_id=result["run_id"],
        started=result["started"],
        commit=result["clipbench"]["commit"],
        seed=result["seed"],
        status=comparison.status,
        values={verdict.metric: verdict.value for verdict in verdicts},
        units={verdict.metric: verdict.unit for verdict in verdicts},
        gates={v.metric: Gate(v.label, v.reference, v.tolerance) for v in verdicts},
    )


def newest_of_each(series: Iterable[Series]) -> tuple[Point, ...]:
    """The newest result of every series and seed, newest first: what holds now. Older ones are history."""
    newest: dict[tuple[int, int], Point] = {}
    for number, one in enumerate(series):
        newest |= {(number, point.seed): point for point in one.points}  # a later point takes an earlier one's place
    return tuple(sorted(newest.values(), key=_age, reverse=True))


def bands(points: Sequence[Point], metric: str) -> tuple[Band, ...]:
    """What ``metric`` was held against along a series, one band for each stretch without a change.

    A stretch without a reference is a band too, whose ``reference`` is None.
    """
    found: list[Band] = []
    last: tuple[float | None, float | None] = (None, None)
    for index, point in enumerate(points):
        gate = point.gates.get(metric)
        now = (gate.reference, gate.tolerance) if gate else (None, None)
        if now == last:
            continue
        last = now
        found.append(band_around(index, *now))
    return tuple(found)


def band_around(start: int, reference: float | None, tolerance: float | None) -> Band:
    """The band from the point ``start`` on; without a tolerance it is a line."""
    if reference is None or tolerance is None:
        return Band(start, reference, None, None)
    return Band(start, reference, reference - tolerance, reference + tolerance)


def commits_of(points: Iterable[Point]) -> tuple[str | None, ...]:
    """Every commit once, in the order in which each was first measured."""
    return tuple(dict.fromkeys(point.commit for point in points))


def _age(point: Point) -> tuple[str, str]:
    # UTC texts sort by time; with and without a fraction of a second they differ in "." and "Z", which sort alike.
    return point.started.rstrip("Z"), point.run_id

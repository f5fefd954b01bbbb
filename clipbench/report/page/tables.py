"""The tables of a page: a row for each run, and for each suite with several configurations one row for each of them."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clipbench.api.specs import Direction
from clipbench.compare.comparing import ordered
from clipbench.compare.history import History, Point
from clipbench.compare.trend import age
from clipbench.compare.verdicts import ComparisonStatus, worst
from clipbench.report.page.naming import TRAITS, differing_traits, names
from clipbench.results.measures.metrics import BEST_METRIC, RECALL_NAMES, THROUGHPUT

MOST_ROWS = 200  # of runs; all are in the history
MOST_TILES = 4


@dataclass(frozen=True)
class Column:
    """One metric that some of the results have."""

    metric: str
    unit: str
    direction: Direction


@dataclass(frozen=True)
class RunRow:
    """One run of the table; ``shown`` is its place among those that are shown in full, None for any other."""

    name: str
    point: Point
    shown: int | None


@dataclass(frozen=True)
class Cell:
    """The mean of a metric over the runs of a configuration, and their standard deviation (None: there is one run)."""

    mean: float
    spread: float | None
    best: bool


@dataclass(frozen=True)
class Configuration:
    """The newest runs of one configuration, one for each seed: what it was made with, and what they came to."""

    traits: Mapping[str, str]
    runs: int
    status: ComparisonStatus
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class SuiteTable:
    """The configurations of one suite, by what they differ in: ``keys``."""

    suite: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Configuration, ...]

    @property
    def repeated(self) -> bool:
        """Whether any configuration was run with several seeds."""
        return any(row.runs > 1 for row in self.rows)


def columns_of(points: Iterable[Point]) -> tuple[Column, ...]:
    """Return the metrics of some results, what decides first; without the recalls that a mean is of."""
    there = {
        verdict.metric: Column(verdict.metric, verdict.unit, verdict.direction)
        for point in points
        for verdict in point.verdicts.values()
        if verdict.value is not None
    }
    whole = [name for name in ordered(there) if name not in RECALL_NAMES or "@" not in name]
    first = [name for name in (BEST_METRIC, THROUGHPUT) if name in there]
    return tuple(there[name] for name in dict.fromkeys([*first, *whole]))


def run_rows(history: History) -> list[RunRow]:
    """Return the newest results, and those in full, the newest first."""
    points = sorted(all_points(history), key=lambda point: age(point.result), reverse=True)
    places = {result.run_id: place for place, result in enumerate(history.in_full)}
    kept = [point for place, point in enumerate(points) if place < MOST_ROWS or point.result.run_id in places]
    called = names([point.result for point in kept])
    return [RunRow(name, point, places.get(point.result.run_id)) for name, point in zip(called, kept, strict=True)]


def all_points(history: History) -> list[Point]:
    """Return every result of every series."""
    return [point for series in history.series for point in series.points]


def suite_tables(newest: Sequence[Point]) -> list[SuiteTable]:
    """Return a table for each suite of which there are several configurations among the ``newest`` results."""
    suites: dict[str, list[tuple[Point, Mapping[str, str]]]] = {}
    for point, traits in zip(newest, differing_traits([point.result for point in newest]), strict=True):
        without_seed = {key: value for key, value in traits.items() if key != "seed"}
        suites.setdefault(point.result.suite, []).append((point, without_seed))
    tables = (_suite_table(suite, pairs) for suite, pairs in suites.items())
    return [table for table in tables if len(table.rows) > 1]


def _suite_table(suite: str, pairs: Sequence[tuple[Point, Mapping[str, str]]]) -> SuiteTable:
    groups: dict[tuple[tuple[str, str], ...], list[Point]] = {}
    for point, traits in pairs:
        groups.setdefault(tuple(sorted(traits.items())), []).append(point)
    keys = dict.fromkeys(key for _, traits in pairs for key in traits)
    ordered_keys = (*(key for key in TRAITS if key in keys), *(key for key in keys if key not in TRAITS))
    columns = columns_of(point for point, _ in pairs)
    by_column = {column.metric: _cells(column, groups.values()) for column in columns}
    rows = [
        Configuration(
            dict(traits),
            len(group),
            worst(point.status for point in group),
            {name: cell for name, cells in by_column.items() if (cell := cells[place])},
        )
        for place, (traits, group) in enumerate(groups.items())
    ]
    rows.sort(key=lambda row: [_numbers_first(row.traits.get(key, "")) for key in ordered_keys])
    return SuiteTable(suite, ordered_keys, columns, tuple(rows))


def _numbers_first(value: str) -> tuple[bool, float, str]:
    try:
        return False, float(value), ""
    except ValueError:
        return True, 0.0, value


def _cells(column: Column, groups: Iterable[Iterable[Point]]) -> list[Cell | None]:
    """Return what each group of runs came to in one metric; None where no run of it has a value."""
    values = [
        [v.value for point in group if (v := point.verdicts.get(column.metric)) and v.value is not None]
        for group in groups
    ]
    means = [statistics.fmean(some) if some else None for some in values]
    known = {mean for mean in means if mean is not None}
    # Of one alone, or of several that are the same, none is best.
    best = (max if column.direction == "higher" else min)(known) if len(known) > 1 else None
    return [
        None if mean is None else Cell(mean, statistics.stdev(some) if len(some) > 1 else None, mean == best)
        for mean, some in zip(means, values, strict=True)
    ]

"""Devices ranked on one case: quality first, then time to quality, then pairs per second."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from clipbench.api import Result, finite
from clipbench.api.plain import value_at
from clipbench.compare.comparing import compare
from clipbench.compare.gate import Inputs, Request, match_all
from clipbench.compare.trend import age
from clipbench.compare.verdicts import Comparison
from clipbench.results.measures.metrics import BEST_METRIC, THROUGHPUT


@dataclass(frozen=True)
class Row:
    """The best run of one configuration: device, how many, precision and engine.

    ``place`` counts from 1; None for one that did not pass its gate. ``seconds`` and ``joules`` are to quality.
    ``runs`` counts those of the configuration.
    """

    place: int | None
    result: Result
    comparison: Comparison
    runs: int
    recall: float | None
    seconds: float | None
    throughput: float | None
    per_device: float | None
    per_card: float | None
    joules: float | None
    watts: float | None

    @property
    def passes(self) -> bool:
        """Whether it has a place: its gate was passed."""
        return self.comparison.status in ("pass", "better")

    @property
    def order(self) -> tuple[bool, float, float]:
        """What rows are sorted by: those that pass, then time to quality, then pairs/s of one device."""
        seconds = math.inf if self.seconds is None else self.seconds
        return not self.passes, seconds, -(self.per_device or 0.0)


@dataclass(frozen=True)
class Board:
    """All devices on one case of one suite; ``target`` is what time to quality is measured to, in percent."""

    case: str
    reference: str | None
    rows: tuple[Row, ...]


def leaderboards(request: Request, inputs: Inputs) -> list[Board]:
    """Return a board for each case and reference, by name; the rows in the order of their places.

    A run that was not compared with a reference has no board: its quality is not known.
    """
    results = {result.run_id: result for result in inputs.judged}
    boards: dict[tuple[str, str], dict[tuple[object, ...], list[Row]]] = {}
    for comparison in map(compare, match_all(request, inputs)):
        result = results[comparison.runs[0]]
        if comparison.against:
            board = boards.setdefault((result.case_without_seed, comparison.against.name), {})
            board.setdefault(_configuration(result), []).append(_row(result, comparison))
    return [Board(case, name, tuple(_placed(rows.values()))) for (case, name), rows in sorted(boards.items())]


def _placed(configurations: Iterable[list[Row]]) -> Iterator[Row]:
    """Yield the best run of each configuration, the first places first."""
    # Of two that come to the same, the newer one.
    newest_first = (sorted(rows, key=lambda row: age(row.result), reverse=True) for rows in configurations)
    best = [(min(rows, key=lambda row: row.order), len(rows)) for rows in newest_first]
    for place, (row, runs) in enumerate(sorted(best, key=lambda pair: pair[0].order), 1):
        yield Row(**{**vars(row), "place": place if row.passes else None, "runs": runs})


def _configuration(result: Result) -> tuple[object, ...]:
    return (result.device_name, result.world_size, result.precision, value_at(result, "config.engine"))


def _row(result: Result, comparison: Comparison) -> Row:
    values: Mapping[str, float | None] = {verdict.metric: verdict.value for verdict in comparison.verdicts}
    throughput = result.value(THROUGHPUT)
    cards = math.ceil(result.world_size / value_at(result, "environment.device.devices_per_card", 1))
    watts = [record.telemetry.watts_mean for record in result.epochs if record.telemetry]
    known = [watt for watt in watts if watt is not None]
    return Row(
        place=None,
        result=result,
        comparison=comparison,
        runs=1,
        recall=result.value(BEST_METRIC),
        seconds=finite(values.get("seconds_to_quality")),
        throughput=throughput,
        per_device=throughput and throughput / result.world_size,
        per_card=throughput and throughput / cards,
        joules=finite(values.get("energy_to_quality")),
        watts=sum(known) / len(known) if known else None,
    )

"""``clipbench trend``: a sparkline and a table for each series, 79 columns wide."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clipbench.compare.trend import Measurement, Trend, exit_code, select_cases, trend_data, trends_of
from clipbench.errors import ExitCode
from clipbench.report.wrapping import wrapped
from clipbench.results.collect import collect

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table

BLOCKS, PLAIN = "▁▂▃▄▅▆▇█", "_.-=+*%#"
GAP = "x"
SPARK_WIDTH, FIGURE_WIDTH = 50, 8
ROWS = 20


def run_trend(paths: Sequence[Path], metric: str, cases: Sequence[str], last: int | None, form: str) -> ExitCode:
    """Print one metric of the results in ``paths`` over time, as ``table`` or ``json``."""
    found = collect(paths)
    trends = trends_of(select_cases(found.results, cases), metric)
    if last:
        trends = [trend.newest(last) for trend in trends]
    if form == "json":
        print(json.dumps(trend_data(trends, found.problems), indent=1, ensure_ascii=False))
    else:
        from rich.console import Console

        Console(highlight=False).print(
            trend_report(trends, found.problems, _levels(sys.stdout.encoding), last or ROWS), crop=False
        )
    return exit_code(trends, found.problems)


def sparkline(values: Sequence[float | None], levels: str = BLOCKS, width: int = SPARK_WIDTH) -> str:
    """``values`` as a line of characters, lowest to highest; None is a gap. More than ``width`` are averaged."""
    cells = _averaged(values, width)
    known = [cell for cell in cells if cell is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    top = len(levels) - 1
    span = high / 2 - low / 2  # halves: the difference of two huge values is not a finite number

    def level(cell: float) -> str:
        share = (cell / 2 - low / 2) / span if span > 0 else 0.5
        return levels[min(top, max(0, round(share * top)))]

    return "".join(GAP if cell is None else level(cell) for cell in cells)


def trend_report(trends: Sequence[Trend], problems: Sequence[str], levels: str = BLOCKS, rows: int = ROWS) -> Group:
    """A block for each trend, then refused files."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    for trend in trends:
        device = f"{trend.ranks} x {trend.device}" if trend.ranks > 1 else trend.device
        parts.append(Text(f"{trend.case}, {device}, {trend.precision}", style="bold", overflow="fold"))
        parts.append(Text(f"{trend.metric}, {trend.unit}, {trend.direction} is better", style="dim"))
        parts.append(Text(f"{sparkline([m.value for m in trend.measurements], levels)}  {_range(trend)}"))
        parts += [_table(trend, rows), Text()]
    if not trends:
        parts.append(Text("no results", style="bold"))
    if problems:
        parts.append(Text("refused files", style="bold red"))
        parts += [wrapped(f"- {problem}") for problem in problems]
    return Group(*parts)


def _table(trend: Trend, rows: int) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("started (UTC)", width=16, no_wrap=True)
    table.add_column("commit", width=9, no_wrap=True)
    table.add_column("value", width=FIGURE_WIDTH, justify="right", no_wrap=True)
    table.add_column("change", width=FIGURE_WIDTH, justify="right", no_wrap=True)
    table.add_column("run", overflow="fold")
    before = trend.left_out + max(0, len(trend.measurements) - rows)
    if before:
        table.add_row(Text("...", style="dim"), "", "", "", Text(f"{before:,} earlier (--last N)", style="dim"))
    for measurement, change in list(_changes(trend))[-rows:]:
        _add(table, trend, measurement, change)
    return table


def _add(table: Table, trend: Trend, measurement: Measurement, change: float | None) -> None:
    from rich.text import Text

    worse = change is not None and (change < 0) == (trend.direction == "higher")
    style = "" if not change else "red" if worse else "green"
    run = measurement.run_id if measurement.reason is None else f"{measurement.run_id}: {measurement.reason}"
    table.add_row(
        measurement.started[:16].replace("T", " "),
        _commit(measurement),
        "-" if measurement.value is None else figure(measurement.value),
        Text("" if change is None else figure(change, "+"), style),
        Text(run, "" if measurement.reason is None else "yellow"),
    )


def _changes(trend: Trend) -> list[tuple[Measurement, float | None]]:
    """Each measurement with its difference to the one measured before it."""
    pairs: list[tuple[Measurement, float | None]] = []
    before: float | None = None
    for measurement in trend.measurements:
        value = measurement.value
        pairs.append((measurement, None if value is None or before is None else value - before))
        before = before if value is None else value
    return pairs


def figure(value: float, sign: str = "") -> str:
    """A number with two decimals, or three digits where two decimals say too little or take too much room."""
    form = f"{value:{sign}.2f}"
    return form if (value == 0 or abs(value) >= 0.01) and len(form) <= FIGURE_WIDTH else f"{value:{sign}.3g}"


def _range(trend: Trend) -> str:
    known = trend.known
    count = f"{len(trend.measurements)} result{'s' if len(trend.measurements) != 1 else ''}"
    return f"{figure(min(known))} to {figure(max(known))} in {count}" if known else f"nothing measured in {count}"


def _commit(measurement: Measurement) -> str:
    """Eight digits, with a + for what was not committed; a dash where clipbench was installed as a package."""
    return (measurement.commit or "-")[:8] + ("+" if measurement.dirty else "")


def _averaged(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    edges = [round(number * len(values) / width) for number in range(width + 1)]
    cells: list[float | None] = []
    for start, end in itertools.pairwise(edges):
        known = [value for value in values[start:end] if value is not None]
        cells.append(sum(value / len(known) for value in known) if known else None)
    return cells


def _levels(encoding: str | None) -> str:
    """Block characters where the output can take them."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return PLAIN
    return BLOCKS

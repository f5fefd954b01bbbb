"""``clipbench trend``: a sparkline and a table for each series, 79 columns wide."""

import itertools
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from clipbench.api.text import printable, printable_data
from clipbench.compare.trend import Measurement, Trend
from clipbench.report.judgement.terminal import wrapped
from clipbench.report.quantity import quantity

BLOCKS, PLAIN = "▁▂▃▄▅▆▇█", "_.-=+*%#"
GAP = "x"
SPARK_WIDTH, FIGURE_WIDTH = 50, 8


def print_trends(trends: Sequence[Trend], problems: Sequence[str], rows: int | None = None) -> None:
    """Print a block for each trend, with its newest ``rows`` measurements (None: 20), then refused files."""
    levels = spark_levels(sys.stdout.encoding)
    parts: list[RenderableType] = [] if trends else [Text("no results", style="bold")]
    for trend in trends:
        line = sparkline([measurement.value for measurement in trend.measurements], levels)
        parts.append(Text(printable(trend.series.label), style="bold", overflow="fold"))
        parts.append(Text(printable(f"{trend.metric}, {trend.unit}, {trend.direction} is better"), style="dim"))
        parts += [Text(f"{line}  {_range(trend)}"), _table(trend, rows or 20), Text()]
    if problems:
        parts += [
            Text("refused files", style="bold red"),
            *(wrapped(f"- {printable(problem)}") for problem in problems),
        ]
    Console(highlight=False).print(Group(*parts), crop=False)


def spark_levels(encoding: str | None) -> str:
    """Return block characters where the output can show them, else ASCII."""
    try:
        BLOCKS.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return PLAIN
    return BLOCKS


def sparkline(values: Sequence[float | None], levels: str = BLOCKS, width: int = SPARK_WIDTH) -> str:
    """Return ``values`` as a line of characters, lowest to highest; None is a gap. More than ``width`` are averaged."""
    cells = _averaged(values, width)
    known = [cell for cell in cells if cell is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    span = high / 2 - low / 2  # halves: the difference of two huge values is not a finite number

    def level(cell: float) -> str:
        share = (cell / 2 - low / 2) / span if span > 0 else 0.5
        return levels[round(share * (len(levels) - 1))]

    return "".join(GAP if cell is None else level(cell) for cell in cells)


def _table(trend: Trend, rows: int) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("started (UTC)", width=16, no_wrap=True)
    table.add_column("commit", width=9, no_wrap=True)
    table.add_column("value", width=FIGURE_WIDTH, justify="right", no_wrap=True)
    table.add_column("change", width=FIGURE_WIDTH, justify="right", no_wrap=True)
    table.add_column("run", overflow="fold")
    earlier = trend.left_out + max(0, len(trend.measurements) - rows)
    if earlier:
        table.add_row(Text("...", style="dim"), "", "", "", Text(f"{earlier:,} earlier (--last N)", style="dim"))
    for one, change in list(_changes(trend))[-rows:]:
        measurement = printable_data(one)  # of tens of thousands, those that are shown alone
        worse = change is not None and (change < 0) == (trend.direction == "higher")
        reason = f": {measurement.reason}" if measurement.reason else ""
        table.add_row(
            measurement.started[:16].replace("T", " "),
            # A + for what was not committed; a dash where clipbench was installed as a package.
            (measurement.commit or "-")[:8] + ("+" if measurement.dirty else ""),
            _figure(measurement.value),
            Text("" if change is None else _figure(change, "+"), "" if not change else "red" if worse else "green"),
            Text(f"{measurement.run_id}{reason}", "yellow" if reason else ""),
        )
    return table


def _changes(trend: Trend) -> Iterator[tuple[Measurement, float | None]]:
    """Yield each measurement with its difference to the one measured before it."""
    before: float | None = None
    for measurement in trend.measurements:
        value = measurement.value
        yield measurement, None if value is None or before is None else value - before
        before = before if value is None else value


def _range(trend: Trend) -> str:
    values = f"{_figure(min(trend.known))} to {_figure(max(trend.known))}" if trend.known else "nothing measured"
    return f"{values} in {len(trend.measurements)} result{'s' if len(trend.measurements) != 1 else ''}"


def _figure(value: float | None, sign: str = "") -> str:
    return quantity(value, sign, FIGURE_WIDTH, small=0.01)


def _averaged(values: Sequence[float | None], width: int) -> list[float | None]:
    """Return the values, or the means of ``width`` stretches of them."""
    if len(values) <= width:
        return list(values)
    edges = [round(number * len(values) / width) for number in range(width + 1)]
    stretches = ([v for v in values[start:end] if v is not None] for start, end in itertools.pairwise(edges))
    return [sum(value / len(known) for value in known) if known else None for known in stretches]

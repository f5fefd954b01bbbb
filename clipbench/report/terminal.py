"""Comparisons as text for people: one table, the reasons under it, and what the exit code means.

Plain ASCII and 79 columns, so that it is whole on the narrowest terminal and in any log; colour repeats the words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from clipbench.compare import MEANINGS, Comparison, Verdict, exit_code

if TYPE_CHECKING:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

COLUMNS = {
    "text_recall@1": "text\nR@1",
    "text_recall@5": "text\nR@5",
    "text_recall@10": "text\nR@10",
    "text_recall_mean": "text\nmean",
    "image_recall@1": "image\nR@1",
    "image_recall@5": "image\nR@5",
    "image_recall@10": "image\nR@10",
    "image_recall_mean": "image\nmean",
    "recall_mean": "both\nmean",
    "samples_per_second": "pairs\nper s",
}
LABEL_WIDTH, NUMBER_WIDTH = 9, 6
GATE_WORDS = {"pass": "pass", "fail": "FAIL", "missing": "MISS", "not comparable": "n/c", "ungated": "none"}
STYLES = {"pass": "green", "fail": "bold red", "missing": "bold red", "failed case": "bold red"}
UNDECIDED = "yellow"
LEGEND = (
    "text is image -> text recall, image is text -> image recall, both in percent\n"
    "gate: MISS = gated but missing, n/c = not comparable, none = shown, not gated"
)


def comparison_report(comparisons: Sequence[Comparison], problems: Sequence[str] = ()) -> Group:
    """Table, reasons for all that does not pass, refused files, and the verdict in one line."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    if comparisons:
        parts += [comparison_table(comparisons), Text(), Text(LEGEND, style="dim"), Text()]
    for comparison in comparisons:
        if comparison.reasons:
            parts.append(_heading(comparison))
            parts += [_indented(f"- {reason}") for reason in comparison.reasons]
            parts.append(Text())
    if problems:
        parts.append(Text("refused files", style=STYLES["fail"]))
        parts += [_indented(f"- {problem}") for problem in problems]
        parts.append(Text())
    parts.append(Text(verdict_line(comparisons, problems), style="bold"))
    return Group(*parts)


def verdict_line(comparisons: Sequence[Comparison], problems: Sequence[str] = ()) -> str:
    """How many results came to what, the exit code, and its meaning."""
    counts = Counter(comparison.status for comparison in comparisons)
    said = [f"{count} {status}" for status, count in counts.items()]
    said += [f"{len(problems)} refused file{'s' if len(problems) > 1 else ''}"] if problems else []
    code = exit_code(comparisons, problems)
    return f"{', '.join(said) or 'no results'}: exit code {int(code)}, {MEANINGS[code]}"


def comparison_table(comparisons: Sequence[Comparison]) -> Group:
    """A block for each result, under one header: its numbers, the reference's, the difference, each gate in a word."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_grid(header=True)]
    for comparison in comparisons:
        parts += [Text(), _heading(comparison), Text(_origin(comparison), style="dim")]
        if comparison.status != "failed case" or comparison.epoch is not None:
            parts += [_rows(comparison), *_other_metrics(comparison)]
    return Group(*parts)


def _rows(comparison: Comparison) -> Table:
    from rich.text import Text

    grid = _grid(header=False)
    verdicts = {verdict.metric: verdict for verdict in comparison.verdicts}
    shown = [verdicts.get(name) for name in COLUMNS]

    def add(label: str, cell: Callable[[Verdict], str | None], styled: bool = False) -> None:
        cells = [(cell(verdict) if verdict else None, verdict) for verdict in shown]
        if any(text is not None for text, _ in cells):
            styles = [_style(verdict.status) if verdict and styled else "" for _, verdict in cells]
            texts = [Text(text or "-", style) for (text, _), style in zip(cells, styles, strict=True)]
            grid.add_row(label, *texts)

    add("result", lambda verdict: number(verdict.value), styled=True)
    if comparison.reference:
        add("reference", lambda verdict: number(verdict.reference))
        add("diff", lambda verdict: number(verdict.difference, sign="+"))
        add("gate", lambda v: GATE_WORDS[v.status] if v.reference is not None else None, styled=True)
    return grid


def number(value: float | None, sign: str = "") -> str | None:
    """A number with two decimals, or with as many as fit into a column; None stays None."""
    if value is None:
        return None
    value = round(value, 2) + 0.0  # no "-0.00"
    forms = [f"{value:{sign}.{decimals}f}" for decimals in (2, 1, 0)]
    return next((form for form in forms if len(form) <= NUMBER_WIDTH), f"{value:{sign}.0e}")


def _grid(header: bool) -> Table:
    """Columns of fixed width, so that the header and the blocks under it line up."""
    from rich.table import Table

    grid = Table(box=None, show_header=header, padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column("", width=LABEL_WIDTH, no_wrap=True)
    for title in COLUMNS.values():
        grid.add_column(title, width=NUMBER_WIDTH, justify="right", no_wrap=True)
    return grid


def _heading(comparison: Comparison) -> Text:
    from rich.text import Text

    word = comparison.status.upper()
    return Text.assemble((word, _style(comparison.status)), "  ", (comparison.run_id, "bold"), overflow="fold")


def _origin(comparison: Comparison) -> str:
    device = comparison.device or "device unknown"
    if comparison.ranks and comparison.ranks > 1:
        device = f"{comparison.ranks} x {device}"
    epoch = "never evaluated" if comparison.epoch is None else f"epoch {comparison.epoch}"
    against = f"against {comparison.reference.name}" if comparison.reference else "no reference"
    return ", ".join([device, comparison.precision or "precision unknown", epoch, against])


def _other_metrics(comparison: Comparison) -> Iterator[Text]:
    """Figures of the reference that have no column of their own."""
    from rich.text import Text

    for verdict in comparison.verdicts:
        if verdict.reference is not None and verdict.metric not in COLUMNS:
            value = "-" if verdict.value is None else f"{verdict.value:.6g}"
            line = f"{verdict.metric} ({verdict.unit}): {value}, reference {verdict.reference:.6g}, gate "
            yield Text.assemble(line, (GATE_WORDS[verdict.status], _style(verdict.status)))


def _style(status: str) -> str:
    return "" if status == "ungated" else STYLES.get(status, UNDECIDED)


def _indented(line: str) -> RenderableType:
    """A line set in by two columns, also where it wraps."""
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Text(line, overflow="fold"), (0, 0, 0, 2), expand=False)

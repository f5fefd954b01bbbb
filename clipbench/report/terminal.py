"""Comparisons as text for people: one table, the reasons under it, and what the exit code means.

Plain ASCII and 79 columns, so that it is whole on the narrowest terminal and in any log; colour repeats the words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from clipbench.compare.verdicts import Comparison, Judgement, Verdict
from clipbench.report.wrapping import wrapped

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
GATE_WORDS = {
    "pass": "pass",
    "warn": "warn",
    "better": "BETTER",
    "inconclusive": "unsure",
    "fail": "FAIL",
    "missing": "MISS",
    "not comparable": "n/c",
    "ungated": "none",
}
STYLES = {"pass": "green", "fail": "bold red", "missing": "bold red", "failed case": "bold red"}
UNDECIDED = "yellow"
MOST_DIFFERENCES = 8
WHOLE_RUN = ("seconds_to_quality", "epochs_to_quality", "loss_curve")
LEGEND = (
    "text is image -> text recall, image is text -> image recall, both in percent\n"
    "+/- is half the 95% interval of the difference: chance of sampling and repeats\n"
    "gate: MISS = gated but missing, unsure = too few or too noisy runs to tell,\n"
    "BETTER = by more than is allowed downwards, n/c = not comparable,\n"
    "none = shown, not gated"
)


def comparison_report(judgement: Judgement) -> Group:
    """Table, reasons for all that does not simply pass, refused files, and the verdict in one line."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = []
    if judgement.comparisons:
        parts += [comparison_table(judgement), Text(), Text(LEGEND, style="dim"), Text()]
    for comparison in judgement.comparisons:
        notes = list(_notes(comparison))
        if notes:
            parts += [_heading(comparison), *notes, Text()]
    if judgement.problems:
        parts.append(Text("refused files", style=STYLES["fail"]))
        parts += [_indented(f"- {problem}") for problem in judgement.problems]
        parts.append(Text())
    parts.append(Text(verdict_line(judgement), style="bold"))
    return Group(*parts)


def verdict_line(judgement: Judgement) -> str:
    """How many results came to what, the exit code, and its meaning."""
    counts = Counter(comparison.status for comparison in judgement.comparisons)
    said = [f"{count} {status}" for status, count in counts.items()]
    refused = len(judgement.problems)
    said += [f"{refused} refused file{'s' if refused > 1 else ''}"] if refused else []
    return f"{', '.join(said) or 'no results'}: exit code {int(judgement.exit_code)}, {judgement.meaning}"


def comparison_table(judgement: Judgement) -> Group:
    """A block for each result, under one header: its numbers, what they are held against, each gate in a word."""
    from rich.console import Group
    from rich.text import Text

    parts: list[RenderableType] = [_grid(header=True)]
    for comparison in judgement.comparisons:
        parts += [Text(), _heading(comparison), Text(_origin(comparison), style="dim", overflow="fold")]
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
            styles = [_style(verdict.label) if verdict and styled else "" for _, verdict in cells]
            texts = [Text(text or "-", style) for (text, _), style in zip(cells, styles, strict=True)]
            grid.add_row(label, *texts)

    add("result", lambda verdict: number(verdict.value), styled=True)
    if comparison.against:
        add(comparison.against.kind, lambda verdict: number(verdict.reference))
        add("diff", lambda verdict: number(verdict.difference, sign="+"))
        add("+/-", lambda verdict: number(verdict.error if verdict.difference is not None else None))
        add("gate", lambda v: None if v.reference is None and v.value is None else GATE_WORDS[v.label], styled=True)
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
    return Text.assemble((word, _style(comparison.status)), "  ", (comparison.title, "bold"), overflow="fold")


def _origin(comparison: Comparison) -> str:
    device = comparison.device or "device unknown"
    if comparison.ranks and comparison.ranks > 1:
        device = f"{comparison.ranks} x {device}"
    epoch = "never evaluated" if comparison.epoch is None else f"epoch {comparison.epoch}"
    against = "nothing to hold against"
    if comparison.against:
        against = f"against {comparison.against.name}"
        runs = len(comparison.against.runs)
        against += f" ({runs} runs)" if runs > 1 else ""
    return ", ".join([device, comparison.precision or "precision unknown", epoch, against])


def _other_metrics(comparison: Comparison) -> Iterator[Text]:
    """Figures that have no column of their own: held against something, of a whole run, or shown and no more."""
    from rich.text import Text

    unknown = []
    for verdict in comparison.verdicts:
        value = "-" if verdict.value is None else f"{verdict.value:.6g}"
        if verdict.metric in COLUMNS:
            continue
        if verdict.reference is None and verdict.metric not in WHOLE_RUN:
            unknown.append(f"{verdict.metric} ({verdict.unit}) {value}")
            continue
        held = ""
        if verdict.reference is not None and comparison.against and verdict.metric != "loss_curve":
            held = f", {comparison.against.kind} {verdict.reference:.6g}"
        line = f"{verdict.metric} ({verdict.unit}): {value}{held}, gate "
        yield Text.assemble(line, (GATE_WORDS[verdict.label], _style(verdict.label)))
    if unknown:
        yield Text(f"ungated: {', '.join(unknown)}", overflow="fold")


def _notes(comparison: Comparison) -> Iterator[RenderableType]:
    """Why it does not pass, what is worth a look, and what differs."""
    for reason in comparison.reasons:
        yield _indented(f"- {reason}")
    for warning in comparison.warnings:
        yield _indented(f"- warning: {warning}")
    against = comparison.against.kind if comparison.against else "reference"
    for difference in comparison.differences:
        if difference.allowed:
            yield _indented(f"- allowed: {difference.sentence(against)}")
    shown = [difference for difference in comparison.differences if difference.blocks == "nothing"]
    for difference in shown[:MOST_DIFFERENCES]:
        yield _indented(f"- differs, does not count: {difference.sentence(against)}")
    if len(shown) > MOST_DIFFERENCES:
        yield _indented(f"- and {len(shown) - MOST_DIFFERENCES} more such differences (--format json has all)")


def _style(status: str) -> str:
    return "" if status == "ungated" else STYLES.get(status, UNDECIDED)


def _indented(line: str) -> RenderableType:
    return wrapped(line, indent=2)

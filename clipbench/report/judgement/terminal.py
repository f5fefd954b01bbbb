"""Comparisons as text for people: one table, the reasons under it, and what the exit code means.

Plain ASCII and 79 columns, so that it fits the narrowest terminal and any log; colour repeats the words.
"""

import io
import textwrap
from collections.abc import Callable, Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from clipbench.compare.verdicts import Comparison, Judgement, NumericsSteps, Verdict
from clipbench.report.judgement import wording
from clipbench.report.quantity import NONE, quantity
from clipbench.results.metrics import RECALL_AT

SHORT = {**{f"recall@{k}": f"R@{k}" for k in RECALL_AT}, "recall_mean": "mean"}
COLUMNS = {
    **{f"{side}_{name}": f"{side}\n{short}" for side in ("text", "image") for name, short in SHORT.items()},
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
MOST_DIFFERENCES = 8
WHOLE_RUN = ("seconds_to_quality", "epochs_to_quality", "loss_curve", "fixed_batch_loss", "float32_error")
LEGEND = (
    "text is image -> text recall, image is text -> image recall, both in percent\n"
    "+/- is half the 95% interval of the difference: chance of sampling and repeats\n"
    "gate: MISS = gated but missing, unsure = too few or too noisy runs to tell,\n"
    "BETTER = by more than is allowed downwards, n/c = not comparable,\n"
    "none = shown, not gated"
)


def print_table(judgement: Judgement) -> None:
    """Print the comparison, in colour where the terminal has it."""
    Console(highlight=False).print(comparison_report(judgement), crop=False)


def table_text(judgement: Judgement) -> str:
    """Return what a terminal of 79 columns without colour shows."""
    console = Console(file=io.StringIO(), width=79, highlight=False, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(comparison_report(judgement))
    return capture.get()


def comparison_report(judgement: Judgement) -> Group:
    """Return the table, reasons for all that does not simply pass, refused files, and the verdict in one line."""
    parts: list[RenderableType] = []
    if judgement.comparisons:
        parts += [comparison_table(judgement), Text(), Text(LEGEND, style="dim"), Text()]
    for comparison in judgement.comparisons:
        if notes := list(_notes(comparison)):
            parts += [_heading(comparison), *map(_bullet, notes), Text()]
    if judgement.problems:
        parts += [Text("refused files", style=STYLES["fail"]), *map(_bullet, judgement.problems), Text()]
    parts.append(Text(wording.verdict_line(judgement), style="bold"))
    return Group(*parts)


def comparison_table(judgement: Judgement) -> Group:
    """Return a block for each result, under one header: its figures, those it is compared with, each gate in a word."""
    parts: list[RenderableType] = [_grid(header=True)]
    for comparison in judgement.comparisons:
        parts += [Text(), _heading(comparison), Text(_origin(comparison), style="dim", overflow="fold")]
        if comparison.status != "failed case" or comparison.epoch is not None:
            parts += [_rows(comparison), *_other_metrics(comparison)]
    return Group(*parts)


def _rows(comparison: Comparison) -> Table:
    grid = _grid(header=False)
    verdicts = {verdict.metric: verdict for verdict in comparison.verdicts}
    shown = [verdicts.get(name) for name in COLUMNS]

    def add(label: str, cell: Callable[[Verdict], str], styled: bool = False) -> None:
        texts = [Text(cell(v), _style(v.label) if styled else "") if v else Text(NONE) for v in shown]
        if any(text.plain != NONE for text in texts):
            grid.add_row(label, *texts)

    add("result", lambda verdict: number(verdict.value), styled=True)
    if comparison.against:
        add(comparison.against.kind, lambda verdict: number(verdict.reference))
        add("diff", lambda verdict: number(verdict.difference, sign="+"))
        add("+/-", lambda verdict: number(verdict.error if verdict.difference is not None else None))
        add("gate", lambda v: NONE if v.reference is None and v.value is None else GATE_WORDS[v.label], styled=True)
    return grid


def number(value: float | None, sign: str = "") -> str:
    """Return a number with two decimals, or with as many as fit into a column."""
    return quantity(value, sign, NUMBER_WIDTH, small=0)


def _grid(header: bool) -> Table:
    """Return columns of fixed width, so that the header and the blocks under it line up."""
    grid = Table(box=None, show_header=header, padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column("", width=LABEL_WIDTH, no_wrap=True)
    for title in COLUMNS.values():
        grid.add_column(title, width=NUMBER_WIDTH, justify="right", no_wrap=True)
    return grid


def _heading(comparison: Comparison) -> Text:
    word = comparison.status.upper()
    return Text.assemble((word, _style(comparison.status)), "  ", (comparison.title, "bold"), overflow="fold")


def _origin(comparison: Comparison) -> str:
    epoch = "never evaluated" if comparison.epoch is None else f"epoch {comparison.epoch}"
    against = "nothing to compare with" if comparison.unjudged else "judged by its check of numerics"
    if comparison.against:
        runs = len(comparison.against.runs)
        against = f"against {comparison.against.name}{f' ({runs} runs)' if runs > 1 else ''}"
    return f"{wording.machine(comparison.device, comparison.precision, comparison.world_size)}, {epoch}, {against}"


def _other_metrics(comparison: Comparison) -> Iterator[Text]:
    """Yield the figures that have no column: compared with something, of a whole run, or shown and no more."""
    unknown = []
    for verdict in (v for v in comparison.verdicts if v.metric not in COLUMNS):
        if verdict.reference is None and verdict.metric not in WHOLE_RUN:
            unknown.append(f"{verdict.metric} ({verdict.unit}) {_digits(verdict.value)}")
            continue
        line = f"{verdict.metric} ({verdict.unit}): {_digits(verdict.value)}"
        if isinstance(verdict.evidence, NumericsSteps):
            line = f"{verdict.metric}: {wording.detail(verdict)}"
        if comparison.against and verdict.reference is not None and verdict.metric != "loss_curve":
            line += f", {comparison.against.kind} {_digits(verdict.reference)}"
        yield Text.assemble(f"{line}, gate ", (GATE_WORDS[verdict.label], _style(verdict.label)))
    if unknown:
        yield Text(f"ungated: {', '.join(unknown)}", overflow="fold")


def _digits(value: float | None) -> str:
    return NONE if value is None else f"{value:.6g}"


def _notes(comparison: Comparison) -> Iterator[str]:
    """Yield why it does not pass, what is worth a look, and what differs."""
    kind = wording.kind_of(comparison)
    yield from wording.comparison_reasons(comparison)
    yield from (f"warning: {warning}" for warning in wording.comparison_warnings(comparison))
    yield from (f"allowed: {wording.sentence(d, kind)}" for d in comparison.differences if d.allowed)
    free = [difference for difference in comparison.differences if difference.blocks == "nothing"]
    yield from (f"differs, does not count: {wording.sentence(d, kind)}" for d in free[:MOST_DIFFERENCES])
    if len(free) > MOST_DIFFERENCES:
        yield f"and {len(free) - MOST_DIFFERENCES} more such differences (--format json has all)"


def _style(status: str) -> str:
    return "" if status == "ungated" else STYLES.get(status, "yellow")


def _bullet(line: str) -> Text:
    return wrapped(f"- {line}", indent=2)


def wrapped(line: str, indent: int = 0) -> Text:
    """Return ``line`` broken between words only, every part indented: a path is never cut, so that it can be copied.

    Print it with ``crop=False``: a word that is too long for a line stands out of it.
    """
    margin = " " * indent
    parts = textwrap.wrap(
        line, 78, initial_indent=margin, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )
    return Text("\n".join(parts), no_wrap=True, overflow="ignore")

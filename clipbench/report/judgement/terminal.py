"""Comparisons as text for people: one table, the reasons under it, and what the exit code means.

Plain ASCII and 79 columns, so that it fits the narrowest terminal and any log; colour repeats the words.
"""

import io
import textwrap
from collections.abc import Callable, Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from clipbench.compare.comparing import CURVE
from clipbench.compare.verdicts import Against, Comparison, Judgement, NumericsSteps, Verdict
from clipbench.report.judgement import wording
from clipbench.report.judgement.headline import comparison_headline, headline
from clipbench.report.metric_words import metric_words
from clipbench.report.quantity import NONE, amount, plain_figure, quantity
from clipbench.results.measures.metrics import BEST_METRIC, RECALL_AT, THROUGHPUT

SHORT = {**{f"recall@{k}": f"R@{k}" for k in RECALL_AT}, "recall_mean": "mean"}
COLUMNS = {
    **{f"{side}_{name}": f"{side}\n{short}" for side in ("text", "image") for name, short in SHORT.items()},
    BEST_METRIC: "both\nmean",
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
    "ungated": "",
}
STYLES = {"pass": "green", "fail": "bold red", "missing": "bold red", "failed case": "bold red"}
# What a word in the row of gates means, where it does not say so itself.
LEGEND = {
    "better": "BETTER: by more than is allowed on the worse side",
    "inconclusive": "unsure: inconclusive, too few or too noisy runs to tell",
    "missing": "MISS: gated, but the result does not have it; it fails",
    "not comparable": "n/c: not comparable",
}
COLUMNS_LEGEND = (
    "text is image -> text recall, image is text -> image recall, both in percent",
    "+/- is half the 95 % interval of the difference: chance of sampling and repeats",
    "gate: empty where a figure is only shown",
)


def print_table(judgement: Judgement, verbose: bool = False) -> None:
    """Print the comparison, in colour where the terminal has it."""
    Console(highlight=False).print(comparison_report(judgement, verbose), crop=False)


def table_text(judgement: Judgement) -> str:
    """Return what a terminal of 79 columns without colour shows."""
    console = Console(file=io.StringIO(), width=79, highlight=False, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(comparison_report(judgement), crop=False)
    return capture.get()


def comparison_report(judgement: Judgement, verbose: bool = False) -> Group:
    """Return the verdict in a sentence, a table, what does not simply pass, refused files, and the exit code.

    ``verbose`` adds how each verdict was decided, and what every word means.
    """
    parts: list[RenderableType] = [_line(headline(judgement), style="bold")]
    alone = len(judgement.comparisons) == 1
    if alone and (changed := _changed(judgement.comparisons[0])):
        parts.append(_line(changed))
    if any(verdict.metric in COLUMNS for comparison in judgement.comparisons for verdict in comparison.verdicts):
        parts += [Text(), _grid(header=True)]
    if judgement.comparisons:
        parts.append(Text())
    for comparison in judgement.comparisons:
        parts += [*_block(comparison, alone, verbose), Text()]
    if judgement.problems:
        parts += [Text("refused files", style=STYLES["fail"]), *map(_bullet, judgement.problems), Text()]
    if legend := _legend(judgement, verbose):
        parts += [Text("\n".join(legend), style="dim"), Text()]
    parts.append(wrapped(wording.seen_line(judgement.seen)))
    parts.append(_line(wording.verdict_line(judgement), style="bold"))
    return Group(*parts)


def _block(comparison: Comparison, alone: bool, verbose: bool) -> Iterator[RenderableType]:
    """Yield one result: its figures, those it is compared with, each gate in a word, and what is to be said of it.

    Of one that is ``alone`` the sentence, and what changed, stand above the table.
    """
    yield _heading(comparison)
    yield Text(_origin(comparison), style="dim", overflow="fold")
    if not alone:
        yield from map(_line, filter(None, [comparison_headline(comparison), _changed(comparison)]))
    if comparison.status != "failed case" or comparison.epoch is not None:
        yield _rows(comparison)
        yield from _other_metrics(comparison)
    yield from map(_bullet, _notes(comparison, verbose))


def _legend(judgement: Judgement, verbose: bool) -> list[str]:
    """Return what the words in the row of gates mean: those that are there, all of them where ``verbose``."""
    there = {verdict.label for comparison in judgement.comparisons for verdict in comparison.verdicts}
    words = [line for label, line in LEGEND.items() if verbose or label in there]
    return [*COLUMNS_LEGEND, *words] if verbose else words


def _rows(comparison: Comparison) -> Table:
    grid = _grid(header=False)
    verdicts = {verdict.metric: verdict for verdict in comparison.verdicts}
    shown = [verdicts.get(name) for name in COLUMNS]

    def add(label: str, cell: Callable[[Verdict], str], styled: bool = False, absent: str = NONE) -> None:
        texts = [Text(cell(v), _style(v.label) if styled else "") if v else Text(absent) for v in shown]
        if any(text.plain not in (NONE, "") for text in texts):
            grid.add_row(label, *texts)

    add("result", lambda verdict: number(verdict.value), styled=True)
    if comparison.against:
        add(comparison.against.kind, lambda verdict: number(verdict.reference))
        add("diff", lambda verdict: number(verdict.difference, sign="+"))
        add("+/-", lambda verdict: number(verdict.error if verdict.difference is not None else None))
        add("gate", lambda verdict: GATE_WORDS[verdict.label], styled=True, absent="")
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
    return Text.assemble(
        (comparison.label.upper(), _style(comparison.label)), "  ", (comparison.title, "bold"), overflow="fold"
    )


def _origin(comparison: Comparison) -> str:
    epoch = "never evaluated" if comparison.epoch is None else f"epoch {comparison.epoch}"
    against = "nothing to compare with" if comparison.unjudged else "judged by its check of numerics"
    if comparison.against:
        runs = len(comparison.against.runs)
        against = f"against {comparison.against.name}{f' ({runs} runs)' if runs > 1 else ''}"
    machine = wording.machine(comparison.device, comparison.precision, comparison.world_size)
    return ", ".join(filter(None, [comparison.engine, machine, epoch, against]))


def _other_metrics(comparison: Comparison) -> Iterator[Text]:
    """Yield the figures that have no column: throughput, then those with a gate or a figure beside, then the others."""
    others = [verdict for verdict in comparison.verdicts if verdict.metric not in COLUMNS]
    compared = [v for v in others if v.metric == THROUGHPUT or v.status != "ungated" or _has_more(v)]
    for verdict in sorted(compared, key=lambda one: one.metric != THROUGHPUT):
        is_numerics = isinstance(verdict.evidence, NumericsSteps)
        line = wording.of_numerics(verdict, comparison) if is_numerics else _with_reference(verdict, comparison.against)
        gate = GATE_WORDS[verdict.label]
        yield Text.assemble(f"{line}, gate " if gate else line, (gate, _style(verdict.label)), overflow="fold")
    if unknown := [f"{metric_words(v.metric)} {amount(v.value, v.unit)}" for v in others if v not in compared]:
        yield _line(f"only shown: {', '.join(unknown)}")


def _has_more(verdict: Verdict) -> bool:
    """Return whether there is more to say of a figure than its value."""
    return verdict.reference is not None or isinstance(verdict.evidence, NumericsSteps)


def _with_reference(verdict: Verdict, against: Against | None) -> str:
    line = f"{metric_words(verdict.metric)}: {amount(verdict.value, verdict.unit)}"
    if against and verdict.reference is not None and verdict.metric != CURVE:
        line += f", {against.kind} {plain_figure(verdict.reference, verdict.unit)}{_share(verdict)}"
    return line


def _share(verdict: Verdict) -> str:
    """Return the difference of a throughput in percent."""
    if verdict.metric != THROUGHPUT or not verdict.reference or verdict.difference is None:
        return ""
    return f" ({100 * verdict.difference / verdict.reference:+.1f} %)"


def _changed(comparison: Comparison) -> str:
    changes = wording.changes(comparison)
    return f"changed since the baseline: {', '.join(changes)}" if changes else ""


def _notes(comparison: Comparison, verbose: bool) -> Iterator[str]:
    """Yield why it does not pass, what is worth a look, and what was allowed; nothing that the sentence has said."""
    said, kind = comparison_headline(comparison), wording.kind_of(comparison)
    yield from (reason for reason in wording.comparison_reasons(comparison) if reason not in said)
    warnings = ((verdict.label, wording.of_metric(verdict, comparison)) for verdict in comparison.warned)
    yield from (f"{label}: {warning}" for label, warning in warnings if warning not in said)
    yield from (wording.hindrance(one, alone=len(comparison.runs) == 1) for one in comparison.hindrances)
    yield from (f"allowed: {wording.sentence(d, kind)}" for d in comparison.differences if d.allowed)
    yield from wording.details(comparison) if verbose else ()


def _style(status: str) -> str:
    return "" if status == "ungated" else STYLES.get(status, "yellow")


def _bullet(line: str) -> Text:
    return wrapped(f"- {line}", indent=2)


def _line(line: str, style: str = "") -> Text:
    return wrapped(line, style=style)


def wrapped(line: str, indent: int = 0, style: str = "") -> Text:
    """Return ``line`` broken between words only, every part indented: a path is never cut, so that it can be copied.

    Print it with ``crop=False``: a word that is too long for a line stands out of it.
    """
    margin, line = " " * indent, line.replace(" %", "\N{NO-BREAK SPACE}%")  # a number keeps its sign
    parts = textwrap.wrap(
        line, 78, initial_indent=margin, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )
    return Text("\n".join(parts).replace("\N{NO-BREAK SPACE}%", " %"), style=style, no_wrap=True, overflow="ignore")

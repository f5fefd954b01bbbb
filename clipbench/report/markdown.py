"""A judgement as Markdown for a job summary or a comment: the verdict, a table, then what is not a plain pass."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from clipbench.compare.verdicts import Comparison, Judgement, Level, Verdict
from clipbench.report.quantity import NONE, allowed_text, difference_text, quantity
from clipbench.report.terminal import verdict_line

# GitHub refuses a comment of 65,536 characters and a summary of a megabyte.
ROWS, DETAILS = 100, 20
SIGNS: dict[Level, str] = {"none": "✅", "notice": "ℹ️", "warning": "⚠️", "error": "❌"}
LOUDEST: tuple[Level, ...] = ("error", "warning", "notice", "none")
SHOWN = ("recall_mean", "samples_per_second")


def markdown(judgement: Judgement) -> str:
    """The whole judgement; of many results the loudest first, and a word on how many are left out."""
    strict = judgement.strict
    ranked = sorted(judgement.comparisons, key=lambda comparison: LOUDEST.index(comparison.level(strict)))
    passed = judgement.exit_code == 0
    blocks = [f"### {SIGNS['none' if passed else 'error']} clipbench compare: {escape(verdict_line(judgement))}"]
    if judgement.problems:
        blocks.append("Refused files:\n\n" + "\n".join(f"- {escape(problem)}" for problem in judgement.problems))
    if ranked:
        blocks.append(_overview(ranked[:ROWS], strict))
        if len(ranked) > ROWS:
            blocks.append(f"{len(ranked) - ROWS:,} more results are not shown.")
    blocks += [_detail(comparison, strict) for comparison in ranked[:DETAILS]]
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """``text`` so that Markdown shows it as it is, on one line, in a table's cell too; nobody is notified by it."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)
    return re.sub(r"(?<![\w.])@(?=\w)", "@\u200b", text)  # a zero-width space keeps @name from being a mention


def code(text: str) -> str:
    """``text`` as a code span, which holds it as it is but for pipes: those end a table's cell even there."""
    text = " ".join(text.split()) or " "
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def table(header: Sequence[str], align: str, rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are escaped already; ``align`` has ``l`` or ``r`` for each column."""
    rule = ["--:" if side == "r" else "---" for side in align]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def _overview(comparisons: Sequence[Comparison], strict: bool) -> str:
    rows = []
    for comparison in comparisons:
        verdicts = {verdict.metric: verdict for verdict in comparison.verdicts}
        cells = [_value_and_difference(verdicts.get(name)) for name in SHOWN]
        against = code(comparison.against.name) if comparison.against else NONE
        rows.append([_status(comparison, strict), code(comparison.title), _device(comparison), against, *cells])
    return table(["verdict", "result", "device", "against", "recall mean", "pairs/s"], "llllrr", rows)


def _detail(comparison: Comparison, strict: bool) -> str:
    """Every metric of one result; folded away where it passes."""
    level = comparison.level(strict)
    rows = [
        [
            f"{SIGNS[verdict.level(strict)]} {verdict.label}" if verdict.status != "ungated" else "not gated",
            f"{code(verdict.metric)} ({escape(verdict.unit)})",
            quantity(verdict.value),
            quantity(verdict.reference),
            difference_text(verdict),
            allowed_text(verdict),
        ]
        for verdict in comparison.verdicts
    ]
    body = (
        [table(["verdict", "metric", "value", "held against", "difference", "still passes"], "llrrrr", rows)]
        if rows
        else []
    )
    said = [*comparison.reasons, *comparison.warnings, *_details(comparison)]
    body += ["\n".join(f"- {escape(line)}" for line in said)] if said else []
    body += [_differences(comparison)] if comparison.differences else []
    title = f"{SIGNS[level]} {escape(comparison.title)}: {comparison.status}"
    opened = "" if level == "none" else " open"
    return "\n\n".join([f"<details{opened}><summary>{_html(title)}</summary>", *body, "</details>"])


def _details(comparison: Comparison) -> Iterator[str]:
    for verdict in comparison.verdicts:
        if verdict.detail and verdict.status not in ("pass", "ungated"):
            yield f"{verdict.metric}: {verdict.detail}"


def _differences(comparison: Comparison) -> str:
    rules_out = {"all": "everything", "speed": "speed", "nothing": NONE}
    rows = [
        [
            code(difference.path),
            code(difference.ours),
            code(difference.theirs),
            "let through" if difference.allowed else rules_out[difference.blocks],
        ]
        for difference in comparison.differences
    ]
    return table(["what differs", "here", "there", "rules out"], "llll", rows)


def _status(comparison: Comparison, strict: bool) -> str:
    level = comparison.level(strict)
    word = "warn" if comparison.status == "pass" and comparison.warnings else comparison.status
    return f"{SIGNS[level]} {f'**{word}**' if level == 'error' else word}"


def _value_and_difference(verdict: Verdict | None) -> str:
    if verdict is None or verdict.value is None:
        return NONE
    if verdict.difference is None:
        return quantity(verdict.value)
    return f"{quantity(verdict.value)} ({difference_text(verdict)})"


def _device(comparison: Comparison) -> str:
    device = comparison.device or "unknown"
    if comparison.ranks and comparison.ranks > 1:
        device = f"{comparison.ranks} x {device}"
    return escape(f"{device}, {comparison.precision or 'precision unknown'}")


def _html(text: str) -> str:
    """Escapes of Markdown do not hold inside an HTML element: undone but for the entities."""
    return re.sub(r"\\([\\`*_\[\]|~#])", r"\1", text)

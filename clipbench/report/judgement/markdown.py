"""A judgement as Markdown for a job summary or a comment: the verdict, a table, then what is not a plain pass."""

import re
from collections.abc import Collection, Sequence

from clipbench.compare.verdicts import Comparison, Difference, Judgement, Level, Verdict
from clipbench.report.judgement import wording
from clipbench.report.judgement.headline import comparison_headline, headline
from clipbench.report.metric_words import metric_words, unit_words
from clipbench.report.quantity import NONE, allowed_text, difference_text, plain_figure
from clipbench.results.measures.metrics import BEST_METRIC, THROUGHPUT

# GitHub refuses a comment of 65,536 characters and a summary of a megabyte.
ROWS, DETAILS = 100, 20
SIGNS: dict[Level, str] = {"error": "❌", "warning": "⚠️", "notice": "ℹ️", "none": "✅"}  # the worst first
OVERVIEW_HEADER = ("verdict", "result", "engine", "device", "against", "recall mean (%)", "throughput (pairs/s)")
DETAIL_HEADER = ("verdict", "metric", "value", "compared with", "difference", "still passes")
DIFFERENCES_HEADER = ("what differs", "here", "there", "rules out")
RULES_OUT = {"all": "everything", "speed": "speed", "nothing": NONE}


def markdown(judgement: Judgement) -> str:
    """Return the whole judgement; of many results the worst first, and how many are left out."""
    fail_on = judgement.fail_on
    ranked = sorted(judgement.comparisons, key=lambda comparison: list(SIGNS).index(comparison.level(fail_on)))
    counts = escape(f"clipbench compare: {wording.verdict_line(judgement)}")
    blocks = [f"### {SIGNS[judgement.level]} {escape(headline(judgement))}", counts]
    if judgement.problems:
        blocks.append(f"Refused files:\n\n{_list(judgement.problems)}")
    blocks.append(table(OVERVIEW_HEADER, "lllllrr", [_overview(one, fail_on) for one in ranked[:ROWS]]))
    if len(ranked) > ROWS:
        blocks.append(f"{len(ranked) - ROWS:,} more results are not shown.")
    blocks += [_detail(comparison, fail_on) for comparison in ranked[:DETAILS]]
    return "\n\n".join(filter(None, blocks)) + "\n"


def escape(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is, on one line, in a table's cell too; @name notifies nobody."""
    text = " ".join(text.split())
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"([\\`*\[\]|~#]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", text)
    return re.sub(r"(?<![\w.])@(?=\w)", "@\u200b", text)  # a zero-width space keeps @name from being a mention


def code(text: str) -> str:
    """Return ``text`` as a code span, which holds it as it is but for pipes: those end a table's cell even there."""
    text = " ".join(text.split()) or " "
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def table(header: Sequence[str], align: str, rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are escaped already, "" without rows; ``align`` has ``l`` or ``r`` a column."""
    if not rows:
        return ""
    rule = ["--:" if side == "r" else "---" for side in align]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def _overview(comparison: Comparison, fail_on: Collection[str]) -> list[str]:
    """Return the row of one result."""
    level, word = comparison.level(fail_on), comparison.label
    verdicts = {verdict.metric: verdict for verdict in comparison.verdicts}
    return [
        f"{SIGNS[level]} {f'**{word}**' if level == 'error' else word}",
        code(comparison.title),
        escape(comparison.engine or NONE),
        escape(wording.machine(comparison.device, comparison.precision, comparison.world_size)),
        code(comparison.against.name) if comparison.against else NONE,
        *(_value_and_difference(verdicts.get(name)) for name in (BEST_METRIC, THROUGHPUT)),
    ]


def _detail(comparison: Comparison, fail_on: Collection[str]) -> str:
    """Return every metric of one result; folded away where it passes."""
    level = comparison.level(fail_on)
    decided = [v for v in comparison.verdicts if v.status not in ("pass", "ungated")]
    details = [f"{metric_words(v.metric)}: {text}" for v in decided if (text := wording.detail(v))]
    changed = wording.changes(comparison)
    blocks = [
        f"<details{'' if level == 'none' else ' open'}>"
        f"<summary>{_html(f'{SIGNS[level]} {escape(comparison.title)}: {comparison.label}')}</summary>",
        escape(comparison_headline(comparison)),
        escape(f"Changed since the baseline: {', '.join(changed)}") if changed else "",
        table(DETAIL_HEADER, "llrrrr", [_metric(verdict, fail_on) for verdict in comparison.verdicts]),
        _list([*wording.comparison_reasons(comparison), *wording.comparison_warnings(comparison), *details]),
        table(DIFFERENCES_HEADER, "llll", [_difference(difference) for difference in comparison.differences]),
        "</details>",
    ]
    return "\n\n".join(filter(None, blocks))


def _metric(verdict: Verdict, fail_on: Collection[str]) -> list[str]:
    """Return the row of one metric."""
    return [
        "" if verdict.status == "ungated" else f"{SIGNS[verdict.level(fail_on)]} {verdict.label}",
        f"{escape(metric_words(verdict.metric))} ({escape(unit_words(verdict.unit))})",
        plain_figure(verdict.value, verdict.unit),
        plain_figure(verdict.reference, verdict.unit),
        difference_text(verdict),
        allowed_text(verdict),
    ]


def _difference(difference: Difference) -> list[str]:
    """Return the row of one difference."""
    rules_out = "allowed" if difference.allowed else RULES_OUT[difference.blocks]
    return [code(difference.path), code(difference.ours), code(difference.theirs), rules_out]


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)


def _value_and_difference(verdict: Verdict | None) -> str:
    if verdict is None or verdict.value is None:
        return NONE
    difference = "" if verdict.difference is None else f" ({difference_text(verdict)})"
    return plain_figure(verdict.value, verdict.unit) + difference


def _html(text: str) -> str:
    """Return ``text`` without Markdown's backslashes, which do not hold inside an HTML element."""
    return re.sub(r"\\([\\`*_\[\]|~#])", r"\1", text)

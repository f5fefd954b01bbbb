"""A judgement as workflow commands, which GitHub shows as annotations of the run."""

from collections.abc import Iterator

from clipbench.compare.verdicts import Comparison, Judgement
from clipbench.report.judgement import wording


def github(judgement: Judgement) -> str:
    """Return a line for each metric and result that is not a plain pass, for each refused file, and for the whole."""
    lines = [command("error", "refused file", problem) for problem in judgement.problems]
    for comparison in judgement.comparisons:
        lines += _lines(comparison, judgement.strict)
    level = "notice" if judgement.comparisons or judgement.problems else "error"
    lines.append(command(level, "clipbench compare", wording.verdict_line(judgement)))
    return "\n".join(lines) + "\n"


def command(level: str, title: str, message: str) -> str:
    """Return one workflow command. GitHub takes a line to its end, and undoes these escapes."""
    return f"::{level} title={_data(title).replace(':', '%3A').replace(',', '%2C')}::{_data(message)}"


def _lines(comparison: Comparison, strict: bool) -> Iterator[str]:
    title = comparison.title
    if comparison.unjudged:
        yield command("error", f"{title}: {comparison.status}", "\n".join(wording.comparison_reasons(comparison)))
        return
    # GitHub shows ten of a kind: one line for all metrics with the same reason.
    metrics_of: dict[tuple[str, str, str], list[str]] = {}
    for verdict in comparison.verdicts:
        if verdict.level(strict) != "none":
            key = (verdict.level(strict), verdict.label, wording.reason(verdict, comparison) or verdict.label)
            metrics_of.setdefault(key, []).append(verdict.metric)
    for (level, label, why), metrics in metrics_of.items():
        what = metrics[0] if len(metrics) == 1 else f"{len(metrics)} metrics"
        message = why if len(metrics) == 1 else f"{', '.join(metrics)}: {why}"
        yield command(level, f"{title}: {what}: {label}", message)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

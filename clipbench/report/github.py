"""A judgement as workflow commands, which GitHub shows as annotations of the run."""

from __future__ import annotations

from collections.abc import Iterator

from clipbench.compare.verdicts import Comparison, Judgement
from clipbench.report.terminal import verdict_line


def github(judgement: Judgement) -> str:
    """One line for each metric and result that is not a plain pass, for each refused file, and for the whole."""
    lines = [command("error", "refused file", problem) for problem in judgement.problems]
    for comparison in judgement.comparisons:
        lines += _lines(comparison, judgement.strict)
    level = "notice" if judgement.comparisons or judgement.problems else "error"
    lines.append(command(level, "clipbench compare", verdict_line(judgement)))
    return "\n".join(lines) + "\n"


def command(level: str, title: str, message: str) -> str:
    """One workflow command. GitHub takes a line to its end, and undoes these escapes."""
    return f"::{level} title={_property(title)}::{_data(message)}"


def _lines(comparison: Comparison, strict: bool) -> Iterator[str]:
    title = comparison.title
    if comparison.status != "fail" and comparison.level() == "error":
        # Not judged metric by metric: its reasons say it all.
        yield command("error", f"{title}: {comparison.status}", "\n".join(comparison.reasons))
        return
    # GitHub shows ten of a kind: what is said of several metrics is said once.
    said: dict[tuple[str, str, str], list[str]] = {}
    for verdict in comparison.verdicts:
        if verdict.level(strict) != "none":
            key = (verdict.level(strict), verdict.label, verdict.reason or verdict.label)
            said.setdefault(key, []).append(verdict.metric)
    for (level, label, reason), metrics in said.items():
        what = metrics[0] if len(metrics) == 1 else f"{len(metrics)} metrics"
        message = reason if len(metrics) == 1 else f"{', '.join(metrics)}: {reason}"
        yield command(level, f"{title}: {what}: {label}", message)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

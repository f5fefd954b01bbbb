"""A judgement as workflow commands, which GitHub shows as annotations of the run."""

from collections.abc import Collection, Iterator

from clipbench.compare.verdicts import WORST_FIRST, Comparison, Judgement, Level
from clipbench.report.judgement import wording
from clipbench.report.judgement.headline import headline

LEVELS: tuple[Level, ...] = ("error", "warning", "notice", "none")


MOST = 9  # GitHub shows ten of a kind for a step, and leaves the rest out in silence


def github(judgement: Judgement) -> str:
    """Return the verdict, then a line for each metric and result that is not a plain pass; at most nine in all."""
    lines = [command("error", "refused file", problem) for problem in judgement.problems]
    for comparison in sorted(judgement.comparisons, key=lambda one: WORST_FIRST.index(one.status)):
        lines += _lines(comparison, judgement.fail_on)
    level = {"none": "notice"}.get(judgement.level, judgement.level)
    said = [headline(judgement), wording.verdict_line(judgement)]
    if len(lines) > MOST - 1:
        said.append(f"{len(lines) - MOST + 1} more annotations are not shown: the log's table has all")
    return "\n".join([command(level, "clipbench compare", "\n".join(said)), *lines[: MOST - 1]]) + "\n"


def command(level: str, title: str, message: str) -> str:
    """Return one workflow command. GitHub takes a line to its end, and undoes these escapes."""
    return f"::{level} title={_data(title).replace(':', '%3A').replace(',', '%2C')}::{_data(message)}"


def _lines(comparison: Comparison, fail_on: Collection[str]) -> Iterator[str]:
    title = comparison.title
    if comparison.unjudged:
        yield command("error", f"{title}: {comparison.status}", "\n".join(wording.comparison_reasons(comparison)))
        return
    for verdict in sorted(comparison.verdicts, key=lambda one: LEVELS.index(one.level(fail_on))):
        if (level := verdict.level(fail_on)) != "none":
            yield command(level, f"{title}: {verdict.label}", wording.of_metric(verdict, comparison))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

"""The runs that a page shows in full: which, under what label, and what it draws of them."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from clipbench.api.result import Result
from clipbench.compare.history import History, Point
from clipbench.compare.trend import age
from clipbench.compare.verdicts import WORST_FIRST, Comparison, ComparisonStatus, Verdict, worst
from clipbench.errors import UsageError
from clipbench.report.page.charts import MOST_RUNS, Chart
from clipbench.report.page.curves import Lines, lines_of

SHOWN = 6  # runs in full, unless the command names them
MOST_FAILING = 4  # of these, so that runs that pass stand beside them


@dataclass(frozen=True)
class Run:
    """One result that the page shows in full, under its short ``label``, and all that it was compared with."""

    label: str
    result: Result
    comparisons: tuple[Comparison, ...]

    @property
    def status(self) -> ComparisonStatus:
        """The worst of its comparisons."""
        return worst(comparison.status for comparison in self.comparisons)

    @functools.cached_property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on each metric, from the first comparison that has a figure to compare it with."""
        found: dict[str, Verdict] = {}
        for verdict in (verdict for comparison in self.comparisons for verdict in comparison.verdicts):
            if verdict.metric not in found or found[verdict.metric].reference is None:
                found[verdict.metric] = verdict
        return found

    def lines(self, chart: Chart) -> Lines:
        """Return the points that a chart draws of it."""
        return lines_of(self.result, chart)


def choose(results: Sequence[Result], newest: Sequence[Point], wanted: Sequence[str]) -> list[str]:
    """Return ids of the runs to show in full: those ``wanted``, else some of the ``newest`` of each series and seed.

    Those that do not pass come first, the worst before the others. Older results fill up. Raises UsageError for an id
    that no result has, and for more runs than there are colours.
    """
    there = [result.run_id for result in sorted(results, key=age, reverse=True)]
    for run_id in wanted:
        if run_id not in there:
            raise UsageError(f"--run {run_id}: no such result among the paths; expected the run_id of one")
    if len(wanted) > MOST_RUNS:
        raise UsageError(f"--run: given {len(wanted)} times; a page shows up to {MOST_RUNS} runs in full")
    failing = [point for point in newest if point.status not in ("pass", "better")]
    failing.sort(key=lambda point: WORST_FIRST.index(point.status))
    first = [point.result.run_id for point in (*failing[:MOST_FAILING], *newest)]
    return list(dict.fromkeys(wanted)) or list(dict.fromkeys([*first, *there]))[:SHOWN]


def runs_in_full(history: History, names: Sequence[str]) -> list[Run]:
    """Return the runs to show in full with their comparisons; ``names`` has their labels."""
    pairs = zip(names, history.in_full, strict=True)
    return [Run(name, result, history.by_run[result.run_id]) for name, result in pairs]

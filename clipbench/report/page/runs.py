"""The runs that a page shows in full: which, under what label, and what it draws of them."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clipbench.api.plain import finite
from clipbench.api.result import Result
from clipbench.compare.history import History
from clipbench.compare.trend import age
from clipbench.compare.verdicts import Comparison, ComparisonStatus, Verdict, worst
from clipbench.errors import UsageError
from clipbench.report.page.charts import EPOCH_CHARTS, MOST_RUNS, Chart

SHOWN = 6  # runs in full, unless the command names them
HEADLINES = ("recall_mean", "text_recall_mean", "image_recall_mean", "throughput")


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
    def headlines(self) -> dict[str, Verdict | None]:
        """The verdict on each headline metric, from the first comparison that has a figure to compare it with."""
        verdicts = [verdict for comparison in self.comparisons for verdict in comparison.verdicts]
        return {
            name: min((v for v in verdicts if v.metric == name), key=lambda v: v.reference is None, default=None)
            for name in HEADLINES
        }

    @functools.cached_property
    def curves(self) -> dict[str, list[float | None]]:
        """The values of every chart over the epochs, one list for each key, and ``epoch`` itself."""
        records = [
            {**(record.recall or {}), **(vars(record.telemetry) if record.telemetry else {}), **vars(record)}
            for record in self.result.epochs
        ]
        keys = ["epoch", *(key for chart in EPOCH_CHARTS for key in chart.curves)]
        return {key: [shortened(finite(record.get(key))) for record in records] for key in keys}

    def has(self, chart: Chart) -> bool:
        """Return whether the run has any value that the chart draws."""
        return any(value is not None for key in chart.curves for value in self.curves[key])


def choose(results: Sequence[Result], wanted: Sequence[str]) -> list[str]:
    """Return ids of the runs to show in full: those ``wanted``, in that order, else the newest, newest first.

    Raises UsageError for an id that no result has, and for more runs than there are colours.
    """
    newest = [result.run_id for result in sorted(results, key=age, reverse=True)]
    for run_id in wanted:
        if run_id not in newest:
            raise UsageError(f"--run {run_id}: no such result among the paths; expected the run_id of one")
    if len(wanted) > MOST_RUNS:
        raise UsageError(f"--run: given {len(wanted)} times; a page shows up to {MOST_RUNS} runs in full")
    return list(dict.fromkeys(wanted)) or list(dict.fromkeys(newest))[:SHOWN]


def runs_in_full(chosen: Sequence[str], results: Sequence[Result], history: History) -> list[Run]:
    """Return the ``chosen`` runs with their comparisons, in that order."""
    by_id = {result.run_id: result for result in results}
    names = labels(chosen, [by_id[run_id].case for run_id in chosen])
    return [Run(name, by_id[run_id], history.by_run[run_id]) for name, run_id in zip(names, chosen, strict=True)]


def labels(run_ids: Sequence[str], cases: Sequence[str]) -> list[str]:
    """Return a short name for each run: its case and the end of its id, or the whole id where that is not enough."""
    short = [
        f"{case} {end}" if (end := run_id.rpartition("-")[2]) not in ("", run_id) else run_id
        for run_id, case in zip(run_ids, cases, strict=True)
    ]
    count = Counter(short)
    return [run_id if count[label] > 1 else label for label, run_id in zip(short, run_ids, strict=True)]


def shortened(value: float | None) -> float | None:
    """Return six digits that count: more than any chart shows, and a third of the bytes."""
    return None if value is None else float(f"{value:.6g}")

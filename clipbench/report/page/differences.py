"""How far the runs' figures are from what they are compared with, on an axis that a few of them cannot flatten."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clipbench.compare.verdicts import CurveMatch, NumericsSteps, Verdict
from clipbench.report.page.charts import Spec, difference_chart
from clipbench.report.page.curves import shortened
from clipbench.report.page.runs import Run
from clipbench.report.page.words import metric_words
from clipbench.report.quantity import figure

# The axis goes this far at least: times the half of all differences, and times the half of what passes.
MEDIANS, TOLERANCES = 4.0, 3.0
# Beside what is drawn in its place, as shares of the axis: with figures at the edge, and without.
ROOM, MARGIN = 0.35, 0.03
Row = dict[str, Any]


@dataclass(frozen=True)
class Differences:
    """The rows of each run, the metrics in their order, and the ends of the axis (None: the rows make it)."""

    rows: tuple[tuple[Row, ...], ...]
    metrics: tuple[str, ...]
    extent: tuple[float, float] | None

    def chart(self, runs: Sequence[str], fixed: bool = False) -> Spec:
        """Return the chart of all runs, by their labels."""
        rows = [row for rows in self.rows for row in rows] if fixed else ()
        return difference_chart(runs, self.metrics, self.extent, fixed, rows)


def differences_of(runs: Sequence[Run]) -> Differences:
    """Return how far each figure in percent is from what it was compared with first, in points."""
    pairs = [(run, [verdict for verdict in run.comparisons[0].verdicts if _is_in_points(verdict)]) for run in runs]
    judged = [verdict for _, verdicts in pairs for verdict in verdicts]
    extent = _extent(judged)
    rows = tuple(tuple(_row(run.label, verdict, extent) for verdict in verdicts) for run, verdicts in pairs)
    metrics = dict.fromkeys(row["metric"] for some in rows for row in some)
    return Differences(rows, tuple(metrics), extent)


def _is_in_points(verdict: Verdict) -> bool:
    shares = isinstance(verdict.evidence, CurveMatch | NumericsSteps)
    return verdict.unit == "percent" and verdict.difference is not None and not shares


def _extent(verdicts: Sequence[Verdict]) -> tuple[float, float] | None:
    """Return the ends of an axis on which most differences and tolerances are seen; None where all are anyway."""
    values = [verdict.difference or 0.0 for verdict in verdicts]
    tolerances = [verdict.tolerance for verdict in verdicts if verdict.tolerance is not None]
    usual = statistics.median(tolerances or [0.0])
    far = max(MEDIANS * statistics.median(map(abs, values or [0.0])), TOLERANCES * usual)
    inside = [value for value in values if abs(value) <= far]
    near = [tolerance for tolerance in tolerances if tolerance <= far]
    if not far or (len(inside), len(near)) == (len(values), len(tolerances)):
        return None
    passing = max(near, default=0.0)
    low, high = min(*inside, -passing, 0.0), max(*inside, 0.0)
    span = (high - low) or far
    return low - span * (ROOM if min(values) < -far else MARGIN), high + span * (ROOM if max(values) > far else MARGIN)


def _row(label: str, verdict: Verdict, extent: tuple[float, float] | None) -> Row:
    difference = verdict.difference or 0.0
    low, high = extent or (difference, difference)
    beyond = (difference > high) - (difference < low)
    text = figure(difference, verdict.unit, "+")
    return {
        "run": label,
        "metric": metric_words(verdict.metric),
        "shown": shortened(min(max(difference, low), high)),
        "beyond": beyond,
        "far": {-1: f"◂ {text}  {label}", 0: "", 1: f"{label}  {text} ▸"}[beyond],
        "low": None if verdict.tolerance is None else max(-verdict.tolerance, extent[0] if extent else -math.inf),
        "words": f"{figure(verdict.value, verdict.unit)} % ({text}): {verdict.label}",
    }

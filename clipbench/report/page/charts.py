"""The charts of a report as Vega-Lite: one description each, for the page and for its picture.

``charts.json`` has the descriptions, with ``"$name"`` where a value or another part of it belongs; its section
``shared`` is for both, ``page`` and ``picture`` have the parts that differ. On the page colours are CSS variables, so
that light, dark and print share one chart; pictures have fixed colours. Runs differ by colour and by the shape of their
points, curves of a run by the dashes of their line: no information is in colour alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

Spec = dict[str, Any]

PARTS = json.loads(resources.files(__package__).joinpath("charts.json").read_text(encoding="utf-8"))
MOST_RUNS = len(PARTS["shared"]["run_shapes"])


@dataclass(frozen=True)
class Chart:
    """One chart over the epochs. ``name`` is the picture's file name without its ending.

    ``curves`` has the label of each line by the field or recall of an epoch record, or of its telemetry, that it draws.
    """

    name: str
    title: str
    unit: str
    curves: Mapping[str, str]
    form: str = ",.4~g"
    from_zero: bool = False
    wide: bool = False


EPOCH_CHARTS = tuple(Chart(**chart) for chart in PARTS["epoch_charts"])


def epoch_chart(chart: Chart, runs: Sequence[str], fixed: bool = False, rows: Sequence[Spec] = ()) -> Spec:
    """Return a chart over the epochs of ``runs`` (their labels), a picture where ``fixed``.

    ``rows`` have epoch, run, curve, value, mark (0 or 1). Without ``fixed``, data come from the page by the name
    ``points`` and its list of runs is the legend.
    """
    curves = list(chart.curves.values())
    about = {"title": chart.title, "unit": chart.unit, "from_zero": chart.from_zero, "curves": curves}
    if len(curves) == 1:
        about["curve_legend"] = None
    label = f"datum.value == 0 ? '0' : format(datum.value, '{chart.form}')"
    return _spec("epoch", fixed, runs=runs, rows=rows, label=label, height=300 if chart.wide else 200, **about)


def comparison_chart(
    runs: Sequence[str], metrics: Sequence[str], fixed: bool = False, rows: Sequence[Spec] = ()
) -> Spec:
    """Return a chart of how far each recall of ``runs`` is from its reference or baseline, and how far below passes.

    ``rows`` have run, metric (its words), difference, low (None: not gated), words; all in points of percent.
    """
    title = "Recall, difference to the reference (shaded: how far below passes)"
    height = 60 + len(metrics) * max(22, 11 * len(runs))
    about = {"title": title, "unit": "points", "metrics": metrics, "height": height}
    spec = _spec("comparison", fixed, runs=runs, rows=rows, **about)
    if len(runs) > 1:
        # Side by side within a metric's row, so that runs that come to the same stay visible.
        offset = {"field": "run", "type": "nominal", "scale": {"domain": runs}}
        spec["layer"][-1]["encoding"]["yOffset"] = offset
    return spec


def history_chart(by: str, title: str, unit: str, fixed: bool = False, rows: Sequence[Spec] = ()) -> Spec:
    """Return a chart of one metric of one series, by ``date`` or by ``commit``; the page fills in ``slots``.

    ``rows`` are of two kinds. A result: x, value, status, words; a band: x, reference, low, high, each valid until
    the next. x is milliseconds, or the number of the commit.
    """
    seen = {row.get("status") for row in rows}
    statuses = [status for status in PARTS["shared"]["statuses"] if status in seen]
    x = PARTS["shared"][f"history_{by}"]
    return _spec("history", fixed, rows=rows, title=title, unit=unit, x=x, statuses_seen=statuses)


def _spec(name: str, fixed: bool, **values: Any) -> Spec:  # noqa: ANN401
    """Return the chart ``name`` of ``charts.json``, with ``values`` as they are and its own parts filled in."""
    parts = {**PARTS["shared"], **PARTS["picture" if fixed else "page"]}
    for marks, labels in (("run_colours", "runs"), ("run_shapes", "runs"), ("dashes", "curves")):
        parts[marks] = parts[marks][: len(values.get(labels, ()))]

    def filled(part: Any) -> Any:  # noqa: ANN401
        if isinstance(part, dict):
            return {key: filled(inner) for key, inner in part.items()}
        if isinstance(part, list):
            return [filled(inner) for inner in part]
        if isinstance(part, str) and part.startswith("$"):
            name = part[1:]
            return values[name] if name in values else filled(parts[name])
        return part

    return {**filled(parts["frame"]), **filled(parts[name])}

"""The charts of a report as Vega-Lite: one description each, for the page and for its picture.

``charts.json`` has the descriptions, with ``"$name"`` where a value or another part of it belongs; its section
``shared`` is for both, ``page`` and ``picture`` have the parts that differ. On the page colours are CSS variables, so
that light, dark and print share one chart; pictures have fixed colours. Runs differ by colour and by the shape of their
points, curves of a run by the dashes of their line: no information is in colour alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

Spec = dict[str, Any]

PARTS = json.loads(resources.files(__package__).joinpath("charts.json").read_text(encoding="utf-8"))
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
RUN_COLOURS = ("#0b63b5", "#c2410c", "#0f7b55", "#a21c6b", "#6b4fbb", "#8a6d00", "#0e7490", "#57534e")
DASHES = ((1, 0), (7, 3), (2, 2), (9, 3, 2, 3))
MOST_RUNS = len(SHAPES)
# Verdicts of a point in the history: shape, and colour of its picture.
STATUS_MARKS: Mapping[str, tuple[str, str]] = {
    "pass": ("circle", "#157a4c"),
    "warn": ("triangle-down", "#8a5a00"),
    "better": ("triangle-up", "#0b63b5"),
    "inconclusive": ("triangle-right", "#8a5a00"),
    "fail": ("cross", "#b91c1c"),
    "missing": ("cross", "#b91c1c"),
    "not comparable": ("diamond", "#8a5a00"),
    "ungated": ("square", "#566171"),
}
COMPARISON_TITLE = "Recall, difference to the reference (shaded: how far below passes)"


@dataclass(frozen=True)
class Chart:
    """One chart over the epochs. ``name`` is the picture's file name without its ending.

    ``curves`` has the label of each line by the field or recall of an epoch record that it draws.
    """

    name: str
    title: str
    unit: str
    curves: Mapping[str, str]
    form: str = ",.4~g"
    from_zero: bool = False
    wide: bool = False


LOSSES = {"train_loss": "train", "val_loss": "validation"}
RECALLS = {f"{side}_recall@{k}": f"{side} R@{k}" for side in ("text", "image") for k in (1, 5)}
EPOCH_CHARTS = (
    Chart("epoch_loss", "Loss", "nats", LOSSES, wide=True),
    Chart("epoch_recall", "Recall", "percent", RECALLS, wide=True),
    Chart("learning_rate", "Learning rate", "at the epoch's first step", {"learning_rate": "rate"}, ".2~e"),
    Chart("throughput", "Throughput", "pairs/s", {"samples_per_second": "pairs/s"}, ",.4~r", from_zero=True),
    Chart("data_wait", "Waiting for data", "share of the time", {"data_wait": "data wait"}, ".1~%", from_zero=True),
)


def epoch_chart(chart: Chart, runs: Sequence[str], fixed: bool = False, rows: Sequence[Spec] = ()) -> Spec:
    """Return a chart over the epochs of ``runs`` (their labels), a picture where ``fixed``.

    ``rows`` have epoch, run, curve, value, mark (0 or 1). Without ``fixed``, data come from the page by the name
    ``points`` and its list of runs is the legend.
    """
    curves = list(chart.curves.values())
    values = {
        **_run_marks(runs, fixed),
        "title": chart.title,
        "unit": chart.unit,
        "rows": list(rows),
        "curves": curves,
        "dashes": DASHES[: len(curves)],
        "label": f"datum.value == 0 ? '0' : format(datum.value, '{chart.form}')",
        "from_zero": chart.from_zero,
        "height": 300 if chart.wide else 200,
    }
    if len(curves) == 1:
        values["curve_legend"] = None
    return _spec("epoch", fixed, values)


def comparison_chart(
    runs: Sequence[str], metrics: Sequence[str], fixed: bool = False, rows: Sequence[Spec] = ()
) -> Spec:
    """Return a chart of how far each recall of ``runs`` is from its reference or baseline, and how far below passes.

    ``rows`` have run, metric (its words), difference, low (None: not gated), words; all in points of percent.
    """
    height = 60 + len(metrics) * max(22, 11 * len(runs))
    values = {"title": COMPARISON_TITLE, "unit": "points", "rows": list(rows), "metrics": list(metrics)}
    spec = _spec("comparison", fixed, {**_run_marks(runs, fixed), **values, "height": height})
    if len(runs) > 1:
        # Side by side within a metric's row, so that runs that come to the same stay visible.
        offset = {"field": "run", "type": "nominal", "scale": {"domain": list(runs)}}
        spec["layer"][-1]["encoding"]["yOffset"] = offset
    return spec


def history_chart(by: str, title: str, unit: str, fixed: bool = False, rows: Sequence[Spec] = ()) -> Spec:
    """Return a chart of one metric of one series, by ``date`` or by ``commit``; the page fills in ``slots``.

    ``rows`` are of two kinds. A result: x, value, status, words; a band: x, reference, low, high, each valid until
    the next. x is milliseconds, or the number of the commit.
    """
    seen = {row.get("status") for row in rows}
    values = {
        "title": title,
        "unit": unit,
        "rows": list(rows),
        "x": PARTS["shared"][f"history_{by}"],
        "statuses": list(STATUS_MARKS),
        "statuses_seen": [status for status in STATUS_MARKS if status in seen],
        "status_shapes": [shape for shape, _ in STATUS_MARKS.values()],
        "status_colours": [
            colour if fixed else f"var(--{status.replace(' ', '-')})" for status, (_, colour) in STATUS_MARKS.items()
        ],
    }
    return _spec("history", fixed, values)


def _run_marks(runs: Sequence[str], fixed: bool) -> Spec:
    """Return what tells runs apart: colours and shapes."""
    colours = RUN_COLOURS if fixed else [f"var(--run{number})" for number in range(1, MOST_RUNS + 1)]
    return {"runs": list(runs), "run_colours": colours[: len(runs)], "run_shapes": SHAPES[: len(runs)]}


def _spec(name: str, fixed: bool, values: Mapping[str, object]) -> Spec:
    """Return the chart ``name`` of ``charts.json``, with ``values`` as they are and its own parts filled in."""
    parts = {**PARTS["shared"], **PARTS["picture" if fixed else "page"]}

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

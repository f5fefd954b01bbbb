"""The charts of a report as Vega-Lite: one description each, for the page and for its picture.

On the page colours are CSS variables, so that light, dark and print share one chart; pictures have fixed colours.
Runs differ by colour and by the shape of their points, curves of a run by the dashes of their line: no information
is in colour alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

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
# Colours of pictures by the name of the page's CSS variable.
COLOURS = {
    "ink": "#1c2430",
    "muted": "#566171",
    "grid": "#e3e7ec",
    "band": "#0b63b5",
    **{f"run{number}": colour for number, colour in enumerate(RUN_COLOURS, 1)},
    **{status.replace(" ", "-"): colour for status, (_, colour) in STATUS_MARKS.items()},
}


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


def _field(name: str, kind: str = "quantitative", **rest: object) -> Spec:
    return {"field": name, "type": kind, **rest}


def _nominal(name: str, domain: Iterable[str], marks: Iterable[object], legend: Spec | None) -> Spec:
    """Return an encoding that gives each value of ``domain`` its mark: a colour, a shape or dashes."""
    return _field(name, "nominal", legend=legend, scale={"domain": list(domain), "range": list(marks)})


# Parts that several charts share.
POINT = {"type": "point", "filled": True, "opacity": 1}
LEGEND = {"orient": "bottom", "title": None, "symbolStrokeWidth": 0}
RUN_LEGEND = {**LEGEND, "direction": "vertical"}
DASH_LEGEND = {"orient": "bottom", "direction": "vertical", "title": None, "symbolType": "stroke", "symbolSize": 500}
EPOCH = _field(
    "epoch",
    axis={"format": "d", "tickMinStep": 1, "title": "epoch"},
    scale={"zero": False, "nice": False, "padding": 12},
)
# The line at the epoch nearest to the pointer; the page fills its tooltip with every run's values there.
HOVER = {"type": "point", "on": "pointerover", "clear": "pointerout", "nearest": True, "encodings": ["x"]}
EPOCH_RULE = {
    "transform": [{"aggregate": [{"op": "count", "as": "lines"}], "groupby": ["epoch"]}],
    "params": [{"name": "hover", "select": HOVER}],
    "mark": {"type": "rule", "color": "var(--muted)", "strokeWidth": 1},
    "encoding": {
        "x": EPOCH,
        "opacity": {"condition": {"param": "hover", "empty": False, "value": 0.6}, "value": 0},
        "tooltip": _field("epoch", format="d"),
    },
}
COMPARISON_TITLE = "Recall, difference to the reference (shaded: how far below passes)"
COMPARED = {"run": "run", "metric": "metric", "words": "result"}
COMPARISON_TOOLTIP = [{"field": name, "title": title} for name, title in COMPARED.items()]
METRIC_AXIS = {"title": None, "labelLimit": 200, "domain": False, "labelPadding": 8}
DAY, MONTH = "%d %b", "%b %Y"
CLOCK = {"seconds": "%H:%M:%S", "minutes": "%H:%M", "hours": "%H:%M"}
DATES = {**CLOCK, "date": DAY, "week": DAY, "month": MONTH, "quarter": MONTH}
COMMIT_AXIS = {"title": "commit", "tickMinStep": 1, "labelExpr": "slots[datum.value] || ''", "labelAngle": -35}
PADDED = {"nice": False, "padding": 14}
HISTORY_X = {
    "date": _field(
        "x",
        "temporal",
        axis={"title": None, "labelFlush": True, "format": DATES, "tickCount": 8},
        scale={**PADDED, "type": "utc"},
    ),
    "commit": _field("x", axis=COMMIT_AXIS, scale={**PADDED, "zero": False}),
}


def theme(fixed: bool) -> Spec:
    """Return Vega-Lite's ``config``: fixed colours for pictures, else the page's CSS variables."""
    ink, muted, grid = (_colour(name, fixed) for name in ("ink", "muted", "grid"))
    text = {"labelColor": muted, "titleColor": ink, "labelFontSize": 12, "titleFontSize": 12}
    axis = {"gridColor": grid, "domainColor": muted, "tickColor": grid, **text}
    return {
        "background": "#ffffff" if fixed else "transparent",
        "font": "Liberation Sans, Arial, sans-serif" if fixed else "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {**axis, "titleFontWeight": "normal", "labelOverlap": True, "titlePadding": 8},
        "axisX": {"grid": False, "ticks": True},
        "axisY": {"ticks": False, "domain": False, "labelPadding": 6},
        "legend": {**text, "symbolStrokeColor": ink, "labelLimit": 360, "titleFontWeight": "normal"},
        "title": {"color": ink, "fontSize": 15, "anchor": "start", "offset": 10},
    }


def epoch_chart(chart: Chart, runs: Sequence[str], fixed: bool = False, rows: Sequence[Spec] = ()) -> Spec:
    """Return a chart over the epochs of ``runs`` (their labels).

    ``rows`` have epoch, run, curve, value, mark (0 or 1). Without ``fixed``, data come from the page by the name
    ``points`` and its list of runs is the legend.
    """
    labels = list(chart.curves.values())
    form = f"datum.value == 0 ? '0' : format(datum.value, '{chart.form}')"
    axis = {"labelExpr": form, "title": chart.unit if fixed else None, "tickCount": 6}
    colour, shape = _run_marks(runs, fixed)
    dashes = _nominal("curve", labels, DASHES[: len(labels)], DASH_LEGEND if fixed and len(labels) > 1 else None)
    shared = {
        "x": EPOCH,
        "y": _field("value", axis=axis, scale={"zero": chart.from_zero}),
        "color": colour,
        "detail": {"field": "curve"},
    }
    marked = [{"filter": "datum.mark"}]
    layers: list[Spec] = [
        {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {**shared, "strokeDash": dashes}},
        {"transform": marked, "mark": {**POINT, "size": 55}, "encoding": {**shared, "shape": shape}},
        *([] if fixed else [EPOCH_RULE]),
    ]
    return _page(chart.title, layers, rows, fixed, height=300 if chart.wide else 200)


def comparison_chart(
    runs: Sequence[str], metrics: Sequence[str], fixed: bool = False, rows: Sequence[Spec] = ()
) -> Spec:
    """Return a chart of how far each recall of ``runs`` is from its reference or baseline, and how far below passes.

    ``rows`` have run, metric (its words), difference, low (None: not gated), words; all in points of percent.
    """
    bands = {"type": "band", "domain": list(metrics), "paddingInner": 0.25, "paddingOuter": 0.12}
    y = _field("metric", "nominal", scale=bands, axis=METRIC_AXIS)
    axis = {"format": "+.3~g", "title": "points" if fixed else None, "grid": True, "tickCount": 8}
    colour, shape = _run_marks(runs, fixed)
    points = {"y": y, "x": _field("difference", axis=axis), "color": colour, "shape": shape}
    if len(runs) > 1:
        # Side by side within a metric's row, so that runs that come to the same stay visible.
        points["yOffset"] = _field("run", "nominal", scale={"domain": list(runs)})
    passing = {"type": "rect", "color": _colour("band", fixed), "opacity": 0.16, "height": {"expr": "bandwidth('y')"}}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": passing,
            "encoding": {"y": y, "x": _field("low", aggregate="min"), "x2": {"datum": 0}},
        },
        {
            "mark": {"type": "rule", "color": _colour("ink", fixed), "strokeWidth": 1.5},
            "encoding": {"x": {"datum": 0}},
        },
        {"mark": {**POINT, "size": 90}, "encoding": {**points, "tooltip": COMPARISON_TOOLTIP}},
    ]
    return _page(COMPARISON_TITLE, layers, rows, fixed, height=60 + len(metrics) * max(22, 11 * len(runs)))


def history_chart(by: str, title: str, unit: str, fixed: bool = False, rows: Sequence[Spec] = ()) -> Spec:
    """Return a chart of one metric of one series, by ``date`` or by ``commit``; the page fills in ``slots``.

    ``rows`` are of two kinds. A result: x, value, status, words; a band: x, reference, low, high, each valid until
    the next. x is milliseconds, or the number of the commit.
    """
    axis = {"title": unit if fixed else None, "format": ",.5~g", "tickCount": 6}
    y = _field("value", axis=axis, scale={"zero": False})
    band = {"color": _colour("band", fixed), "interpolate": "step-after"}
    dashed = {"type": "line", "strokeWidth": 1.5, "strokeDash": [6, 3]}
    thin = {"type": "line", "color": _colour("muted", fixed), "strokeWidth": 1}
    point = {**POINT, "size": {"expr": "length(data('points')) > 400 ? 20 : 60"}}  # many points are small ones
    colour, shape = _status_marks(rows, fixed)

    def layer(condition: str, mark: Spec, **encoding: Spec) -> Spec:
        return {"transform": [{"filter": condition}], "mark": mark, "encoding": {"x": HISTORY_X[by], **encoding}}

    def bands(mark: Spec, **encoding: Spec) -> Spec:
        return layer("isValid(datum.x) && datum.band", {**band, **mark}, **encoding)

    layers = [
        bands({"type": "area", "opacity": 0.14}, y={**y, "field": "low"}, y2={"field": "high"}),
        bands(dashed, y={**y, "field": "reference"}),
        layer("!datum.band", thin, y={**y, "aggregate": "median"}),
        layer("!datum.band", point, y=y, color=colour, shape=shape, tooltip={"field": "words"}),
    ]
    return {**_page(title, layers, rows, fixed, height=300), "params": [{"name": "slots", "value": []}]}


def _colour(name: str, fixed: bool) -> str:
    return COLOURS[name] if fixed else f"var(--{name})"


def _run_marks(runs: Sequence[str], fixed: bool) -> tuple[Spec, Spec]:
    """Return the encodings that tell runs apart: colour and shape."""
    legend = RUN_LEGEND if fixed else None
    colours = [_colour(f"run{number}", fixed) for number in range(1, len(runs) + 1)]
    return _nominal("run", runs, colours, legend), _nominal("run", runs, SHAPES[: len(runs)], legend)


def _status_marks(rows: Sequence[Spec], fixed: bool) -> tuple[Spec, Spec]:
    """Return the encodings of a verdict: colour and shape; a picture's legend has those that are in ``rows``."""
    seen = {row.get("status") for row in rows}
    legend = {**LEGEND, "values": [status for status in STATUS_MARKS if status in seen]} if fixed else None
    colours = [_colour(status.replace(" ", "-"), fixed) for status in STATUS_MARKS]
    shapes = [shape for shape, _ in STATUS_MARKS.values()]
    return _nominal("status", STATUS_MARKS, colours, legend), _nominal("status", STATUS_MARKS, shapes, legend)


def _page(title: str, layers: list[Spec], rows: Sequence[Spec], fixed: bool, height: int) -> Spec:
    """Return what all charts share. A picture has its title and its data in itself; the page has both around it."""
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "height": height,
        "layer": layers,
        "config": theme(fixed),
    }
    if fixed:
        size = {"width": 760, "padding": 16, "autosize": {"type": "pad", "contains": "padding"}}
        return {**spec, **size, "title": title, "data": {"name": "points", "values": list(rows)}}
    size = {"width": "container", "autosize": {"type": "fit-x", "contains": "padding"}}
    return {**spec, **size, "data": {"name": "points"}}

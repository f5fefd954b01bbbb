"""The charts of a report as Vega-Lite: one description each, for the page and for its picture.

On the page colours are CSS variables, so that light, dark and print need no second drawing; pictures have fixed ones.
Runs differ by colour and by the shape of their points, what is drawn of a run by the dashes of its line: nothing is
told by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
RUN_COLOURS = ("#0b63b5", "#c2410c", "#0f7b55", "#a21c6b", "#6b4fbb", "#8a6d00", "#0e7490", "#57534e")
DASHES = ([1, 0], [7, 3], [2, 2], [9, 3, 2, 3])
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
COLOURS = {"ink": "#1c2430", "muted": "#566171", "grid": "#e3e7ec", "band": "#0b63b5", "page": "#ffffff"}


@dataclass(frozen=True)
class Curve:
    """One line of a chart: where an epoch record has the value, and what it is called."""

    key: str
    label: str


@dataclass(frozen=True)
class Chart:
    """One chart over the epochs. ``name`` is the picture's file name without its ending."""

    name: str
    title: str
    unit: str
    curves: tuple[Curve, ...]
    form: str = ",.4~g"
    from_zero: bool = False
    wide: bool = False


EPOCH_CHARTS = (
    Chart("epoch_loss", "Loss", "nats", (Curve("train_loss", "train"), Curve("val_loss", "validation")), wide=True),
    Chart(
        "epoch_recall",
        "Recall",
        "percent",
        (
            Curve("text_recall@1", "text R@1"),
            Curve("text_recall@5", "text R@5"),
            Curve("image_recall@1", "image R@1"),
            Curve("image_recall@5", "image R@5"),
        ),
        wide=True,
    ),
    Chart("learning_rate", "Learning rate", "at the epoch's first step", (Curve("learning_rate", "rate"),), ".2~e"),
    Chart("throughput", "Throughput", "pairs/s", (Curve("samples_per_second", "pairs/s"),), ",.4~r", from_zero=True),
    Chart(
        "data_wait", "Waiting for data", "share of the time", (Curve("data_wait", "data wait"),), ".1~%", from_zero=True
    ),
)


def theme(fixed: bool) -> Spec:
    """Vega-Lite's ``config``: fixed colours for pictures, else the page's CSS variables."""

    def colour(name: str) -> str:
        return COLOURS[name] if fixed else f"var(--{name})"

    text = {"labelColor": colour("muted"), "titleColor": colour("ink"), "labelFontSize": 12, "titleFontSize": 12}
    axis = {"gridColor": colour("grid"), "domainColor": colour("muted"), "tickColor": colour("grid"), **text}
    return {
        "background": COLOURS["page"] if fixed else "transparent",
        "font": "Liberation Sans, Arial, sans-serif" if fixed else "system-ui, sans-serif",
        "view": {"stroke": None},
        "axis": {**axis, "titleFontWeight": "normal", "labelOverlap": True, "titlePadding": 8},
        "axisX": {"grid": False, "ticks": True},
        "axisY": {"ticks": False, "domain": False, "labelPadding": 6},
        "legend": {**text, "symbolStrokeColor": colour("ink"), "labelLimit": 360, "titleFontWeight": "normal"},
        "title": {"color": colour("ink"), "fontSize": 15, "anchor": "start", "offset": 10},
    }


def epoch_chart(chart: Chart, runs: Sequence[str], fixed: bool = False, rows: Sequence[Spec] = ()) -> Spec:
    """A chart over the epochs of ``runs`` (their labels). ``rows`` have epoch, run, curve, value, mark (0 or 1).

    Without ``fixed``, data come from the page by the name ``points`` and its list of runs is the legend.
    """
    colours = [RUN_COLOURS[i] if fixed else f"var(--run{i + 1})" for i in range(len(runs))]
    legend = {"orient": "bottom", "direction": "vertical", "title": None} if fixed else None
    run = {"field": "run", "type": "nominal", "legend": {**legend, "symbolStrokeWidth": 0} if legend else None}
    colour = {**run, "scale": {"domain": list(runs), "range": colours}}
    shape = {**run, "scale": {"domain": list(runs), "range": list(SHAPES[: len(runs)])}}
    dash = {
        "field": "curve",
        "type": "nominal",
        "scale": {
            "domain": [curve.label for curve in chart.curves],
            "range": [list(d) for d in DASHES[: len(chart.curves)]],
        },
        "legend": {**legend, "symbolType": "stroke", "symbolSize": 500} if legend and len(chart.curves) > 1 else None,
    }
    x = {
        "field": "epoch",
        "type": "quantitative",
        "axis": {"format": "d", "tickMinStep": 1, "title": "epoch"},
        "scale": {"zero": False, "nice": False, "padding": 12},
    }
    form = f"datum.value == 0 ? '0' : format(datum.value, '{chart.form}')"
    y = {
        "field": "value",
        "type": "quantitative",
        "axis": {"labelExpr": form, "title": chart.unit if fixed else None, "tickCount": 6},
        "scale": {"zero": chart.from_zero},
    }
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "strokeWidth": 2},
            "encoding": {"x": x, "y": y, "color": colour, "strokeDash": dash, "detail": {"field": "curve"}},
        },
        {
            "transform": [{"filter": "datum.mark"}],
            "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": colour, "shape": shape, "detail": {"field": "curve"}},
        },
    ]
    if not fixed:
        layers.append(_epoch_rule(x))
    return _page(chart.title, layers, "points", rows, fixed, height=300 if chart.wide else 200)


def _epoch_rule(x: Spec) -> Spec:
    """The line at the epoch nearest to the pointer; the page fills its tooltip with every run's values there."""
    shown = {"condition": {"param": "hover", "empty": False, "value": 0.6}, "value": 0}
    tooltip = {"field": "epoch", "type": "quantitative", "format": "d"}
    return {
        "transform": [{"aggregate": [{"op": "count", "as": "lines"}], "groupby": ["epoch"]}],
        "params": [
            {
                "name": "hover",
                "select": {
                    "type": "point",
                    "on": "pointerover",
                    "clear": "pointerout",
                    "nearest": True,
                    "encodings": ["x"],
                },
            }
        ],
        "mark": {"type": "rule", "color": "var(--muted)", "strokeWidth": 1},
        "encoding": {"x": x, "opacity": shown, "tooltip": tooltip},
    }


def comparison_chart(
    runs: Sequence[str], metrics: Sequence[str], fixed: bool = False, rows: Sequence[Spec] = ()
) -> Spec:
    """How far each recall of ``runs`` is from its reference or baseline, and how far below still passes.

    ``rows`` have run, metric (its words), difference, low (None: not gated), words; all in points of percent.
    """
    colours = [RUN_COLOURS[i] if fixed else f"var(--run{i + 1})" for i in range(len(runs))]
    legend = {"orient": "bottom", "direction": "vertical", "title": None} if fixed else None
    run = {"field": "run", "type": "nominal", "legend": {**legend, "symbolStrokeWidth": 0} if legend else None}
    y = {
        "field": "metric",
        "type": "nominal",
        "scale": {"type": "band", "domain": list(metrics), "paddingInner": 0.25, "paddingOuter": 0.12},
        "axis": {"title": None, "labelLimit": 200, "domain": False, "labelPadding": 8},
    }
    axis = {"format": "+.3~g", "title": "points" if fixed else None, "grid": True, "tickCount": 8}
    x = {"field": "difference", "type": "quantitative", "axis": axis}
    # Side by side within a metric's row, so that runs that come to the same stay visible.
    offset = {"yOffset": {"field": "run", "type": "nominal", "scale": {"domain": list(runs)}}} if len(runs) > 1 else {}
    ink, band = (COLOURS["ink"], COLOURS["band"]) if fixed else ("var(--ink)", "var(--band)")
    layers: list[Spec] = [
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rect", "color": band, "opacity": 0.16, "height": {"expr": "bandwidth('y')"}},
            "encoding": {
                "y": y,
                "x": {"aggregate": "min", "field": "low", "type": "quantitative"},
                "x2": {"datum": 0},
            },
        },
        {"mark": {"type": "rule", "color": ink, "strokeWidth": 1.5}, "encoding": {"x": {"datum": 0}}},
        {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
            "encoding": {
                "y": y,
                "x": x,
                **offset,
                "color": {**run, "scale": {"domain": list(runs), "range": colours}},
                "shape": {**run, "scale": {"domain": list(runs), "range": list(SHAPES[: len(runs)])}},
                "tooltip": [
                    {"field": "run", "title": "run"},
                    {"field": "metric", "title": "metric"},
                    {"field": "words", "title": "result"},
                ],
            },
        },
    ]
    height = 60 + len(metrics) * max(22, 11 * len(runs))
    return _page(
        "Recall, difference to the reference (shaded: how far below passes)",
        layers,
        "points",
        rows,
        fixed,
        height=height,
    )


def history_chart(
    by: str, title: str, unit: str, fixed: bool = False, rows: Sequence[Spec] = (), slots: Sequence[str] = ()
) -> Spec:
    """One metric of one series, by ``date`` or by ``commit``; ``slots`` are the commits in their order.

    ``rows`` are of two kinds. A result: x, value, status, words; a band: x, reference, low, high, each valid until
    the next. x is milliseconds, or the number of the commit.
    """
    clock = {
        "minutes": "%H:%M",
        "hours": "%H:%M",
        "date": "%d %b",
        "week": "%d %b",
        "month": "%b %Y",
        "quarter": "%b %Y",
    }
    axis: Spec = {"title": None, "labelFlush": True, "format": {"seconds": "%H:%M:%S", **clock}, "tickCount": 8}
    if by == "commit":
        axis = {"title": "commit", "tickMinStep": 1, "labelExpr": "slots[datum.value] || ''", "labelAngle": -35}
    x = {
        "field": "x",
        "type": "temporal" if by == "date" else "quantitative",
        "axis": axis,
        "scale": {"nice": False, "padding": 14, **({"type": "utc"} if by == "date" else {"zero": False})},
    }
    y_axis = {"title": unit if fixed else None, "format": ",.5~g", "tickCount": 6}
    y = {"field": "value", "type": "quantitative", "axis": y_axis, "scale": {"zero": False}}
    band, muted = (COLOURS[n] if fixed else f"var(--{n})" for n in ("band", "muted"))
    few = "length(data('points')) > 400 ? 20 : 60"  # many points are small ones
    marks = STATUS_MARKS.items()
    status_colours = [mark[1] if fixed else f"var(--{name.replace(' ', '-')})" for name, mark in marks]
    seen = [name for name in STATUS_MARKS if any(row.get("status") == name for row in rows)]
    legend = {"orient": "bottom", "title": None, "values": seen, "symbolStrokeWidth": 0} if fixed else None
    status = {"field": "status", "type": "nominal", "legend": legend}
    steps = {"interpolate": "step-after"}
    bands = [{"filter": "isValid(datum.x) && datum.band"}]
    results = [{"filter": "!datum.band"}]
    layers = [
        {
            "transform": bands,
            "mark": {"type": "area", "color": band, "opacity": 0.14, **steps},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
        },
        {
            "transform": bands,
            "mark": {"type": "line", "color": band, "strokeWidth": 1.5, "strokeDash": [6, 3], **steps},
            "encoding": {"x": x, "y": {**y, "field": "reference"}},
        },
        {
            "transform": results,
            "mark": {"type": "line", "color": muted, "strokeWidth": 1},
            "encoding": {"x": x, "y": {**y, "aggregate": "median"}},
        },
        {
            "transform": results,
            "mark": {"type": "point", "filled": True, "size": {"expr": few}, "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                "color": {**status, "scale": {"domain": list(STATUS_MARKS), "range": status_colours}},
                "shape": {**status, "scale": {"domain": list(STATUS_MARKS), "range": [mark[0] for _, mark in marks]}},
                "tooltip": {"field": "words"},
            },
        },
    ]
    spec = _page(title, layers, "points", rows, fixed, height=300)
    return {**spec, "params": [{"name": "slots", "value": list(slots)}]}


def _page(title: str, layers: list[Spec], name: str, rows: Sequence[Spec], fixed: bool, height: int) -> Spec:
    """What all charts share. A picture has its title and its data in itself; the page has both around it."""
    size: Spec = {"width": 760, "padding": 16} if fixed else {"width": "container"}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        **({"title": title} if fixed else {}),
        **size,
        "height": height,
        "autosize": {"type": "fit-x" if not fixed else "pad", "contains": "padding"},
        "data": {"name": name, **({"values": list(rows)} if fixed else {})},
        "layer": layers,
        "config": theme(fixed),
    }

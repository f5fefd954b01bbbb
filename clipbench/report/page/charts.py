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
from typing import Any, Literal

Spec = dict[str, Any]
Source = Literal["epochs", "windows", "readings", "first_steps"]

PARTS = json.loads(resources.files(__package__).joinpath("charts.json").read_text(encoding="utf-8"))
MOST_RUNS = len(PARTS["shared"]["run_shapes"])
MOST_CURVES = len(PARTS["shared"]["dashes"])
X_TITLES: Mapping[Source, str] = {"epochs": "epoch", "windows": "step", "readings": "minutes", "first_steps": "step"}


@dataclass(frozen=True)
class Chart:
    """One chart of curves over epochs, steps or time. ``name`` is the picture's file name without its ending.

    ``curves`` has the label of each line by the key of the values that it draws, of those that ``source`` has.
    ``form`` is d3's format of a value, empty for the decimals of its unit; ``about`` says more than the title.
    """

    name: str
    title: str
    unit: str
    curves: Mapping[str, str]
    source: Source = "epochs"
    about: str = ""
    form: str = ""
    from_zero: bool = False
    wide: bool = False

    @property
    def x_title(self) -> str:
        """What its points are over."""
        return X_TITLES[self.source]


CHARTS = tuple(Chart(**chart) for chart in PARTS["charts"])


def line_chart(chart: Chart, runs: Sequence[str], fixed: bool = False, rows: Sequence[Spec] = ()) -> Spec:
    """Return a chart of the curves of ``runs`` (their labels), a picture where ``fixed``.

    ``rows`` have x, run, curve, value, mark (0 or 1), width of the line. Without ``fixed``, data come from the page by
    the name ``points`` and its list of runs is the legend.
    """
    curves = list(chart.curves.values())
    unit = ", ".join(filter(None, [chart.unit, chart.about]))
    about = {"title": chart.title, "unit": unit, "from_zero": chart.from_zero, "curves": curves}
    if chart.source == "readings":
        about |= {"x_title": chart.x_title, "x_step": 0, "x_label": "datum.label"}
    else:  # the smallest step between ticks is no more than a wish
        about |= {"x_title": chart.x_title, "x_step": 1, "x_label": "datum.value % 1 ? '' : format(datum.value, ',')"}
    if len(curves) == 1:
        about["curve_legend"] = None
    label = f"datum.value == 0 ? '0' : format(datum.value, '{chart.form or ',.4~r'}')"
    return _spec("line", fixed, runs=runs, rows=rows, label=label, height=300 if chart.wide else 200, **about)


def difference_chart(
    runs: Sequence[str],
    metrics: Sequence[str],
    extent: tuple[float, float] | None,
    fixed: bool = False,
    rows: Sequence[Spec] = (),
) -> Spec:
    """Return a chart of how far each figure of ``runs`` is from its reference or baseline, and how far below passes.

    ``rows`` have run, metric (its words), low (None: not gated), words, all in points of percent, and ``shown``: the
    difference, or the end of the axis for one that is ``beyond`` it (-1 or 1), which ``far`` says. ``extent`` is the
    axis, where the differences themselves do not make it.
    """
    title = "Difference to the reference (shaded: how far below passes)"
    height = 60 + len(metrics) * max(22, 11 * len(runs))
    about = {"title": title, "unit": "points", "metrics": metrics, "height": height}
    scale = {"domain": list(extent), "nice": False, "clamp": True} if extent else {}
    spec = _spec("comparison", fixed, runs=runs, rows=rows, difference_scale=scale, **about)
    if len(runs) > 1:
        # Side by side within a metric's row, so that runs that come to the same stay visible.
        offset = {"field": "run", "type": "nominal", "scale": {"domain": runs}}
        for layer in spec["layer"][-2:]:
            layer["encoding"]["yOffset"] = offset
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

"""Curves of single runs, for pictures: losses over the epochs, and recalls over the epochs."""

from collections.abc import Iterator, Sequence
from typing import Any

from clipbench.api.plain import finite
from clipbench.api.result import EpochRecord, Result
from clipbench.report.page.charts import Spec
from clipbench.results.measures.metrics import RECALL_AT

Row = dict[str, Any]

LOSSES = {"train_loss": "train", "val_loss": "validation"}
SIDES = {"text": "image to text", "image": "text to image"}
COLOURS = ("#0b63b5", "#c2410c", "#0f7b55", "#6b4fbb")
DASHES = ([1, 0], [6, 3])
INK, GRID = "#1c2430", "#e3e7ec"


def run_curves(result: Result) -> Iterator[tuple[str, Spec]]:
    """Yield the charts of a result's losses and recalls, where it has some, each with the name of its picture."""
    losses = [row for record in result.epochs for row in _loss_rows(record)]
    if losses:
        domains = {"colour": list(LOSSES.values())}
        yield f"{result.run_id}.loss", _spec(f"Loss: {result.run_id}", "nats", losses, domains)
    recalls = [row for record in result.epochs for row in _recall_rows(record)]
    if recalls:
        depths = [*(f"R@{k}" for k in RECALL_AT), "mean"]
        domains = {"colour": depths, "dash": list(SIDES.values())}
        yield f"{result.run_id}.recall", _spec(f"Recall: {result.run_id}", "percent", recalls, domains)


def _loss_rows(record: EpochRecord) -> Iterator[Row]:
    for key, words in LOSSES.items():
        if (value := finite(getattr(record, key))) is not None:
            yield {"epoch": record.epoch, "value": value, "colour": words}


def _recall_rows(record: EpochRecord) -> Iterator[Row]:
    recall = record.recall or {}
    for side, words in SIDES.items():
        keys = {**{f"R@{k}": f"{side}_recall@{k}" for k in RECALL_AT}, "mean": f"{side}_recall_mean"}
        for depth, key in keys.items():
            if (value := finite(recall.get(key))) is not None:
                yield {"epoch": record.epoch, "value": value, "colour": depth, "dash": words}


def _spec(title: str, unit: str, rows: Sequence[Row], domains: dict[str, list[str]]) -> Spec:
    """Return a line chart over the epochs; ``domains`` has the values that colours, and dashes, stand for."""
    legend = {"orient": "bottom", "title": None, "symbolType": "stroke", "symbolSize": 500, "labelFontSize": 12}
    epoch_axis = {"title": "epoch", "format": "d", "tickMinStep": 1, "grid": False, "labelFlush": False}
    encoding: Spec = {
        "x": {
            "field": "epoch",
            "type": "quantitative",
            "axis": epoch_axis,
            "scale": {"zero": False, "nice": False, "padding": 12},
        },
        "y": {"field": "value", "type": "quantitative", "axis": {"title": unit}, "scale": {"zero": False}},
        "color": _channel("colour", domains["colour"], COLOURS, legend),
    }
    dashes = {"strokeDash": _channel("dash", domains["dash"], DASHES, legend)} if "dash" in domains else {}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": 640,
        "height": 360,
        "padding": 16,
        "background": "#ffffff",
        "title": {"text": title, "anchor": "start", "color": INK, "fontSize": 14},
        "config": {
            "font": "Liberation Sans, Arial, sans-serif",
            "view": {"stroke": None},
            "legend": {"symbolStrokeColor": INK},
            "axis": {"gridColor": GRID, "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
        },
        "data": {"values": list(rows)},
        "encoding": encoding,
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": dashes},
            {"mark": {"type": "point", "filled": True, "opacity": 1, "size": 30}},
        ],
    }


def _channel(name: str, domain: Sequence[str], values: Sequence[Any], legend: Row) -> Row:
    scale = {"domain": list(domain), "range": list(values[: len(domain)])}
    return {"field": name, "type": "nominal", "scale": scale, "legend": legend}

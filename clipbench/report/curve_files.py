"""Curves of single runs as PNG files: losses over the epochs, and recalls over the epochs."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from clipbench.api.plain import finite
from clipbench.api.result import EpochRecord, Result
from clipbench.api.text import printable, printable_data
from clipbench.compare.gate import Request, load
from clipbench.errors import ExitCode, UsageError
from clipbench.files.disk import writing
from clipbench.report.extra import check_extra
from clipbench.report.page.stills import SCALE, fewer_colours
from clipbench.report.reading import tell_of_reading
from clipbench.results.measures.metrics import RECALL_AT

Row = dict[str, Any]

LOSSES = {"train_loss": "train", "val_loss": "validation"}
SIDES = {"text": "image to text", "image": "text to image"}
COLOURS = ("#0b63b5", "#c2410c", "#0f7b55", "#6b4fbb")
DASHES = ([1, 0], [6, 3])
INK, GRID = "#1c2430", "#e3e7ec"


def run_curves(request: Request, folder: Path, wanted: Sequence[str] = ()) -> ExitCode:
    """Write the curves of some results into ``folder``, and print where they are; return the exit code.

    ``wanted`` are run ids; else it is the newest run of each case on a device. 0: all files could be read; 3: a file
    was refused; 4: there is no result. Raises UsageError for an id that no result has, and NotReadyError without the
    extra ``report``, and where ``folder`` cannot be written.
    """
    check_extra()
    inputs = load(request, tell_of_reading)
    for problem in inputs.problems:
        print(printable(f"refused: {problem}", lines=True), file=sys.stderr)
    by_id = {result.run_id: result for result in inputs.results}
    if unknown := [run_id for run_id in wanted if run_id not in by_id]:
        raise UsageError(f"--run {unknown[0]}: no such result among the paths; expected the run_id of one")
    results = inputs.in_full(by_id[run_id] for run_id in dict.fromkeys(wanted)) or inputs.judged
    with writing("the curves", folder, 50_000 * len(results), option="--png"):
        written = write_curves(folder, results)
    for path in written:
        print(printable(f"curves: {path}"))
    if not written:
        paths = printable(" ".join(map(str, request.paths)))
        print(f"clipbench: no result under {paths} has a loss or a recall; nothing was drawn", file=sys.stderr)
    if inputs.problems:
        return ExitCode.NOT_COMPARABLE
    return ExitCode.PASS if written else ExitCode.CASE_FAILED


def write_curves(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Write ``RUN_ID.loss.png`` and ``RUN_ID.recall.png`` of each result into ``folder``; return the files.

    A result without any loss or recall has no such file. Raises OSError where the folder cannot be written.
    """
    import vl_convert

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for result in results:
        for name, spec in _curves(result):
            path = folder / f"{result.run_id}.{name}.png"
            # A control character in a title would end the process that draws.
            path.write_bytes(fewer_colours(vl_convert.vegalite_to_png(printable_data(spec), scale=SCALE)))
            written.append(path)
    return written


def _curves(result: Result) -> Iterator[tuple[str, Row]]:
    """Yield name and Vega-Lite specification of each picture that has something to show."""
    losses = [row for record in result.epochs for row in _loss_rows(record)]
    if losses:
        yield "loss", _spec(f"Loss: {result.run_id}", "nats", losses, {"colour": list(LOSSES.values())})
    recalls = [row for record in result.epochs for row in _recall_rows(record)]
    if recalls:
        depths = [*(f"R@{k}" for k in RECALL_AT), "mean"]
        domains = {"colour": depths, "dash": list(SIDES.values())}
        yield "recall", _spec(f"Recall: {result.run_id}", "percent", recalls, domains)


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


def _spec(title: str, unit: str, rows: Sequence[Row], domains: dict[str, list[str]]) -> Row:
    """Return a line chart over the epochs; ``domains`` has the values that colours, and dashes, stand for."""
    legend = {"orient": "bottom", "title": None, "symbolType": "stroke", "symbolSize": 500, "labelFontSize": 12}
    epoch_axis = {"title": "epoch", "format": "d", "tickMinStep": 1, "grid": False, "labelFlush": False}
    encoding: Row = {
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

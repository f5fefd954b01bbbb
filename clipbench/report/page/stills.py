"""Pictures (PNG), for a README or a mail: of each chart, and of the losses and recalls of each run."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clipbench.api.text import printable_data
from clipbench.files.disk import writing
from clipbench.files.replacing import check_replaceable
from clipbench.report.page.charts import Spec, history_chart, line_chart
from clipbench.report.page.curves import alike, charts_of, line_rows, widths
from clipbench.report.page.data import history_rows, long_series
from clipbench.report.page.differences import differences_of
from clipbench.report.page.run_curves import run_curves
from clipbench.report.page.runs import Run

SCALE = 2  # pixels for each unit, so that pictures are sharp on dense screens
PROGRAM = "clipbench"
MARK = f"Software\0{PROGRAM}"  # is in each of our pictures: only such a picture is replaced


def write_pictures(folder: Path, pictures: Mapping[str, Spec]) -> None:
    """Draw every chart into ``folder``, by the names of the files without their ending.

    Raises UsageError for a file of that name that is no picture of ours, and NotReadyError where there is no room.
    """
    import vl_convert

    for name in pictures:
        check_replaceable(folder / f"{name}.png", MARK, (), f"--png {folder}: {name}.png")
    with writing("the pictures", folder, 50_000 * len(pictures), option="--png"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, spec in pictures.items():
            spec = printable_data(spec)  # a control character ends the process that draws
            folder.joinpath(f"{name}.png").write_bytes(fewer_colours(vl_convert.vegalite_to_png(spec, scale=SCALE)))


def pictures_of(runs: Sequence[Run], history: Mapping[str, Any]) -> dict[str, Spec]:
    """Return the charts of all pictures, by name."""
    return dict([*_charts(runs, history), *(pair for run in runs for pair in run_curves(run.result))])


def fewer_colours(png: bytes) -> bytes:
    """Return the same picture in 256 colours: a fourth of the bytes, for repositories that keep it."""
    from PIL import Image, PngImagePlugin

    about = PngImagePlugin.PngInfo()
    about.add_text("Software", PROGRAM)
    file = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    # Of the methods, the octree keeps colours that few pixels have, such as one failure's; but it greys white a little.
    few = picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.putpalette([255 if value > 250 else value for value in few.getpalette() or []])
    few.save(file, "PNG", optimize=True, pnginfo=about)
    return file.getvalue()


def _charts(runs: Sequence[Run], history: Mapping[str, Any]) -> Iterator[tuple[str, Spec]]:
    names = [run.label for run in runs]
    if (differences := differences_of(runs)).metrics:
        yield "comparison", differences.chart(names, fixed=True)
    for chart in charts_of([run.result for run in runs]):
        lines = [run.lines(chart) for run in runs]
        drawn = zip(names, lines, widths(len(runs), alike(lines)), strict=True)
        if rows := [row for name, one, width in drawn for row in line_rows(name, one, chart, width)]:
            yield chart.name, line_chart(chart, names, fixed=True, rows=rows)
    yield from _over_time(history)


def _over_time(history: Mapping[str, Any]) -> Iterator[tuple[str, Spec]]:
    """Yield the pictures of the series that the page shows first, unless it has one result alone."""
    series = history["series"][long_series(history)]
    metrics = {metric["name"]: metric for metric in series["metrics"] if len(series["runs"]) > 1}
    for metric in (metrics[name] for name in ("recall_mean", "throughput") if name in metrics):
        title = f"{metric['words']}: {series['name']}"
        rows = history_rows(history, series, metric)
        yield f"history_{metric['name']}", history_chart("date", title, metric["unit"], fixed=True, rows=rows)

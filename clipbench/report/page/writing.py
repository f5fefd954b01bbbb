"""``clipbench report``, from what was asked to the files of the report."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipbench.api.processes import no_collections
from clipbench.api.text import printable
from clipbench.compare.gate import Request, gather
from clipbench.compare.history import History, judge_history
from clipbench.compare.trend import exit_code, newest_of_series
from clipbench.errors import ExitCode, UsageError
from clipbench.files.disk import writing
from clipbench.files.replacing import check_replaceable
from clipbench.report.extra import check_extra
from clipbench.report.gallery.section import Gallery, gallery
from clipbench.report.html import GENERATOR
from clipbench.report.page.contents import page_data
from clipbench.report.page.data import history_data
from clipbench.report.page.naming import labels
from clipbench.report.page.runs import Run, choose, runs_in_full
from clipbench.report.page.stills import pictures_of, write_pictures
from clipbench.report.page.tables import RunRow, run_rows
from clipbench.report.page.template import render
from clipbench.report.reading import tell_of_reading


@dataclass(frozen=True)
class Judged:
    """What a page shows: ``runs`` in full, ``rows`` of the table of runs, all that is drawn, the files of each run.

    ``left_out`` counts older results that are not drawn.
    """

    runs: Sequence[Run]
    rows: Sequence[RunRow]
    history: History
    places: Mapping[str, Sequence[str]]
    left_out: int


def run_report(
    request: Request,
    out: Path | None,
    title: str,
    last: int,
    wanted: Sequence[str] = (),
    retrieved: bool = True,
    png: Path | None = None,
) -> ExitCode:
    """Write ``index.html`` into ``out``, and pictures into ``png``; print where they are, and return the exit code.

    ``last`` is how many results of each series are drawn at most, ``wanted`` are ids of runs to show in full;
    ``retrieved`` also shows what the runs retrieved. 0: all files could be read; 3: a file was refused, and the page
    says which; 4: there is no result, and nothing is written. Raises NotReadyError without the extra ``report``, and
    where a folder cannot be written.
    """
    check_extra()
    for folder, option in ((out, "--out"), (png, "--png")):
        if folder and folder.exists() and not folder.is_dir():
            raise UsageError(f"{option} {folder}: is a file; expected a folder; it is created where there is none")
    if out:
        check_replaceable(out / "index.html", GENERATOR, (), f"--out {out}: index.html")
    judged = _judge(request, wanted, last)
    history, problems = judged.history, judged.history.judgement.problems
    data = history_data(history)
    found = Gallery()
    if out and judged.runs and retrieved:
        found = gallery([(run.label, run.result) for run in judged.runs], judged.places)
        problems = (*problems, *found.problems)
    for problem in problems:
        print(printable(f"refused: {problem}", lines=True), file=sys.stderr)
    if not judged.runs and not problems:
        paths = printable(" ".join(map(str, request.paths)))
        print(f"clipbench: no result under {paths}; nothing was written", file=sys.stderr)
    if png and judged.runs:
        pictures = pictures_of(judged.runs, data)
        write_pictures(png, pictures)
        print(printable(f"pictures: {png}: {' '.join(f'{name}.png' for name in pictures) or 'nothing to draw'}"))
    if out and judged.runs:
        _write_page(out, title, judged, data, found)
    if judged.left_out:
        print(f"older results that are not drawn: {judged.left_out:,} (--last N takes the newest N of each series)")
    return exit_code(history.series, problems)


@no_collections()
def _judge(request: Request, wanted: Sequence[str], last: int) -> Judged:
    inputs = gather(request, tell_of_reading)
    drawn = tuple(newest_of_series(inputs.results, last, wanted))
    left_out, inputs = len(inputs.results) - len(drawn), replace(inputs, results=drawn)
    history = judge_history(inputs, lambda newest: choose(drawn, newest, wanted))
    rows = run_rows(history)
    in_full = sorted((row for row in rows if row.shown is not None), key=lambda row: row.shown or 0)
    places = {result.run_id: inputs.files_of(result.run_id) for result in history.in_full}
    called = labels([row.point.result for row in in_full], [row.name for row in in_full])
    return Judged(runs_in_full(history, called), rows, history, places, left_out)


def _write_page(out: Path, title: str, judged: Judged, data: dict[str, Any], found: Gallery) -> None:
    page = page_data(title, judged.runs, judged.rows, judged.history, data, found)
    text = found.complete(render({**page, "left_out": judged.left_out}))
    with writing("the page", out, len(text)):
        out.mkdir(parents=True, exist_ok=True)
        out.joinpath("index.html").write_text(text, encoding="utf-8")
    print(printable(f"report: {out / 'index.html'}"))

"""``clipbench report``, from what was asked to the files of the report."""

import gc
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clipbench.api.text import printable
from clipbench.compare.gate import Request, load
from clipbench.compare.history import History, judge_history
from clipbench.compare.trend import exit_code, newest_of_series
from clipbench.errors import ExitCode, NotReadyError, UsageError
from clipbench.files.replacing import check_replaceable
from clipbench.report.extra import check_extra
from clipbench.report.gallery.section import Gallery, gallery
from clipbench.report.html import GENERATOR
from clipbench.report.page.charts import CHARTS
from clipbench.report.page.contents import page_data
from clipbench.report.page.data import history_data
from clipbench.report.page.naming import labels
from clipbench.report.page.runs import Run, choose, runs_in_full
from clipbench.report.page.stills import stills, write_stills
from clipbench.report.page.tables import RunRow, run_rows
from clipbench.report.page.template import render
from clipbench.report.reading import tell_of_reading

LAST = 200  # results of a series that are drawn: a chart shows no more


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
    out: Path,
    title: str,
    wanted: Sequence[str] = (),
    last: int = LAST,
    with_pictures: bool = True,
) -> ExitCode:
    """Write ``index.html`` and the pictures into ``out``, and print where they are; return the exit code.

    ``wanted`` are ids of runs to show in full, ``last`` is how many results of each series are drawn at most;
    ``with_pictures`` also shows what the runs retrieved. 0: all files could be read; 3: a file was refused, and the
    page says which; 4: there is no result, and nothing is written. Raises NotReadyError without the extra ``report``,
    and where ``out`` cannot be written.
    """
    check_extra()
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file; expected a folder; it is created where there is none")
    _check_pictures(out)
    check_replaceable(out / "index.html", GENERATOR, (), f"--out {out}: index.html")
    judged = _judge(request, wanted, last)
    shown = [(run.label, run.result) for run in judged.runs]
    found = gallery(shown, judged.places) if with_pictures else Gallery()
    written = _write(out, title, judged, found) if judged.runs else []
    history, left_out = judged.history, judged.left_out
    problems = (*history.judgement.problems, *found.problems)
    for problem in problems:
        print(printable(f"refused: {problem}", lines=True), file=sys.stderr)
    if written:
        print(printable(f"report: {written[0]}"))
        print("pictures: " + " ".join(path.name for path in written[1:]))
        if left_out:
            print(f"older results that are not on the page: {left_out:,} (--last N takes the newest N of each series)")
    elif not problems:
        paths = printable(" ".join(map(str, request.paths)))
        print(f"clipbench: no result under {paths}; nothing was written", file=sys.stderr)
    return exit_code(history.series, problems)


def _check_pictures(out: Path) -> None:
    """Raise UsageError for pictures with the names of ours in a folder that has no page of ours."""
    if out.joinpath("index.html").exists():
        return
    ours = ("comparison", *(chart.name for chart in CHARTS))
    for path in out.glob("*.png"):
        if path.stem in ours or path.stem.startswith(("history_", "evaluation_")):
            raise UsageError(f"--out {out}: there is {path.name} of another origin; choose another folder")


def _judge(request: Request, wanted: Sequence[str], last: int) -> Judged:
    gc.disable()  # JSON has no cycles, and searching millions of its objects for some takes a fifth of the time
    try:
        inputs = load(request, tell_of_reading)
        drawn = inputs.in_full(newest_of_series(inputs.results, last, wanted))
        left_out, inputs = len(inputs.results) - len(drawn), replace(inputs, results=drawn)
        history = judge_history(inputs, lambda newest: choose(drawn, newest, wanted))
        rows = run_rows(history)
        in_full = sorted((row for row in rows if row.shown is not None), key=lambda row: row.shown or 0)
        called = labels([row.point.result for row in in_full], [row.name for row in in_full])
        return Judged(runs_in_full(history, drawn, called), rows, history, inputs.places, left_out)
    finally:
        gc.enable()


def _write(out: Path, title: str, judged: Judged, found: Gallery) -> list[Path]:
    """Return the files that were written, the page first."""
    data = history_data(judged.history)
    page = out / "index.html"
    try:
        out.mkdir(parents=True, exist_ok=True)
        pictures = [(f"{name}.png", spec) for name, spec in stills(judged.runs, data)]
        context = page_data(title, judged.runs, judged.rows, judged.history, data, found)
        context |= {"left_out": judged.left_out, "pictures": [name for name, _ in pictures]}
        # First: pictures beside a page of ours may be replaced.
        page.write_text(found.complete(render(context)), encoding="utf-8")
        write_stills(out, pictures)
    except OSError as error:
        raise NotReadyError(f"{out}: the report cannot be written ({error.strerror}); make room there") from None
    return [page, *(out / name for name, _ in pictures)]

"""``clipbench report``, from what was asked to the files of the report."""

import gc
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clipbench import __version__
from clipbench.api.text import printable, printable_data
from clipbench.compare.gate import Request, load
from clipbench.compare.history import History, Point, judge_history
from clipbench.compare.trend import exit_code
from clipbench.compare.verdicts import WORST_FIRST, Comparison, Judgement
from clipbench.errors import ExitCode, NotReadyError, UsageError
from clipbench.files.replacing import check_replaceable
from clipbench.report.extra import check_extra
from clipbench.report.gallery.section import Gallery, gallery
from clipbench.report.judgement.headline import comparison_headline, headline
from clipbench.report.judgement.wording import changes, comparison_reasons, kind_of, of_metric, sentence
from clipbench.report.page.charts import EPOCH_CHARTS, Chart, comparison_chart, epoch_chart, history_chart
from clipbench.report.page.data import difference_rows, fact_table, history_data, long_series
from clipbench.report.page.runs import Run, choose, runs_in_full
from clipbench.report.page.stills import write_stills
from clipbench.report.page.template import libraries, render


def run_report(
    request: Request, out: Path, title: str, wanted: Sequence[str] = (), with_pictures: bool = True
) -> ExitCode:
    """Write ``index.html`` and the pictures into ``out``, and print where they are; return the exit code.

    ``wanted`` are ids of runs to show in full; ``with_pictures`` also shows what they retrieved. 0: all files could be
    read; 3: a file was refused, and the page says which; 4: there is no result, and nothing is written. Raises
    NotReadyError without the extra ``report``, and where ``out`` cannot be written.
    """
    check_extra()
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file; expected a folder; it is created where there is none")
    _check_pictures(out)
    check_replaceable(out / "index.html", '<meta name="generator" content="clipbench ', (), f"--out {out}: index.html")
    with ThreadPoolExecutor(max_workers=1) as beside:
        # It takes two seconds, outside Python: results are read meanwhile.
        code = beside.submit(libraries)
        runs, history, places = _judge(request, wanted)
        found = gallery([(run.label, run.result) for run in runs], places) if with_pictures else Gallery()
        written = _write(out, title, runs, history, code, found) if runs else []
    problems = (*history.judgement.problems, *found.problems)
    for problem in problems:
        print(printable(f"refused: {problem}", lines=True), file=sys.stderr)
    if written:
        print(printable(f"report: {written[0]}"))
        print("pictures: " + " ".join(path.name for path in written[1:]))
    elif not problems:
        paths = printable(" ".join(map(str, request.paths)))
        print(f"clipbench: no result under {paths}; nothing was written", file=sys.stderr)
    return exit_code(history.series, problems)


def _check_pictures(out: Path) -> None:
    """Raise UsageError for pictures with the names of ours in a folder that has no page of ours."""
    if out.joinpath("index.html").exists():
        return
    for path in out.glob("*.png"):
        if path.stem.startswith("history_") or path.stem in ("comparison", *(chart.name for chart in EPOCH_CHARTS)):
            raise UsageError(f"--out {out}: there is {path.name} of another origin; choose another folder")


def _judge(request: Request, wanted: Sequence[str]) -> tuple[list[Run], History, Mapping[str, Sequence[Path]]]:
    """Return the runs to show in full, all results judged, and the files of each result."""
    gc.disable()  # JSON has no cycles, and searching millions of its objects for some takes a fifth of the time
    try:
        inputs = load(request)
        chosen = choose(inputs.results, wanted)
        history = judge_history(inputs, chosen)
        return runs_in_full(chosen, inputs.results, history), history, inputs.places
    finally:
        gc.enable()


def _write(
    out: Path, title: str, runs: Sequence[Run], history: History, code: Future[str], found: Gallery
) -> list[Path]:
    """Return the files that were written, the page first; ``code`` has the page's libraries when they are ready."""
    data = history_data(history)
    page = out / "index.html"
    try:
        out.mkdir(parents=True, exist_ok=True)
        pictures = write_stills(out, runs, data)
        context = {**page_data(title, runs, history, data), "pictures": [path.name for path in pictures]}
        context |= {"gallery": found.section, "refused_galleries": found.problems}
        page.write_text(found.complete(render(context, code.result())), encoding="utf-8")
    except OSError as error:
        raise NotReadyError(f"{out}: the report cannot be written ({error.strerror}); make room there") from None
    return [page, *pictures]


# --- what the template needs --------------------------------------------------------------------------------------


def page_data(title: str, runs: Sequence[Run], history: History, data: dict[str, Any]) -> dict[str, Any]:
    """Return everything that the template needs: words for what stands still, data and charts for the script."""
    drawn = [chart for chart in EPOCH_CHARTS if any(run.has(chart) for run in runs)]
    now = _counts(history.newest)
    return {
        "title": title,
        "version": __version__,
        "now": now,
        "all": _counts(point for series in history.series for point in series.points),
        "judgement": history.judgement,
        "headline": headline(_of_newest(history)),
        # The numbers beside the verdict are of a run that decides it, where one is shown.
        "hero": next((index for index, run in enumerate(runs) if run.status == now[0][0]), 0),
        "runs": runs,
        "facts": fact_table(runs),
        "first_series": long_series(data),
        "charts": drawn,
        "script": printable_data(script_data(runs, drawn, data)),
        "shown_of": shown_of,
    }


def script_data(runs: Sequence[Run], charts: Sequence[Chart], history: dict[str, Any]) -> dict[str, Any]:
    """Return what the page's script draws from."""
    names = [run.label for run in runs]
    differences = [difference_rows(run) for run in runs]
    metrics = list(dict.fromkeys(row["metric"] for rows in differences for row in rows))
    return {
        "runs": [{"label": run.label, "curves": run.curves} for run in runs],
        "differences": differences,
        "charts": [
            {
                "name": chart.name,
                "form": chart.form,
                "curves": [*chart.curves.items()],
                "spec": epoch_chart(chart, names),
            }
            for chart in charts
        ],
        "comparison": comparison_chart(names, metrics) if metrics else None,
        "history": history,
        "history_charts": {by: history_chart(by, "", "") for by in ("date", "commit")},
    }


def shown_of(comparison: Comparison, first: bool) -> dict[str, Any]:
    """Return what the page shows of a comparison; of one that is not its run's ``first``, metrics it compares alone."""
    shown = [verdict for verdict in comparison.verdicts if first or verdict.reference is not None]
    said, kind = comparison_headline(comparison), kind_of(comparison)
    in_table = {of_metric(verdict, comparison) for verdict in shown if verdict.cause}
    return {
        "verdicts": shown,
        "headline": said,
        "changes": changes(comparison),
        "reasons": [line for line in comparison_reasons(comparison) if line not in in_table and line not in said],
        # Those that rule a verdict out are among the reasons.
        "differences": [sentence(d, kind) for d in comparison.differences if d.allowed],
    }


def _of_newest(history: History) -> Judgement:
    """Return the judgement of what holds now: the newest results alone, each by the worst of its comparisons."""
    newest = (history.by_run[point.result.run_id] for point in history.newest)
    worst = tuple(min(found, key=lambda one: WORST_FIRST.index(one.status)) for found in newest)
    return Judgement(worst, history.judgement.problems)


def _counts(points: Iterable[Point]) -> list[tuple[str, int]]:
    """Return how many results have which status, the worst first."""
    counts = Counter(point.status for point in points)
    return [(status, counts[status]) for status in WORST_FIRST if status in counts]

"""``clipbench report``, from what was asked to the files of the report."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clipbench import __version__
from clipbench.compare.history import newest_of_each
from clipbench.compare.verdicts import Comparison
from clipbench.errors import ExitCode, NotReadyError, UsageError
from clipbench.report.page.charts import EPOCH_CHARTS, Chart, comparison_chart, epoch_chart, history_chart
from clipbench.report.page.data import (
    curves,
    difference_rows,
    fact_table,
    history_data,
    long_series,
    verdict_row,
)
from clipbench.report.page.judging import WORST_FIRST, Asked, Judged, Run, judge, worst
from clipbench.report.page.template import libraries, render
from clipbench.report.page.words import SYMBOLS, figure, metric_words, when

EXTRA = {"jinja2": "Jinja2", "vl_convert": "vl-convert-python"}
HEADLINES = ("recall_mean", "text_recall_mean", "image_recall_mean", "samples_per_second")


def run_report(paths: Sequence[Path], runs: Sequence[str], folders: Sequence[Path], **asked: Any) -> ExitCode:  # noqa: ANN401
    """Write the report that the options of ``clipbench report`` ask for, and say where it lies."""
    written, problems, code = write_report(Asked(tuple(paths), runs=tuple(runs), folders=tuple(folders), **asked))
    for problem in problems:
        print(f"refused: {problem}", file=sys.stderr)
    if written:
        print(f"report: {written[0]}")
        print("pictures: " + " ".join(path.name for path in written[1:]))
    elif code == ExitCode.CASE_FAILED:
        print(f"clipbench: no result under {' '.join(map(str, paths))}; nothing was written", file=sys.stderr)
    return code


def write_report(asked: Asked) -> tuple[list[Path], tuple[str, ...], ExitCode]:
    """Write ``index.html`` and the pictures; what was written, the files that were refused, and the exit code.

    0: all could be read; 3: a file was refused, and the page says which; 4: there is no result, and no page.
    Without the extra ``report``, or where ``out`` cannot be written, a NotReadyError.
    """
    _check_extra()
    if asked.out.exists() and not asked.out.is_dir():
        raise UsageError(f"--out {asked.out}: is a file; expected a folder, which is made where there is none")
    with ThreadPoolExecutor(max_workers=1) as beside:
        # It takes two seconds, outside Python: results are read meanwhile.
        code = beside.submit(libraries)
        judged = judge(asked)
        problems = judged.judgement.problems
        if not judged.runs:
            return [], problems, ExitCode.NOT_COMPARABLE if problems else ExitCode.CASE_FAILED
        written = _write(asked, judged, code)
    return written, problems, ExitCode.NOT_COMPARABLE if problems else ExitCode.PASS


def _write(asked: Asked, judged: Judged, code: Future[str]) -> list[Path]:
    from clipbench.report.page.stills import write_stills

    history = history_data(judged)
    page = asked.out / "index.html"
    try:
        asked.out.mkdir(parents=True, exist_ok=True)
        pictures = write_stills(asked.out, judged.runs, history)
        text = render(page_data(judged, asked.title, history, pictures), code.result())
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotReadyError(f"{asked.out}: the report cannot be written ({error.strerror}); make room there") from None
    return [page, *pictures]


def page_data(judged: Judged, title: str, history: dict[str, Any], pictures: Sequence[Path]) -> dict[str, Any]:
    """Everything that the template needs: words for what stands still, data and charts for the script."""
    found = verdict(judged)
    drawn = [chart for chart in EPOCH_CHARTS if any(has_curve(run, chart) for run in judged.runs)]
    script = script_data(judged.runs, drawn, history)
    kinds = {run.comparisons[0].against.kind for run in judged.runs if run.comparisons[0].against}
    return {
        "title": title,
        "version": __version__,
        "verdict": found,
        # The numbers beside the verdict are of a run that decides it, where one is shown.
        "hero": next((i for i, run in enumerate(judged.runs) if run.status == found["worst"]), 0),
        "runs": [_run(run) for run in judged.runs],
        "count": judged.total,
        "problems": judged.judgement.problems,
        "facts": fact_table(judged.runs),
        "compared": script["comparison"] is not None,
        "kinds": " or ".join(sorted(kinds)),
        "first_series": long_series(history),
        "charts": drawn,
        "history": history,
        "pictures": [path.name for path in pictures],
        "symbols": SYMBOLS,
        "script": script,
    }


def script_data(runs: Sequence[Run], charts: Sequence[Chart], history: dict[str, Any]) -> dict[str, Any]:
    """What the page's script draws from."""
    names = [run.label for run in runs]
    differences = [difference_rows(run) for run in runs]
    metrics = list(dict.fromkeys(row["metric"] for rows in differences for row in rows))
    return {
        "runs": [{"label": run.label, "curves": curves(run.result)} for run in runs],
        "differences": differences,
        "charts": [
            {
                "name": chart.name,
                "form": chart.form,
                "curves": [[curve.key, curve.label] for curve in chart.curves],
                "spec": epoch_chart(chart, names),
            }
            for chart in charts
        ],
        "comparison": comparison_chart(names, metrics) if metrics else None,
        "history": history,
        "history_charts": {by: history_chart(by, "", "") for by in ("date", "commit")},
    }


def has_curve(run: Run, chart: Chart) -> bool:
    """Whether a run has any value that the chart draws."""
    values = curves(run.result)
    return any(value is not None for curve in chart.curves for value in values[curve.key])


def verdict(judged: Judged) -> dict[str, Any]:
    """The verdict of what holds now, and what all results on the page come to."""
    newest = newest_of_each(judged.series)
    now = Counter(point.status for point in newest)
    of_all = Counter(point.status for series in judged.series for point in series.points)
    return {
        "status": "refused" if judged.judgement.problems else worst(list(now)),
        "worst": worst(list(now)),
        "now": [(name, now[name]) for name in WORST_FIRST if name in now],
        "all": [(name, of_all[name]) for name in WORST_FIRST if name in of_all],
        "newest": len(newest),
        "total": judged.total,
        "code": int(judged.judgement.exit_code),
        "meaning": judged.judgement.meaning,
        "baseline": any(c.against.kind == "baseline" for run in judged.runs for c in run.comparisons if c.against),
    }


def _run(run: Run) -> dict[str, Any]:
    first, result = run.comparisons[0], run.result
    device = first.device or "device unknown"
    return {
        "label": run.label,
        "id": result["run_id"],
        "status": run.status,
        "when": when(result["started"]),
        "commit": (result["clipbench"]["commit"] or "")[:10],
        "device": f"{first.ranks} x {device}" if (first.ranks or 1) > 1 else device,
        "precision": first.precision or "precision unknown",
        "epoch": first.epoch,
        "headlines": [_headline(run, name) for name in HEADLINES],
        "comparisons": [_comparison(one, one is first) for one in run.comparisons],
        "seconds": figure(sum(sum(epoch["seconds"].values()) for epoch in result["epochs"])),
    }


def _headline(run: Run, name: str) -> dict[str, Any]:
    """A metric from the first comparison that has a figure to hold it against, else from the first that has it."""
    found = [v for comparison in run.comparisons for v in comparison.verdicts if v.metric == name]
    best = next((v for v in found if v.reference is not None), found[0] if found else None)
    row = verdict_row(best) if best else None
    return {"name": metric_words(name), "row": row, "held": best is not None and best.reference is not None}


def _comparison(comparison: Comparison, first: bool) -> dict[str, Any]:
    """For the page; the second comparison of a run has only what is held against something."""
    shown = [v for v in comparison.verdicts if first or v.reference is not None]
    in_table = {f"{v.metric}: {v.reason}" for v in shown}
    kind = comparison.against.kind if comparison.against else "reference"
    return {
        "status": comparison.status,
        "kind": kind,
        "against": comparison.against,
        "verdicts": [verdict_row(v) for v in shown],
        "reasons": [reason for reason in comparison.reasons if reason not in in_table],
        # Those that rule a verdict out stand among the reasons.
        "differences": [d.sentence(kind) for d in comparison.differences if d.blocks == "nothing" or d.allowed],
    }


def _check_extra() -> None:
    missing = [name for module, name in EXTRA.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise NotReadyError(
            f"clipbench report needs {' and '.join(missing)}, which this installation lacks; "
            "install with: pip install 'clipbench[report]'"
        )

"""Everything that the page's template needs: words for what stands still, data and charts for the script."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from clipbench.api.text import printable_data
from clipbench.compare.history import History, Point
from clipbench.compare.verdicts import WORST_FIRST, Comparison, Judgement, Verdict
from clipbench.report.gallery.section import Gallery
from clipbench.report.judgement.headline import comparison_headline, headline
from clipbench.report.judgement.wording import changes, comparison_reasons, kind_of, of_metric, sentence
from clipbench.report.page.charts import history_chart, line_chart
from clipbench.report.page.curves import alike, charts_of, widths
from clipbench.report.page.data import fact_table, long_series
from clipbench.report.page.differences import differences_of
from clipbench.report.page.runs import Run
from clipbench.report.page.tables import MOST_TILES, RunRow, all_points, columns_of, suite_tables
from clipbench.report.quantity import DECIMALS

SECTIONS = {
    "verdict": "Verdict",
    "runs": "Runs",
    "configurations": "Configurations",
    "results": "Verdicts",
    "curves": "Curves",
    "pictures": "Pictures",
    "history": "History",
    "facts": "Environment",
}


def page_data(
    title: str, runs: Sequence[Run], rows: Sequence[RunRow], history: History, data: dict[str, Any], found: Gallery
) -> dict[str, Any]:
    """Return everything that the template needs: words for what stands still, data and charts for the script."""
    points = all_points(history)
    suites = suite_tables(history.newest)
    now = _counts(history.newest)
    # The figures beside the verdict are of a run that decides it, where one is shown.
    hero = next((index for index, run in enumerate(runs) if run.status == now[0][0]), 0)
    kinds = sorted({one.comparisons[0].against.kind for one in runs if one.comparisons[0].against})
    columns = columns_of(row.point for row in rows)
    drawn = curves_data(runs)
    is_there = {"configurations": suites, "pictures": found.section}
    history_charts = {by: history_chart(by, "", "") for by in ("date", "commit")}
    return {
        "title": title,
        "sections": [(key, name) for key, name in SECTIONS.items() if is_there.get(key, True)],
        "now": now,
        "all": _counts(points),
        "total": len(points),
        "newest_start": max(point.result.started for point in points),
        "judgement": history.judgement,
        "problems": (*history.judgement.problems, *found.problems),
        "gallery": found.section,
        "headline": headline(_of_newest(history)),
        "hero": hero,
        "tiles": _tiles(runs[hero], [column.metric for column in columns]),
        "kinds": " or ".join(kinds),
        "with_baseline": "baseline" in kinds,
        "rows": rows,
        "columns": columns,
        "suites": suites,
        "runs": runs,
        "facts": fact_table(runs),
        "first_series": long_series(data),
        **drawn,
        "script": printable_data({**drawn["script"], "history": data, "history_charts": history_charts}),
        "shown_of": shown_of,
    }


def curves_data(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the charts that have something to show, which runs are the same in each, and what the script draws."""
    names = [run.label for run in runs]
    differences = differences_of(runs)
    charts, same, drawn = [], {}, []
    for chart in charts_of([run.result for run in runs]):
        lines = [run.lines(chart) for run in runs]
        if not any(value is not None for one in lines for key in chart.curves for value in one[key]):
            continue
        charts.append(chart)
        same[chart.name] = alike(lines)
        drawn.append(
            {
                "name": chart.name,
                "form": chart.form,
                "decimals": DECIMALS.get(chart.unit),
                "x": chart.x_title,
                "exact": chart.source == "epochs",
                "curves": [*chart.curves.items()],
                "lines": lines,
                "widths": widths(len(runs), same[chart.name]),
                "spec": line_chart(chart, names),
            }
        )
    return {
        "charts": charts,
        "same": same,
        "cut": differences.extent is not None,
        "script": {
            "runs": names,
            "differences": differences.rows,
            "charts": drawn,
            "comparison": differences.chart(names) if differences.metrics else None,
        },
    }


def _tiles(run: Run, metrics: Iterable[str]) -> list[Verdict]:
    """Return the verdicts to show large: those of a run that have a value, in the order of ``metrics``."""
    found = (run.verdicts.get(name) for name in metrics)
    return [verdict for verdict in found if verdict and verdict.value is not None][:MOST_TILES]


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

"""Results and what each comes to, as the page needs them."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from clipbench.compare.against_baseline import compare_with_baselines
from clipbench.compare.against_reference import Terms, compare_all, find_reference
from clipbench.compare.gate import Request, choose_baselines
from clipbench.compare.history import Series, newest_of_each, series_of
from clipbench.compare.significance import Thresholds
from clipbench.compare.verdicts import Comparison, ComparisonStatus, Judgement
from clipbench.errors import UsageError
from clipbench.report.page.charts import MOST_RUNS
from clipbench.report.page.words import labels
from clipbench.results.collect import Collection, collect
from clipbench.results.references import Reference, load_references, shipped_references
from clipbench.results.result import Result

SHOWN = 6  # runs in full, unless the command names them
# From worst to best: several results come to the first of these that one of them has.
WORST_FIRST = ("failed case", "fail", "not comparable", "no reference", "no baseline", "inconclusive", "better", "pass")


@dataclass(frozen=True)
class Asked:
    """What ``clipbench report`` was asked: ``runs`` are ids of results to show in full, in that order.

    ``folders`` have further references; ``baseline`` and ``baselines`` are as ``clipbench compare`` has them.
    """

    paths: tuple[Path, ...]
    out: Path
    title: str = "CLIP training benchmark"
    runs: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    baseline: str | None = None
    baselines: Path | None = None


@dataclass(frozen=True)
class Run:
    """One result that the page shows in full, under its short ``label``, and all that it was held against."""

    label: str
    result: Result
    comparisons: tuple[Comparison, ...]

    @property
    def status(self) -> str:
        """The worst of its comparisons."""
        return worst([comparison.status for comparison in self.comparisons])


@dataclass(frozen=True)
class Judged:
    """All results as ``series``, some as ``runs``; ``judgement`` is what ``clipbench compare`` says of the same files.

    ``bands`` has, by the number of a series and the metric, the baseline's figure and what is allowed around it.
    """

    runs: tuple[Run, ...]
    series: tuple[Series, ...]
    judgement: Judgement
    bands: Mapping[tuple[int, str], tuple[float, float | None]]

    @property
    def total(self) -> int:
        return sum(len(series.points) for series in self.series)


def worst(statuses: Sequence[str]) -> str:
    """What several statuses come to."""
    return next((status for status in WORST_FIRST if status in statuses), "no results")


@contextlib.contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """JSON has no cycles, and searching millions of its objects for some takes a fifth of the time."""
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


@_no_search_for_cycles()
def judge(asked: Asked) -> Judged:
    """Read all results, hold each against its reference, and those of today against the baseline too."""
    found = collect(asked.paths)
    chosen = choose(found.results, asked.runs)
    references = {**shipped_references(), **load_references(asked.folders), **found.references}
    # Resampling thousands of queries is for results that are shown with their errors; verdicts do not need it.
    light = [result if result["run_id"] in chosen else {**result, "ranks": None} for result in found.results]
    comparisons = compare_all(light, references)
    held = _against_baselines(asked, found, references, chosen, series_of(found.results, comparisons))
    problems = found.problems + held.problems
    by_run = {c.runs[0]: _all_of(c, held.comparisons.get(c.runs[0])) for c in comparisons}
    judged = [_with_status(c, worst([one.status for one in by_run[c.runs[0]]])) for c in comparisons]
    series = series_of(found.results, judged)
    results = {result["run_id"]: result for result in found.results}
    names = labels(chosen, [results[run_id]["case"] for run_id in chosen])
    runs = tuple(Run(name, results[run_id], by_run[run_id]) for name, run_id in zip(names, chosen, strict=True))
    return Judged(runs, series, Judgement(tuple(comparisons), problems), _bands(series, held.comparisons))


def choose(results: Sequence[Result], wanted: Sequence[str]) -> list[str]:
    """Ids of the runs to show in full: those ``wanted``, in that order, else the newest, newest first."""
    known = {result["run_id"] for result in results}
    for run_id in wanted:
        if run_id not in known:
            raise UsageError(f"--run {run_id}: no such result among the paths; expected the run_id of one")
    if len(wanted) > MOST_RUNS:
        raise UsageError(f"--run: given {len(wanted)} times; a page shows up to {MOST_RUNS} runs in full")
    newest = sorted(results, key=lambda result: (result["started"], result["run_id"]), reverse=True)
    return list(dict.fromkeys(wanted)) or list(dict.fromkeys(result["run_id"] for result in newest))[:SHOWN]


@dataclass(frozen=True)
class _Held:
    """Comparisons with baselines by the id of the run, and the files that were refused on the way."""

    comparisons: Mapping[str, Comparison]
    problems: tuple[str, ...] = ()


def _against_baselines(
    asked: Asked,
    found: Collection,
    references: Mapping[str, Reference],
    chosen: Sequence[str],
    series: Sequence[Series],
) -> _Held:
    """The runs in full and the newest of each case, device and seed, each on its own, against ``--baseline``."""
    if asked.baseline is None:
        return _Held({})
    request = Request(asked.paths, asked.folders, None, asked.baseline, asked.baselines)
    baselines, problems = choose_baselines(request, found)
    named = {run for baseline in baselines if baseline.adopted is None for run in baseline.runs}
    wanted = ({point.run_id for point in newest_of_each(series)} | set(chosen)) - named

    def target(result: Result) -> float | None:
        reference, _ = find_reference(result, references)
        return reference.target if reference else None

    made = {
        result["run_id"]: compare_with_baselines([result], baselines, Terms(), Thresholds(), target)[0]
        for result in found.results
        if result["run_id"] in wanted
    }
    return _Held(made, tuple(problem for problem in problems if problem not in found.problems))


def _with_status(comparison: Comparison, status: str) -> Comparison:
    return replace(comparison, status=cast("ComparisonStatus", status))


def _all_of(reference: Comparison, baseline: Comparison | None) -> tuple[Comparison, ...]:
    """Both comparisons of a run; one that found nothing to hold it against counts only where both did."""
    both = [one for one in (baseline, reference) if one is not None]
    held = [one for one in both if one.against is not None]
    return tuple(held or both[:1])


def _bands(
    series: Sequence[Series], comparisons: Mapping[str, Comparison]
) -> dict[tuple[int, str], tuple[float, float | None]]:
    """The baseline of the newest result of each series that has one."""
    found: dict[tuple[int, str], tuple[float, float | None]] = {}
    for number, one in enumerate(series):
        held = next((comparisons[p.run_id] for p in reversed(one.points) if p.run_id in comparisons), None)
        for verdict in held.verdicts if held else ():
            if verdict.reference is not None:
                found[number, verdict.metric] = verdict.reference, verdict.tolerance
    return found

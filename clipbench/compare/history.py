"""Many results over time, each judged: what a page of results is made from."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from clipbench.api.result import Result
from clipbench.compare.comparing import compare
from clipbench.compare.matching import Terms, match_baselines, match_reference
from clipbench.compare.trend import SeriesKey, group_by_series, newest_of_each
from clipbench.compare.verdicts import Comparison, ComparisonStatus, Judgement, Verdict, worst
from clipbench.results.collecting.collect import Collection
from clipbench.results.collecting.entries import in_outlines


@dataclass(frozen=True)
class Point:
    """One result of a series; ``status`` is the worst of its comparisons.

    ``verdicts`` by metric are those on its reference, none for a case that did not complete.
    """

    result: Result
    status: ComparisonStatus
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """All results of one case on one kind of device, oldest first.

    ``baselines`` has, by metric, the figure of the newest result's baseline, which holds for the whole series.
    """

    key: SeriesKey
    points: tuple[Point, ...]
    baselines: Mapping[str, Band] = field(default_factory=dict)

    def bands(self, metric: str) -> tuple[Band, ...]:
        """Return what ``metric`` is compared with: its baseline, or else what its results' references had.

        There is a band for each stretch without a change; one without a reference has the ``reference`` None.
        """
        if metric in self.baselines:
            return (self.baselines[metric],)
        stretches: list[Band] = []
        last: tuple[float | None, float | None] = (None, None)
        for index, point in enumerate(self.points):
            verdict = point.verdicts.get(metric)
            now = (verdict.reference, verdict.tolerance) if verdict else (None, None)
            if now != last:
                stretches.append(band_around(index, *now))
            last = now
        return tuple(stretches)


@dataclass(frozen=True)
class Band:
    """From the point ``start`` on, until the next band: the figure compared with, and the tolerance on either side."""

    start: int
    reference: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class History:
    """All results judged: ``judgement`` on their references, as ``clipbench compare`` gives it, and over time.

    ``by_run`` has all comparisons of a run: the one with a baseline first. ``newest`` is what holds now: the newest
    result of every series and seed, newest first. ``in_full`` has the results to show in full; others may be outlines.
    """

    judgement: Judgement
    by_run: Mapping[str, tuple[Comparison, ...]]
    series: tuple[Series, ...]
    newest: tuple[Point, ...]
    in_full: tuple[Result, ...] = ()


def judge_history(inputs: Collection, choose: Callable[[Sequence[Point]], Sequence[str]]) -> History:
    """Compare every result with its own reference, and those that matter today with the chosen baselines too.

    These are the newest of each series and seed, and the runs to show in full: ``choose`` gets the newest results and
    returns their ids. Sampling errors are only computed for runs in full: they take resampling, and no verdict depends
    on them. Outlines are read in full where they are to be shown so, or do not have what they are compared by.
    """
    inputs = _as_needed(inputs)
    by_id = {result.run_id: result for result in inputs.results}
    of_reference = {
        run: compare(match_reference(result, inputs.references), errors=False) for run, result in by_id.items()
    }
    groups = group_by_series(inputs.results)
    newest = newest_of_each(groups.values())
    with_baseline = _with_baselines(inputs, {result.run_id for result in newest})

    def judged(run: str) -> tuple[Comparison, ...]:
        return _counted(with_baseline.get(run), of_reference[run])

    def point_of(result: Result) -> Point:
        # What a broken run had reached before is no measurement of what its case comes to.
        verdicts = of_reference[result.run_id].verdicts if result.completed else ()
        status = worst(one.status for one in judged(result.run_id))
        return Point(result, status, {verdict.metric: verdict for verdict in verdicts})

    in_full = inputs.in_full(by_id[run] for run in choose([point_of(result) for result in newest]))
    of_reference |= {result.run_id: compare(match_reference(result, inputs.references)) for result in in_full}
    with_baseline |= _with_baselines(
        replace(inputs, results=in_full), {result.run_id for result in in_full} - with_baseline.keys()
    )
    series = (
        Series(key, tuple(map(point_of, group)), _baseline_bands(group, with_baseline)) for key, group in groups.items()
    )
    judgement = Judgement(tuple(of_reference.values()), inputs.problems)
    by_run = {run: judged(run) for run in of_reference}
    return History(judgement, by_run, tuple(series), tuple(map(point_of, newest)), in_full)


def _as_needed(inputs: Collection) -> Collection:
    """Return ``inputs`` with whole results in place of outlines that do not have what they are compared by."""
    detailed = {name for name, reference in inputs.references.items() if not all(map(in_outlines, reference.paths))}
    needed = [result for result in inputs.results if result.reference in detailed]
    if inputs.baselines is not None:
        needed += newest_of_each(group_by_series(inputs.results).values())
    whole = {result.run_id: result for result in inputs.in_full(needed)}
    return replace(inputs, results=tuple(whole.get(result.run_id, result) for result in inputs.results))


def band_around(start: int, reference: float | None, tolerance: float | None) -> Band:
    """Return the band from the point ``start`` on; without a tolerance it is a line."""
    if reference is None or tolerance is None:
        return Band(start, reference)
    return Band(start, reference, reference - tolerance, reference + tolerance)


def commits_of(points: Iterable[Point]) -> tuple[str | None, ...]:
    """Return every commit once, in the order in which each was first measured."""
    return tuple(dict.fromkeys(point.result.clipbench.commit for point in points))


def _with_baselines(inputs: Collection, runs: Container[str]) -> dict[str, Comparison]:
    """Return the comparisons of ``runs`` with the chosen baselines, each run on its own, by run."""
    if inputs.baselines is None:
        return {}
    named = {run for baseline in inputs.baselines if baseline.adopted is None for run in baseline.runs}

    def target_of(result: Result) -> float | None:
        return match_reference(result, inputs.references).target

    return {
        result.run_id: compare(match)
        for result in inputs.results
        if result.run_id in runs and result.run_id not in named
        for match in match_baselines([result], inputs.baselines, Terms(), target_of)
    }


def _counted(baseline: Comparison | None, reference: Comparison) -> tuple[Comparison, ...]:
    """Return both comparisons of a run; one that found nothing to compare with counts only where both did."""
    both = [one for one in (baseline, reference) if one is not None]
    return tuple(one for one in both if one.against) or tuple(both[:1])


def _baseline_bands(group: Sequence[Result], comparisons: Mapping[str, Comparison]) -> dict[str, Band]:
    newest = next((comparisons[r.run_id] for r in reversed(group) if r.run_id in comparisons), None)
    known = [verdict for verdict in newest.verdicts if verdict.reference is not None] if newest else []
    return {verdict.metric: band_around(0, verdict.reference, verdict.tolerance) for verdict in known}

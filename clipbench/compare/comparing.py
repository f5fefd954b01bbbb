"""Compare a match: a verdict on each metric, from its effect, error and significance, and what all come to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from clipbench.api import Direction, Metric, Result, finite
from clipbench.compare.deciding import by_significance, by_tolerance
from clipbench.compare.matching import Match, unmet
from clipbench.compare.numerics import with_numerics
from clipbench.compare.statistics import significance
from clipbench.compare.statistics.convergence import (
    QUALITY_METRICS,
    loss_curve,
    match_by_seed,
    match_curves,
    quality_metrics,
)
from clipbench.compare.statistics.more_runs import runs_needed
from clipbench.compare.statistics.significance import RUNS_TO_RANK, Effect, Limits
from clipbench.compare.verdicts import (
    Against,
    Cause,
    Comparison,
    ComparisonStatus,
    CurveMatch,
    Difference,
    Hindrance,
    Verdict,
    overall,
)
from clipbench.results.baselines import Baseline
from clipbench.results.measures.metrics import ACCURACY_NAMES, RECALL_NAMES, THROUGHPUT, UNITS_AND_DIRECTIONS
from clipbench.results.references import Reference, ReferenceMetric

CURVE = "loss_curve"
RESAMPLED = (*RECALL_NAMES, *ACCURACY_NAMES)
Figures = Mapping[str, Metric]


def compare(match: Match, errors: bool = True) -> Comparison:
    """Measure and decide every metric of a match.

    ``errors`` False leaves the sampling errors of a comparison with a reference out, which decide nothing and take
    resampling.
    """
    by_name = {verdict.metric: verdict for verdict in _verdicts(match, errors)}
    verdicts = tuple(by_name[name] for name in ordered(by_name))
    first = match.results[0]
    comparison = Comparison(
        runs=tuple(result.run_id for result in match.results),
        suite=first.suite,
        case=first.case,
        engine=first.engine,
        device=first.device_name,
        precision=first.precision,
        world_size=first.world_size,
        epoch=first.evaluated_epoch,
        against=_against(match.other),
        status=_status(match, verdicts),
        verdicts=verdicts,
        differences=match.differences,
        bad_images=match.bad_images if match.other else (),
        unmatched=match.unmatched,
        failure=match.failure,
        hindrances=tuple(hindrance for result in match.results if (hindrance := _hindrance(result))),
    )
    return with_numerics(comparison, match.results)


def _hindrance(result: Result) -> Hindrance | None:
    """Return what slowed the devices of a run down, by its meter; None for nothing, or where nothing was measured."""
    measured = [record.telemetry for record in result.epochs if record.telemetry]
    throttled: dict[str, float] = {}
    for telemetry in measured:
        for reason, seconds in (telemetry.throttled_seconds or {}).items():
            throttled[reason] = throttled.get(reason, 0.0) + seconds
    shared = any(telemetry.shared for telemetry in measured)
    if not shared and not any(throttled.values()):
        return None
    return Hindrance(result.run_id, throttled, sum(record.seconds.total for record in result.epochs), shared)


def _against(other: Reference | Baseline | None) -> Against | None:
    if isinstance(other, Reference):
        return Against("reference", other.name, other.source, other.date, other.device)
    if other:
        return Against("baseline", other.name, other.reason, other.adopted, other.device, other.runs)
    return None


def _status(match: Match, verdicts: Iterable[Verdict]) -> ComparisonStatus:
    if match.failure:
        return "failed case"
    if match.unmatched:
        return "no baseline" if match.unmatched.kind == "baseline" else "no reference"
    return "not comparable" if match.refused else overall(verdicts)


def _verdicts(match: Match, errors: bool) -> Iterable[Verdict]:
    ours = [figures_of(result, match.target) for result in match.results]
    if match.failure or match.other is None:
        return _unjudged(ours, Cause.CASE_FAILED if match.failure else Cause.UNMATCHED)
    if isinstance(match.other, Reference):
        return _with_reference(match, match.other, ours[0], errors)
    if match.refused:
        return _unjudged([figures_of(result) for result in match.results], Cause.CONDITIONS)
    return _with_baseline(match, match.other.results, ours)


def ordered(names: Iterable[str]) -> list[str]:
    """Return names of metrics in the order in which they are shown, unknown ones last."""
    given = set(names)
    return [name for name in UNITS_AND_DIRECTIONS if name in given] + sorted(given - set(UNITS_AND_DIRECTIONS))


# --- figures of several runs --------------------------------------------------------------------------------------


def figures_of(result: Result, target: float | None = None) -> dict[str, Metric]:
    """Return the metrics of the last evaluation and, with a ``target``, the time to quality."""
    stored = result.metrics.last.values if result.metrics.last else {}
    return {**stored, **(quality_metrics(result, target) if target is not None else {})}


def mean(name: str, runs: Sequence[Figures]) -> float | None:
    """Return the mean of a metric over all runs; None where any has no finite value."""
    values = [finite(run[name].value) for run in runs if name in run]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(runs) else None


def _unit(name: str, runs: Iterable[Figures]) -> tuple[str, Direction]:
    stored = next((run[name] for run in runs if name in run), None)
    return (stored.unit, stored.direction) if stored else UNITS_AND_DIRECTIONS.get(name, ("", "higher"))


def _why_missing(name: str, runs: Iterable[Figures]) -> str | None:
    """Return why the first run without a value has none, as its result states it; None without such a run."""
    metrics = (run[name] for run in runs if name in run)
    return next((metric.reason or "not a finite number" for metric in metrics if finite(metric.value) is None), None)


def _unjudged(runs: Sequence[Figures], cause: Cause) -> Iterator[Verdict]:
    for name in {name for run in runs for name in run}:
        yield Verdict(name, *_unit(name, runs), mean(name, runs), cause=cause)


# --- references ---------------------------------------------------------------------------------------------------


def _with_reference(match: Match, reference: Reference, ours: Figures, errors: bool) -> Iterator[Verdict]:
    (result,) = match.results
    resampled = errors and not match.refused and not reference.metrics.keys().isdisjoint(RESAMPLED)
    sampling = significance.sampling_errors(result) if resampled else {}
    for name, published in reference.metrics.items():
        unit, value = (published.unit, published.direction), mean(name, [ours])
        figures = value, published.value, published.tolerance, sampling.get(name)
        note = _why_missing(name, [ours])
        if match.refused:
            yield Verdict(name, *unit, *figures, cause=Cause.CONDITIONS, note=note)
        elif differences := _own_differences(ours.get(name), published, match):
            yield _not_comparable(Verdict(name, *unit, *figures, note=note), differences)
        else:
            cause, limit = by_tolerance(value, published)
            yield Verdict(name, *unit, *figures, cause=cause, limit=limit, note=note)
    for name in ours.keys() - reference.metrics.keys():
        value, error = mean(name, [ours]), sampling.get(name)
        yield Verdict(name, *_unit(name, [ours]), value, error=error, cause=Cause.NO_FIGURE)
    if reference.loss_curve:
        limit = reference.loss_curve_tolerance
        matched = match_curves(loss_curve(result), reference.loss_curve, *([] if limit is None else [limit]))
        yield _curve(Cause.CONDITIONS if match.refused else matched)


def _own_differences(metric: Metric | None, published: ReferenceMetric, match: Match) -> tuple[Difference, ...]:
    """Return what rules out comparing this metric alone: its own conditions, another unit or direction."""
    differences = [d for d in unmet(published.conditions, match.results[0], match.terms) if not d.allowed]
    if metric and metric.unit != published.unit:
        differences.append(Difference("", "its unit", metric.unit, published.unit))
    if metric and metric.direction != published.direction:
        differences.append(Difference("", "its direction", metric.direction, published.direction))
    return tuple(differences)


# --- baselines ----------------------------------------------------------------------------------------------------


def _with_baseline(match: Match, baseline: Sequence[Result], ours: Sequence[Figures]) -> Iterator[Verdict]:
    theirs = [figures_of(result, match.target) for result in baseline]
    measured = {name for run in (*ours, *theirs) for name in run}
    for name in measured - {*RESAMPLED, THROUGHPUT}:
        yield _shown(name, ours, theirs, match)
    thresholds = match.terms.thresholds
    effects = significance.recall_effects(match.results, baseline, thresholds)
    effects |= significance.accuracy_effects(match.results, baseline, thresholds)
    for name in measured.intersection(RESAMPLED):
        one = Verdict(name, *_unit(name, ours), mean(name, ours), mean(name, theirs))
        yield _gated(one, ours, effects.get(name), thresholds.of_recall(name))
    yield _speed(match, baseline, ours, theirs)
    yield _baseline_curve(match.results, baseline)


def _speed(match: Match, baseline: Sequence[Result], ours: Sequence[Figures], theirs: Sequence[Figures]) -> Verdict:
    sides = [[significance.seconds_per_pair(result) for result in side] for side in (match.results, baseline)]
    value, reference = (
        mean(THROUGHPUT, runs) if all(seconds) else None for runs, seconds in zip((ours, theirs), sides, strict=True)
    )
    one = Verdict(THROUGHPUT, *_unit(THROUGHPUT, ours), value, reference)
    if match.slow:
        return _not_comparable(one, match.slow)
    limits = match.terms.thresholds.of_speed()
    effect = None
    if value is not None and reference is not None:
        effect = significance.speed_effect(sides[0], sides[1], limits, (value, reference))
    return _gated(one, ours, effect, limits)


def _gated(one: Verdict, ours: Sequence[Figures], effect: Effect | None, limits: Limits) -> Verdict:
    """Return the verdict on a metric that is judged by the significance of its effect."""
    if one.reference is None:
        return replace(one, cause=Cause.NO_FIGURE)
    if one.value is None:
        return replace(one, cause=Cause.NO_VALUE, note=_why_missing(one.metric, ours))
    if effect is None:
        return replace(one, cause=Cause.NO_QUERY_RANKS, tolerance=limits.min_effect)
    cause, limit = by_significance(effect, limits)
    needed = runs_needed(effect, limits) if cause in (Cause.CHANCE, Cause.UNDETECTED_LOSS) else None
    return replace(
        one,
        tolerance=limits.min_effect * effect.scale,
        error=effect.error * effect.scale,
        cause=cause,
        limit=None if limit is None else limit * effect.scale,
        p_value=effect.p_value,
        evidence=effect.evidence,
        runs_needed=RUNS_TO_RANK if cause is Cause.OUTLIERS else needed,
    )


def _not_comparable(one: Verdict, differences: tuple[Difference, ...]) -> Verdict:
    return replace(one, cause=Cause.OWN_CONDITIONS, differences=differences, error=None)


def _shown(name: str, ours: Sequence[Figures], theirs: Sequence[Figures], match: Match) -> Verdict:
    """Return the verdict on a metric without a gate; yet a target that the baseline reached must be reached."""
    runs = (*ours, *theirs)
    one = Verdict(name, *_unit(name, runs), mean(name, ours), mean(name, theirs), cause=Cause.NO_LIMIT)
    if name not in QUALITY_METRICS:
        return one
    if match.slow and one.unit == "s":
        return _not_comparable(one, match.slow)
    missed = one.value is None and one.reference is not None
    note = _why_missing(name, runs) or f"target {match.target:g}"
    return replace(one, note=note, cause=Cause.NO_VALUE if missed else Cause.NO_LIMIT)


# --- loss curves --------------------------------------------------------------------------------------------------


def _curve(match: CurveMatch | str | Cause) -> Verdict:
    """Return the verdict on a loss curve, whose value is the mean relative error in percent.

    A text says why it cannot be matched, a Cause why it is not judged.
    """
    one = Verdict(CURVE, *UNITS_AND_DIRECTIONS[CURVE], None)
    if isinstance(match, Cause):
        return replace(one, cause=match)
    if isinstance(match, str):
        return replace(one, reference=0.0, cause=Cause.NO_VALUE, note=match)
    limit = 100 * match.relative_limit
    one = replace(one, value=100 * match.relative, reference=0.0, tolerance=limit, evidence=match)
    return one if match.matches else replace(one, cause=Cause.TOLERANCE, limit=limit)


def _baseline_curve(ours: Sequence[Result], theirs: Sequence[Result]) -> Verdict:
    """Return the verdict on the runs whose seed the baseline has too: other seeds see other batches."""
    match = match_by_seed(ours, theirs)
    if match is not None:
        return _curve(match)
    shared = {result.seed for result in ours} & {result.seed for result in theirs}
    return _curve(Cause.NO_FIGURE if shared else Cause.OTHER_SEED)

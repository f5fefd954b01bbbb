"""Measure: one effect per metric of a match, with its error and significance; nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from clipbench.api.plain import finite
from clipbench.api.result import Direction, Metric, Result
from clipbench.compare.convergence import QUALITY_METRICS, Curve, loss_curve, match_curves, mean_curve, quality_metrics
from clipbench.compare.matching import Match, Terms, unmet
from clipbench.compare.significance import (
    Effect,
    Limits,
    pairs_per_second,
    recall_effects,
    sampling_errors,
    seconds_per_pair,
    speed_effect,
)
from clipbench.compare.verdicts import Cause, CurveMatch, Difference
from clipbench.results.metrics import RECALL_NAMES, UNITS_AND_DIRECTIONS
from clipbench.results.references import Reference, ReferenceMetric

SPEED, CURVE = "samples_per_second", "loss_curve"
Figures = Mapping[str, Metric]


@dataclass(frozen=True)
class Measurement:
    """One metric: the mean over our results, the figure it is compared with, and how sure their difference is.

    ``error`` is half the width of the 95 % interval, in ``unit``. ``note`` says why there is no value. ``obstacle``
    is the cause that keeps the metric from being judged, ``differences`` what rules out this metric alone; ``limits``
    are what it is judged by.
    """

    metric: str
    unit: str
    direction: Direction
    value: float | None
    reference: float | None = None
    error: float | None = None
    note: str | None = None
    obstacle: Cause | None = None
    limits: ReferenceMetric | Limits | None = None
    effect: Effect | None = None
    curve: CurveMatch | None = None
    differences: tuple[Difference, ...] = ()


def measure(match: Match, terms: Terms, errors: bool = True) -> list[Measurement]:
    """Return a measurement for each metric, in the order in which they are shown.

    ``errors`` False leaves the sampling errors of a comparison with a reference out, which decide nothing and take
    resampling.
    """
    ours = [figures_of(result, match.target) for result in match.results]
    if match.failure or match.other is None:
        measurements = _unjudged(ours, Cause.CASE_FAILED if match.failure else Cause.UNMATCHED)
    elif isinstance(match.other, Reference):
        measurements = _with_reference(match, match.other, ours[0], terms, errors)
    elif match.refused:
        measurements = _unjudged([figures_of(result) for result in match.results], Cause.CONDITIONS)
    else:
        measurements = _with_baseline(match, match.other.results, ours, terms)
    by_name = {measurement.metric: measurement for measurement in measurements}
    return [by_name[name] for name in ordered(by_name)]


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


def _why_missing(metric: Metric | None) -> str | None:
    """Return why a metric has no value, as the result states it; None where it has one, or there is no metric."""
    return (metric.reason or "not a finite number") if metric and finite(metric.value) is None else None


def _first_missing(name: str, runs: Iterable[Figures]) -> str | None:
    return next((why for run in runs if (why := _why_missing(run.get(name)))), None)


def _unjudged(runs: Sequence[Figures], cause: Cause) -> Iterator[Measurement]:
    for name in {name for run in runs for name in run}:
        yield Measurement(name, *_unit(name, runs), mean(name, runs), obstacle=cause)


# --- references ---------------------------------------------------------------------------------------------------


def _with_reference(
    match: Match, reference: Reference, ours: Figures, terms: Terms, errors: bool
) -> Iterator[Measurement]:
    (result,) = match.results
    resampled = errors and not match.refused and not reference.metrics.keys().isdisjoint(RECALL_NAMES)
    sampling = sampling_errors(result) if resampled else {}
    for name, published in reference.metrics.items():
        yield _with_figure(name, ours.get(name), published, match, terms, sampling.get(name))
    for name in ours.keys() - reference.metrics.keys():
        figures = mean(name, [ours]), None, sampling.get(name)
        yield Measurement(name, *_unit(name, [ours]), *figures, obstacle=Cause.NO_FIGURE)
    if reference.loss_curve:
        yield _curve(loss_curve(result), reference.loss_curve, match.refused)


def _with_figure(
    name: str, metric: Metric | None, published: ReferenceMetric, match: Match, terms: Terms, error: float | None
) -> Measurement:
    unit, value = (published.unit, published.direction), finite(metric.value) if metric else None
    one = Measurement(name, *unit, value, published.value, error, _why_missing(metric), limits=published)
    if match.refused:
        return replace(one, obstacle=Cause.CONDITIONS)
    if differences := _own_differences(metric, published, match.results[0], terms):
        return _not_comparable(one, differences)
    return one


def _own_differences(
    metric: Metric | None, published: ReferenceMetric, result: Result, terms: Terms
) -> tuple[Difference, ...]:
    """Return what rules out comparing this metric alone: its own conditions, another unit or direction."""
    differences = [d for d in unmet(published.conditions, result, terms) if not d.allowed]
    if metric and metric.unit != published.unit:
        differences.append(Difference("", "its unit", metric.unit, published.unit))
    if metric and metric.direction != published.direction:
        differences.append(Difference("", "its direction", metric.direction, published.direction))
    return tuple(differences)


# --- baselines ----------------------------------------------------------------------------------------------------


def _with_baseline(
    match: Match, baseline: Sequence[Result], ours: Sequence[Figures], terms: Terms
) -> Iterator[Measurement]:
    theirs = [figures_of(result, match.target) for result in baseline]
    for name in {name for run in (*ours, *theirs) for name in run} - {*RECALL_NAMES, SPEED}:
        yield _shown(name, ours, theirs, match)
    effects = recall_effects(match.results, baseline, terms.thresholds)
    for name in RECALL_NAMES:
        one = Measurement(name, *_unit(name, ours), mean(name, ours), mean(name, theirs))
        yield _gated(one, ours, effects.get(name), terms.thresholds.of_recall(name))
    yield _speed(match, baseline, ours, theirs, terms.thresholds.of_speed())
    yield _baseline_curve(match.results, baseline)


def _speed(
    match: Match, baseline: Sequence[Result], ours: Sequence[Figures], theirs: Sequence[Figures], limits: Limits
) -> Measurement:
    sides = [[seconds_per_pair(result) for result in side] for side in (match.results, baseline)]
    value, reference = _rate(sides[0], ours), _rate(sides[1], theirs)
    one = Measurement(SPEED, *_unit(SPEED, ours), value, reference)
    if match.slow:
        return _not_comparable(one, match.slow)
    known = value is not None and reference is not None
    return _gated(one, ours, speed_effect(sides[0], sides[1], limits) if known else None, limits)


def _gated(one: Measurement, ours: Sequence[Figures], effect: Effect | None, limits: Limits) -> Measurement:
    """Return a metric that is judged by the significance of its effect."""
    if one.reference is None:
        return replace(one, obstacle=Cause.NO_FIGURE)
    if one.value is None:
        return replace(one, note=_first_missing(one.metric, ours))
    if effect is None:
        return replace(one, obstacle=Cause.NO_QUERY_RANKS, limits=limits)
    return replace(one, error=effect.error * effect.scale, effect=effect, limits=limits)


def _not_comparable(one: Measurement, differences: tuple[Difference, ...]) -> Measurement:
    return replace(one, obstacle=Cause.OWN_CONDITIONS, differences=differences, error=None)


def _rate(seconds: Sequence[Sequence[float]], runs: Sequence[Figures]) -> float | None:
    """Return pairs per second; None where a run has no window, or its throughput is None: an unreliable timing."""
    return pairs_per_second(seconds) if all(seconds) and mean(SPEED, runs) is not None else None


def _shown(name: str, ours: Sequence[Figures], theirs: Sequence[Figures], match: Match) -> Measurement:
    """Return a metric without a gate; yet a target that the baseline reached must be reached."""
    unit = _unit(name, (*ours, *theirs))
    one = Measurement(name, *unit, mean(name, ours), mean(name, theirs), obstacle=Cause.NO_LIMIT)
    if name not in QUALITY_METRICS:
        return one
    if match.slow and one.unit == "s":
        return _not_comparable(one, match.slow)
    missed = one.value is None and one.reference is not None
    note = _first_missing(name, (*ours, *theirs)) or f"target {match.target:g}"
    return replace(one, note=note, obstacle=None if missed else Cause.NO_LIMIT)


# --- loss curves --------------------------------------------------------------------------------------------------


def _curve(ours: Curve, theirs: Curve, refused: bool = False) -> Measurement:
    """Return the match of a loss curve: its value is the mean relative error in percent."""
    unit, match = UNITS_AND_DIRECTIONS[CURVE], match_curves(ours, theirs)
    if refused:
        return Measurement(CURVE, *unit, None, obstacle=Cause.CONDITIONS)
    if isinstance(match, str):
        return Measurement(CURVE, *unit, None, 0.0, note=match)
    return Measurement(CURVE, *unit, 100 * match.relative, 0.0, curve=match)


def _baseline_curve(ours: Sequence[Result], theirs: Sequence[Result]) -> Measurement:
    """Return the match with the baseline's own curve; with other seeds, which see other batches, it gates nothing."""
    mine, other = (mean_curve([loss_curve(result) for result in side]) for side in (ours, theirs))
    measurement = _curve(mine, other)
    if not other or None in other:
        return replace(measurement, reference=None, note=None, obstacle=Cause.NO_FIGURE)
    if {result.seed for result in ours} != {result.seed for result in theirs}:
        return replace(measurement, reference=None, note=None, obstacle=Cause.OTHER_SEED, curve=None)
    return measurement

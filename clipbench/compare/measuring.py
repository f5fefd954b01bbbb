"""Measure: one effect per metric of a match, with its error and significance; nothing is decided here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from clipbench.api.plain import finite
from clipbench.api.result import Direction, Metric, Result
from clipbench.compare.convergence import QUALITY_METRICS, loss_curve, match_curves, mean_curve, quality_metrics
from clipbench.compare.matching import Match, Terms, unmet
from clipbench.compare.significance import (
    Effect,
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


@dataclass(frozen=True)
class Measurement:
    """One metric: the mean over our results, the figure it is compared with, and how sure their difference is.

    ``error`` is half the width of the 95 % interval, in ``unit``. ``note`` says why there is no value. ``obstacle``
    is the cause that keeps the metric from being judged, ``differences`` what rules out this metric alone.
    """

    metric: str
    unit: str
    direction: Direction
    value: float | None
    reference: float | None = None
    error: float | None = None
    note: str | None = None
    obstacle: Cause | None = None
    effect: Effect | None = None
    curve: CurveMatch | None = None
    differences: tuple[Difference, ...] = ()


def measure(match: Match, terms: Terms, errors: bool = True) -> list[Measurement]:
    """Return a measurement for each metric, in the order in which they are shown.

    ``errors`` False leaves the sampling errors of a comparison with a reference out, which decide nothing and take
    resampling.
    """
    if match.failure or match.other is None:
        cause = Cause.CASE_FAILED if match.failure else Cause.UNMATCHED
        found: Iterable[Measurement] = _unjudged(match.results, cause)
    elif isinstance(match.other, Reference):
        found = _with_reference(match, match.other, terms, errors)
    elif match.refused:
        found = _unjudged(match.results, Cause.CONDITIONS)
    else:
        found = _with_baseline(match, match.other.results, terms)
    by_name = {measurement.metric: measurement for measurement in found}
    return [by_name[name] for name in ordered(by_name)]


def ordered(names: Iterable[str]) -> list[str]:
    """Return names of metrics in the order in which they are shown, unknown ones last."""
    given = set(names)
    return [name for name in UNITS_AND_DIRECTIONS if name in given] + sorted(given - set(UNITS_AND_DIRECTIONS))


def _names(results: Sequence[Result]) -> set[str]:
    return {name for result in results for name in result.metric_names}


def _unjudged(results: Sequence[Result], cause: Cause) -> Iterator[Measurement]:
    for name in _names(results):
        yield Measurement(name, *_unit(name, results), mean(name, results), obstacle=cause)


def mean(name: str, results: Sequence[Result]) -> float | None:
    """Return the mean of a metric over all results; None where any has no finite value."""
    return _mean_of([result.value(name) for result in results])


def _mean_of(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _unit(name: str, results: Sequence[Result]) -> tuple[str, Direction]:
    stored = next((metric for result in results if (metric := result.metric(name))), None)
    return (stored.unit, stored.direction) if stored else UNITS_AND_DIRECTIONS.get(name, ("", "higher"))


def _why_missing(name: str, results: Sequence[Result]) -> str | None:
    """Return why the first result without a value has none, as it states it; None where it has no such metric."""
    stored = next((result.metric(name) for result in results if result.value(name) is None), None)
    return (stored.reason or "not a finite number") if stored else None


# --- references ---------------------------------------------------------------------------------------------------


def _with_reference(match: Match, reference: Reference, terms: Terms, errors: bool) -> Iterator[Measurement]:
    (result,) = match.results
    stored = {**(result.metrics.last.values if result.metrics.last else {})}
    if match.target is not None:
        stored |= quality_metrics(result, match.target)
    resampled = errors and not match.refused and not reference.metrics.keys().isdisjoint(RECALL_NAMES)
    sampling = sampling_errors(result) if resampled else {}
    for name in {**stored, **reference.metrics}:
        published, metric = reference.metrics.get(name), stored.get(name)
        if published:
            yield _with_figure(name, metric, published, match, terms, sampling.get(name))
        elif metric:
            figures = finite(metric.value), None, sampling.get(name)
            yield Measurement(name, metric.unit, metric.direction, *figures, obstacle=Cause.NO_FIGURE)
    if reference.loss_curve and match.refused:
        yield Measurement(CURVE, *UNITS_AND_DIRECTIONS[CURVE], None, obstacle=Cause.CONDITIONS)
    elif reference.loss_curve:
        yield _curve(loss_curve(result), reference.loss_curve)


def _with_figure(
    name: str, metric: Metric | None, published: ReferenceMetric, match: Match, terms: Terms, error: float | None
) -> Measurement:
    value, obstacle = finite(metric.value) if metric else None, None
    differences: tuple[Difference, ...] = ()
    if match.refused:
        obstacle = Cause.CONDITIONS
    else:
        conditions = [d for d in unmet(published.conditions, match.results[0], terms) if not d.allowed]
        differences = (*conditions, *_mismatches(metric, published))
        if differences:
            obstacle, error = Cause.OWN_CONDITIONS, None
        elif published.tolerance is None:
            obstacle = Cause.NO_LIMIT
    note = (metric.reason or "not a finite number") if metric and value is None else None
    unit, direction = published.unit, published.direction
    return Measurement(name, unit, direction, value, published.value, error, note, obstacle, differences=differences)


def _mismatches(metric: Metric | None, published: ReferenceMetric) -> list[Difference]:
    if metric is None:
        return []
    ours, theirs = (metric.unit, metric.direction), (published.unit, published.direction)
    sides = zip(("unit", "direction"), ours, theirs, strict=True)
    return [Difference("", f"its {key}", left, right) for key, left, right in sides if left != right]


# --- baselines ----------------------------------------------------------------------------------------------------


def _with_baseline(match: Match, theirs: Sequence[Result], terms: Terms) -> Iterator[Measurement]:
    ours = match.results
    slow = tuple(d for d in match.differences if d.blocks == "speed" and not d.allowed)
    for name in _names([*ours, *theirs]) - {*RECALL_NAMES, SPEED}:
        figures = mean(name, ours), mean(name, theirs)
        yield Measurement(name, *_unit(name, ours), *figures, obstacle=Cause.NO_LIMIT)
    effects = recall_effects(ours, theirs, terms.thresholds)
    for name in RECALL_NAMES:
        yield _recall(name, ours, theirs, effects.get(name))
    yield _speed(ours, theirs, terms, slow)
    if match.target is not None:
        yield from _quality(ours, theirs, match.target, slow)
    yield _baseline_curve(ours, theirs)


def _recall(name: str, ours: Sequence[Result], theirs: Sequence[Result], effect: Effect | None) -> Measurement:
    value, reference = mean(name, ours), mean(name, theirs)
    if value is None or reference is None:
        return _without_value(name, ours, value, reference)
    if effect is None:
        return Measurement(name, *_unit(name, ours), value, reference, obstacle=Cause.NO_QUERY_RANKS)
    return Measurement(name, *_unit(name, ours), value, reference, effect.error, effect=effect)


def _speed(ours: Sequence[Result], theirs: Sequence[Result], terms: Terms, slow: tuple[Difference, ...]) -> Measurement:
    sides = [[seconds_per_pair(result) for result in side] for side in (ours, theirs)]
    # The timing of a result whose throughput is None is unreliable, whatever windows it stores.
    known = [all(runs) and mean(SPEED, side) is not None for runs, side in zip(sides, (ours, theirs), strict=True)]
    value, reference = (pairs_per_second(runs) if one else None for runs, one in zip(sides, known, strict=True))
    if slow:
        unit = _unit(SPEED, ours)
        return Measurement(SPEED, *unit, value, reference, obstacle=Cause.OWN_CONDITIONS, differences=slow)
    if value is None or reference is None:
        return _without_value(SPEED, ours, value, reference)
    effect = speed_effect(sides[0], sides[1], terms.thresholds.of_speed())
    return Measurement(SPEED, *_unit(SPEED, ours), value, reference, effect.error * reference, effect=effect)


def _without_value(name: str, ours: Sequence[Result], value: float | None, reference: float | None) -> Measurement:
    obstacle = Cause.NO_FIGURE if reference is None else None
    note = None if obstacle else _why_missing(name, ours)
    return Measurement(name, *_unit(name, ours), value, reference, note=note, obstacle=obstacle)


def _quality(
    ours: Sequence[Result], theirs: Sequence[Result], target: float, slow: tuple[Difference, ...]
) -> Iterator[Measurement]:
    """Yield the time to quality: shown, but missing where the baseline reached the target and a result did not."""
    sides = [[quality_metrics(result, target) for result in side] for side in (ours, theirs)]
    for name in QUALITY_METRICS:
        runs = [[run[name] for run in side] for side in sides]
        value, reference = (_mean_of([run.value for run in side]) for side in runs)
        why = next((run.reason for side in runs for run in side if run.reason), f"target {target:g}")
        obstacle: Cause | None = None
        differences: tuple[Difference, ...] = ()
        if slow and name == "seconds_to_quality":
            obstacle, differences = Cause.OWN_CONDITIONS, slow
        elif value is not None or reference is None:
            obstacle = Cause.NO_LIMIT
        unit = UNITS_AND_DIRECTIONS[name]
        yield Measurement(name, *unit, value, reference, None, why, obstacle, differences=differences)


# --- loss curves --------------------------------------------------------------------------------------------------


def _curve(ours: Sequence[float | None], theirs: Sequence[float | None]) -> Measurement:
    """Return the match of a loss curve: its value is the mean relative error in percent."""
    match = match_curves(ours, theirs)
    unit = UNITS_AND_DIRECTIONS[CURVE]
    if isinstance(match, str):
        return Measurement(CURVE, *unit, None, 0.0, note=match)
    return Measurement(CURVE, *unit, 100 * match.relative, 0.0, curve=match)


def _baseline_curve(ours: Sequence[Result], theirs: Sequence[Result]) -> Measurement:
    """Return the match with the baseline's own curve; with other seeds, which see other batches, it gates nothing."""
    curves = [mean_curve([loss_curve(result) for result in side]) for side in (ours, theirs)]
    measurement = _curve(*curves)
    if not curves[1] or None in curves[1]:
        return replace(measurement, reference=None, note=None, obstacle=Cause.NO_FIGURE)
    if {result.seed for result in ours} != {result.seed for result in theirs}:
        return replace(measurement, reference=None, note=None, obstacle=Cause.OTHER_SEED, curve=None)
    return measurement

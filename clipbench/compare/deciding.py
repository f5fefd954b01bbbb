"""Decide: a verdict from a measurement and its limits, and a comparison from all verdicts of a match."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from clipbench.compare.matching import Match, Terms
from clipbench.compare.measuring import Measurement, measure
from clipbench.compare.significance import Effect, Limits
from clipbench.compare.verdicts import Against, Cause, Comparison, ComparisonStatus, Verdict, VerdictStatus, overall
from clipbench.results.baselines import Baseline
from clipbench.results.references import Reference, ReferenceMetric

OBSTACLES: Mapping[Cause, VerdictStatus] = {
    Cause.CASE_FAILED: "ungated",
    Cause.UNMATCHED: "ungated",
    Cause.NO_FIGURE: "ungated",
    Cause.NO_LIMIT: "ungated",
    Cause.OTHER_SEED: "ungated",
    Cause.CONDITIONS: "not comparable",
    Cause.OWN_CONDITIONS: "not comparable",
    Cause.NO_QUERY_RANKS: "inconclusive",
}


class Decision(NamedTuple):
    """A status, the cause of any but a plain pass, and the limit that was crossed, in the unit of the limits."""

    status: VerdictStatus
    cause: Cause | None = None
    limit: float | None = None


MISSING = Decision("missing", Cause.NO_VALUE)


def compare(match: Match, terms: Terms | None = None, errors: bool = True) -> Comparison:
    """Measure and decide every metric of a match; ``errors`` as in ``measure``."""
    terms = terms or Terms()
    verdicts = tuple(map(decide, measure(match, terms, errors)))
    first = match.results[0]
    return Comparison(
        runs=tuple(result.run_id for result in match.results),
        suite=first.suite,
        case=first.case,
        device=first.device_name,
        precision=first.precision,
        world_size=first.world_size,
        epoch=first.metrics.last.epoch if first.metrics.last else None,
        against=_against(match.other),
        status=_status(match, verdicts),
        verdicts=verdicts,
        differences=match.differences,
        bad_images=match.bad_images if match.other else (),
        unmatched=match.unmatched,
        failure=match.failure,
    )


def decide(measurement: Measurement) -> Verdict:
    """Return the verdict on one metric."""
    one, effect = measurement, measurement.effect
    status, cause, limit = _decision(one)
    scale = effect.scale if effect else 1.0
    tolerance = one.limits.tolerance if isinstance(one.limits, ReferenceMetric) else None
    if one.curve:
        tolerance = 100 * one.curve.relative_limit
    elif isinstance(one.limits, Limits):
        tolerance = one.limits.min_effect * scale
    return Verdict(
        one.metric,
        status,
        one.unit,
        one.direction,
        one.value,
        one.reference,
        tolerance,
        one.error,
        cause,
        limit=None if limit is None else limit * scale,
        p_value=effect.p_value if effect else None,
        evidence=effect.evidence if effect else one.curve,
        note=one.note,
        differences=one.differences,
    )


def _decision(one: Measurement) -> Decision:
    if one.obstacle:
        return Decision(OBSTACLES[one.obstacle], one.obstacle)
    if isinstance(one.limits, ReferenceMetric):
        return by_tolerance(one.value, one.limits)
    if one.effect and one.limits:
        return by_significance(one.effect, one.limits)
    if one.curve and one.curve.matches:
        return Decision("pass")
    return Decision("fail", Cause.TOLERANCE, 100 * one.curve.relative_limit) if one.curve else MISSING


# --- against a reference ------------------------------------------------------------------------------------------


def by_tolerance(value: float | None, published: ReferenceMetric) -> Decision:
    """Decide on a value by how far it is from a published one, on its worse side or its better side.

    Exactly the tolerance worse still passes, whatever binary rounding makes of decimal figures.
    """
    if published.tolerance is None:
        return Decision("ungated", Cause.NO_LIMIT)
    if value is None:
        return MISSING
    worse = published.value - value if published.direction == "higher" else value - published.value
    if _beyond(worse, published.tolerance):
        return Decision("fail", Cause.TOLERANCE, published.tolerance)
    if published.warn is not None and _beyond(worse, published.warn):
        return Decision("pass", Cause.WARN, published.warn)
    better = published.tolerance if published.better is None else published.better
    return Decision("better", Cause.BETTER, better) if _beyond(-worse, better) else Decision("pass")


def _beyond(distance: float, limit: float) -> bool:
    return distance > limit and not math.isclose(distance, limit, rel_tol=1e-9)


# --- against a baseline -------------------------------------------------------------------------------------------


def by_significance(effect: Effect, limits: Limits) -> Decision:
    """Decide on an effect: it fails or is better only where it is both large enough to count and sure."""
    decision = _by_p_value(effect, limits) if abs(effect.gain) >= limits.min_effect else None
    if decision is None and effect.gain - effect.error < -limits.max_undetected_loss:
        return Decision("inconclusive", Cause.UNDETECTED_LOSS, limits.max_undetected_loss)
    return decision or Decision("pass")


def _by_p_value(effect: Effect, limits: Limits) -> Decision | None:
    """Return the decision on an effect that is large enough to count, None for a gain or loss that may be chance."""
    loss = effect.gain < 0
    if effect.outliers:
        return Decision("inconclusive", Cause.OUTLIERS) if loss else None
    if effect.p_value <= limits.alpha:
        return Decision(*(("fail", Cause.TOLERANCE) if loss else ("better", Cause.BETTER)), limits.min_effect)
    return Decision("inconclusive", Cause.CHANCE) if loss and effect.p_value <= limits.warn_alpha else None


# --- the whole ----------------------------------------------------------------------------------------------------


def _status(match: Match, verdicts: tuple[Verdict, ...]) -> ComparisonStatus:
    if match.failure:
        return "failed case"
    if match.unmatched:
        return "no baseline" if match.unmatched.kind == "baseline" else "no reference"
    return "not comparable" if match.refused else overall(verdicts)


def _against(other: Reference | Baseline | None) -> Against | None:
    if isinstance(other, Reference):
        return Against("reference", other.name, other.source, other.date, other.device)
    if other:
        return Against("baseline", other.name, other.reason, other.adopted, other.device, other.runs)
    return None

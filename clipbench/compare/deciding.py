"""Decide: a verdict from each measurement and its limits, and a comparison from all verdicts; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from clipbench.compare.matching import Match, Terms
from clipbench.compare.measuring import SPEED, Measurement, measure
from clipbench.compare.significance import Effect, Limits
from clipbench.compare.verdicts import Against, Cause, Comparison, ComparisonStatus, Verdict, VerdictStatus, overall
from clipbench.results.baselines import Baseline
from clipbench.results.metrics import RECALL_NAMES
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


def compare(match: Match, terms: Terms | None = None, errors: bool = True) -> Comparison:
    """Measure and decide every metric of a match; ``errors`` as in ``measure``."""
    terms = terms or Terms()
    verdicts = tuple(decide(one, limits_of(one.metric, match, terms)) for one in measure(match, terms, errors))
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


def limits_of(metric: str, match: Match, terms: Terms) -> ReferenceMetric | Limits | None:
    """Return what the metric of a match is gated by; None where nothing gates it, and for a loss curve."""
    if isinstance(match.other, Reference):
        return match.other.metrics.get(metric)
    if metric == SPEED:
        return terms.thresholds.of_speed()
    return terms.thresholds.of_recall(metric) if metric in RECALL_NAMES else None


def decide(measurement: Measurement, limits: ReferenceMetric | Limits | None) -> Verdict:
    """Return the verdict on one metric."""
    effect, curve = measurement.effect, measurement.curve
    scale = effect.scale if effect else 1.0
    status, cause, limit = _decision(measurement, limits)
    tolerance = None
    if curve:
        tolerance = 100 * curve.relative_limit
    elif isinstance(limits, ReferenceMetric):
        tolerance = limits.tolerance
    elif limits and (effect or cause is Cause.NO_QUERY_RANKS):
        tolerance = limits.min_effect * scale
    return Verdict(
        measurement.metric,
        status,
        measurement.unit,
        measurement.direction,
        measurement.value,
        measurement.reference,
        tolerance,
        measurement.error,
        cause,
        None if limit is None else limit * scale,
        effect.p_value if effect else None,
        effect.evidence if effect else curve,
        measurement.note,
        measurement.differences,
    )


def _decision(measurement: Measurement, limits: ReferenceMetric | Limits | None) -> Decision:
    if measurement.obstacle:
        return Decision(OBSTACLES[measurement.obstacle], measurement.obstacle)
    if measurement.value is None:
        return Decision("missing", Cause.NO_VALUE)
    if measurement.curve:
        limit = 100 * measurement.curve.relative_limit
        return Decision("pass") if measurement.curve.matches else Decision("fail", Cause.TOLERANCE, limit)
    if isinstance(limits, ReferenceMetric):
        return by_tolerance(measurement.value, limits)
    if limits and measurement.effect:
        return by_significance(measurement.effect, limits)
    return Decision("ungated", Cause.NO_LIMIT)


# --- against a reference ------------------------------------------------------------------------------------------


def by_tolerance(value: float, published: ReferenceMetric) -> Decision:
    """Decide on a value by how far it is from a published one, on its worse side or its better side.

    Exactly the tolerance worse still passes, whatever binary rounding makes of decimal figures.
    """
    worse = published.value - value if published.direction == "higher" else value - published.value
    if published.tolerance is None:
        return Decision("ungated", Cause.NO_LIMIT)
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
    loss = effect.gain < 0
    large = abs(effect.gain) >= limits.min_effect
    if large and not effect.outliers and effect.p_value <= limits.alpha:
        limit = limits.min_effect
        return Decision("fail", Cause.TOLERANCE, limit) if loss else Decision("better", Cause.BETTER, limit)
    if large and loss and effect.outliers:
        return Decision("inconclusive", Cause.OUTLIERS)
    if large and loss and effect.p_value <= limits.warn_alpha:
        return Decision("inconclusive", Cause.CHANCE)
    if effect.gain - effect.error < -limits.max_undetected_loss:
        return Decision("inconclusive", Cause.UNDETECTED_LOSS, limits.max_undetected_loss)
    return Decision("pass")


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

"""Decide: from a value or an effect and its limits, the cause of any verdict but a plain pass."""

import math
from typing import NamedTuple

from clipbench.compare.statistics.significance import Effect, Limits
from clipbench.compare.verdicts import Cause
from clipbench.results.references import ReferenceMetric


class Decision(NamedTuple):
    """The cause of any but a plain pass, and the limit that was crossed, in the unit of the limits."""

    cause: Cause | None = None
    limit: float | None = None


def by_tolerance(value: float | None, published: ReferenceMetric) -> Decision:
    """Decide on a value by how far it is from a published one, on its worse side or its better side.

    Exactly the tolerance worse still passes, whatever binary rounding makes of decimal figures.
    """
    if published.tolerance is None:
        return Decision(Cause.NO_LIMIT)
    if value is None:
        return Decision(Cause.NO_VALUE)
    worse = published.value - value if published.direction == "higher" else value - published.value
    if _beyond(worse, published.tolerance):
        return Decision(Cause.TOLERANCE, published.tolerance)
    if published.warn is not None and _beyond(worse, published.warn):
        return Decision(Cause.WARN, published.warn)
    better = published.tolerance if published.better is None else published.better
    return Decision(Cause.BETTER, better) if _beyond(-worse, better) else Decision()


def _beyond(distance: float, limit: float) -> bool:
    return distance > limit and not math.isclose(distance, limit, rel_tol=1e-9)


def by_significance(effect: Effect, limits: Limits) -> Decision:
    """Decide on an effect: it fails or is better only where it is both large enough to count and sure."""
    loss, typical = effect.gain < 0, _typical(effect)
    if _hangs_on_few_windows(effect, limits):
        return Decision(Cause.OUTLIERS)
    if abs(effect.gain) >= limits.min_effect:
        if effect.p_value <= limits.alpha and (loss or typical >= limits.min_effect):
            return Decision(Cause.TOLERANCE if loss else Cause.BETTER, limits.min_effect)
        if loss and effect.p_value <= limits.warn_alpha:
            return Decision(Cause.CHANCE)
    if effect.gain - effect.error < -limits.max_undetected_loss:
        return Decision(Cause.UNDETECTED_LOSS, limits.max_undetected_loss)
    return Decision()


def _typical(effect: Effect) -> float:
    return effect.gain if effect.typical is None else effect.typical


def _hangs_on_few_windows(effect: Effect, limits: Limits) -> bool:
    """Return whether a few windows make a loss that the median one does not have, or hide one that it has."""
    typical = _typical(effect)
    made = effect.gain <= -limits.min_effect < typical
    hidden = typical <= -limits.min_effect < effect.gain and effect.worse <= limits.warn_alpha
    return made or hidden

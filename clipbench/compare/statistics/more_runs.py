"""How many runs would decide what is inconclusive today, from the spread that was measured."""

import math
from statistics import NormalDist

from clipbench.compare.statistics.significance import Effect, Limits

CHANCE_TO_DECIDE = 0.8
MOST = 50  # runs on each side; nobody makes more
NORMAL = NormalDist()


def runs_needed(effect: Effect, limits: Limits) -> int | None:
    """Return the runs on each side, those there are included, from which a verdict is likely; None: not up to 50.

    With n runs a side the difference has the standard error s(n) = spread * sqrt(2 / n). Given the difference seen now,
    the one seen then is normal about it, with the variance by which the error shrinks. It decides nothing where it is
    in the gap between the largest loss that passes and the smallest that fails. Returned is the first n at which it
    misses this gap with a chance of 80 %.
    """
    now = effect.spread * math.sqrt(sum(1 / count for count in effect.runs))
    for count in range(max(2, max(effect.runs)), MOST + 1):
        then = effect.spread * math.sqrt(2 / count)
        passes, fails = _gap(then, effect.degrees + 2 * (count - 1), limits)
        moves = math.sqrt(max(now**2 - then**2, 0.0)) or 1e-12
        undecided = NORMAL.cdf((fails + effect.gain) / moves) - NORMAL.cdf((passes + effect.gain) / moves)
        if then < now and undecided <= 1 - CHANCE_TO_DECIDE:
            return count
    return None


def _gap(error: float, degrees: int, limits: Limits) -> tuple[float, float]:
    """Return the largest loss that passes and the smallest that fails, by the rules of ``deciding``."""
    suspicious = max(limits.min_effect, student_quantile(limits.warn_alpha, degrees) * error)
    passes = min(suspicious, limits.max_undetected_loss - 1.96 * error)
    fails = max(limits.min_effect, student_quantile(limits.alpha, degrees) * error)
    return passes, max(fails, passes)


def student_quantile(alpha: float, degrees: int) -> float:
    """Return the value that Student's t exceeds with the chance ``alpha``, within 2 % from six degrees of freedom on.

    The expansion about the normal quantile of Abramowitz and Stegun, 26.7.5.
    """
    z = NORMAL.inv_cdf(1 - alpha)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return float(z + first / degrees + second / degrees**2 + third / degrees**3)

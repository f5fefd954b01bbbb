"""Two sets of samples: which is slower, and how sure that is.

Neighbouring windows of a run are correlated, so their means over blocks are tested; runs differ as wholes, so their
own spread is tested as well.
"""

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from clipbench.compare.statistics.bootstrap import Floats

EXACT_UP_TO = 400  # products of two sample sizes for which the rank test counts every order, in whole numbers


def rank_test(low: Sequence[float] | Floats, high: Sequence[float] | Floats) -> float:
    """Return p of the one-sided Mann-Whitney test, small where ``high`` tends to have higher values than ``low``.

    Exact without ties and for small samples, else by the normal approximation with corrections for ties and
    continuity. Mann and Whitney, Annals of Mathematical Statistics 18 (1947).
    """
    n, m = len(low), len(high)
    if not n or not m:
        return 1.0
    both = np.concatenate([np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)])
    values, inverse, ties = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[inverse]
    u = float(ranks[n:].sum() - m * (m + 1) / 2)
    if len(values) == n + m and n * m <= EXACT_UP_TO:
        orders = _orders(n, m)
        return float(orders[round(u) :].sum() / orders.sum())
    total = n + m
    variance = n * m / 12 * (total + 1 - float((ties**3 - ties).sum()) / (total * (total - 1)))
    z = (u - n * m / 2 - 0.5) / math.sqrt(variance) if variance > 0 else -math.inf
    return math.erfc(z / math.sqrt(2)) / 2


def block_means(values: Sequence[float] | Floats) -> Floats:
    """Return means of blocks long enough to be about independent: twice the autocorrelation time.

    The remainder that fills no block goes to the last one.
    """
    series = np.asarray(values, dtype=np.float64)
    length = block_length(series)
    count = max(1, len(series) // length)
    edges = [*(k * length for k in range(count)), len(series)]
    return np.asarray([series[a:b].mean() for a, b in itertools.pairwise(edges)])


def block_length(series: Floats) -> int:
    """Return twice the autocorrelation time, rounded up; 1 where neighbours do not correlate.

    Correlations are summed up to the first lag at which they drown in their own error of 1 / sqrt(n).
    """
    centred = series - series.mean() if len(series) else series
    power = float(centred @ centred)
    if len(series) < 4 or power <= 0:
        return 1
    time = 1.0
    for lag in range(1, len(series) // 2):
        correlation = float(centred[lag:] @ centred[:-lag]) / power
        if correlation <= 1 / math.sqrt(len(series)):
            break
        time += 2 * correlation
    return 1 if time == 1.0 else min(math.ceil(2 * time), len(series))


@functools.lru_cache(maxsize=16)
def student_draws(degrees: int, count: int, seed: int) -> Floats:
    """Return ``count`` values of Student's t, for errors that were themselves estimated from a few runs; read-only."""
    draws = np.random.default_rng(seed).standard_t(degrees, size=count)
    draws.setflags(write=False)
    return draws


def spread_of_runs(assumed: float, weight: int, *sides: Sequence[float] | Floats) -> tuple[float, int]:
    """Return the standard deviation of a run about its side's mean, and its degrees of freedom.

    A few repeats give a poor estimate. It is averaged with ``assumed``, which counts as ``weight`` more degrees of
    freedom; without that, two repeats could never be significant, however far apart the sides.
    """
    squares = sum(float(((np.asarray(side) - np.mean(side)) ** 2).sum()) for side in sides)
    degrees = weight + sum(len(side) - 1 for side in sides)
    return math.sqrt((weight * assumed**2 + squares) / degrees), degrees


def _orders(n: int, m: int) -> Floats:
    """Return how many orders of n and m different values have U = 0 ... n * m: a Gaussian binomial coefficient."""
    counts = np.zeros(n * m + 1)
    counts[0] = 1
    for k in range(1, m + 1):
        # Times (1 - q^(n + k)), then over (1 - q^k).
        if n + k <= n * m:
            counts[n + k :] -= counts[: -(n + k)].copy()
        for residue in range(k):
            counts[residue::k] = np.cumsum(counts[residue::k])
    return counts

"""Which of many nodes are slow: robust outliers of one group of nodes that should all be equally fast."""

import functools
import math
import statistics
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

N = TypeVar("N", bound=Hashable)

LEAST_NODES = 5  # of fewer, no node is far enough from a median that it is part of
FALSE_ALARMS = 0.003  # the chance that any node of a family is called slow for nothing
NORMAL_MAD = 1.4826  # the standard deviation of a normal distribution over its median absolute deviation
NORMAL_MEDIAN = math.pi / 2  # the variance of a median of many over that of their mean
EFFICIENCY = 0.37  # of the median absolute deviation: it knows as much as this share of the nodes' variance would
FOUND = 2.326  # the normal quantile of 99 %


@dataclass(frozen=True)
class Speed:
    """One node among others: ``below`` is how far it is below their median, a share, negative for a faster one.

    It is slow where this exceeds ``limit``. A node that is slower than the others by ``found`` is found in 99 of 100
    cases. ``runs`` of it were measured.
    """

    below: float
    limit: float
    found: float
    runs: int

    @property
    def slow(self) -> bool:
        return self.below > self.limit


def speeds(runs: Mapping[N, Sequence[float]], family: int, least: float) -> dict[N, Speed]:
    """Return the speed of every node from the pairs/s of each of its ``runs``, by node; {} for fewer than five nodes.

    A node's figure is the median of its runs' logarithms, and the nodes' spread the median absolute deviation of these
    figures from their median: up to half the nodes may be sick and change neither. A node is slow where it is below by
    more than ``least``, a share, and by more than Student's t exceeds with so small a chance that among ``family``
    nodes there is a false alarm three times in a thousand. A node with fewer runs than is usual is given more room, by
    how far the runs of one node are apart.
    """
    if len(runs) < LEAST_NODES:
        return {}
    logs = {node: sorted(map(math.log, own)) for node, own in runs.items()}
    figures = {node: statistics.median(own) for node, own in logs.items()}  # numpy takes ten times as long for a few
    count, values = len(figures), np.asarray(list(figures.values()))
    centre = float(np.median(values))
    # Of few, the deviation is too small on average (Croux and Rousseeuw 1992), and their median is not the true one.
    spread = NORMAL_MAD * float(np.median(np.abs(values - centre))) * count / (count - 0.8)
    spread *= math.sqrt(1 + NORMAL_MEDIAN / count)
    usual, of_runs = float(np.median([len(own) for own in runs.values()])), spread_of_runs(logs.values())
    quantile = student_quantile(FALSE_ALARMS / max(family, count), EFFICIENCY * (count - 1))
    found = {}
    for node, figure in figures.items():
        fewer = max(0.0, 1 / len(runs[node]) - 1 / usual)
        error = math.sqrt(spread**2 + NORMAL_MEDIAN * of_runs**2 * fewer)
        limit = max(least, -math.expm1(-quantile * error))
        surely = -math.expm1(math.log1p(-limit) - FOUND * error)
        found[node] = Speed(-math.expm1(figure - centre), limit, surely, len(runs[node]))
    return found


def spread_of_runs(logs: Iterable[Sequence[float]]) -> float:
    """Return the standard deviation of the runs of one node, robustly over all nodes; 0 where none has two."""
    deviations: list[float] = []
    for own in (own for own in logs if len(own) > 1):
        middle, factor = statistics.median(own), math.sqrt(len(own) / (len(own) - 1))
        deviations += [abs(one - middle) * factor for one in own]
    return NORMAL_MAD * float(np.median(deviations)) if deviations else 0.0


@functools.cache
def student_quantile(chance: float, degrees: float) -> float:
    """Return the value that Student's t of any positive degrees of freedom exceeds with a small chance.

    With t = sqrt(degrees) / tan(angle), the density of the angle is proportional to sin(angle) ** (degrees - 1).
    """
    angles = np.linspace(0, math.pi / 2, 200_001)[1:]
    weights = np.exp((degrees - 1) * np.log(np.sin(angles)))
    tail = np.cumsum(weights)
    place = int(np.searchsorted(tail, 2 * chance * tail[-1]))
    return float(math.sqrt(degrees) / math.tan(angles[place]))

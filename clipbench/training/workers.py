"""How many loader processes a rank has, and how many it should have."""

from __future__ import annotations

import math

from clipbench.results.environment import usable_cores

MOST = 8
STARVED = 0.05


def worker_count(wanted: int | None) -> int:
    """Loader processes of one rank: what the suite says, else one for each core, up to 8."""
    return min(MOST, usable_cores()) if wanted is None else wanted


def starving(data_wait: float | None, workers: int, cores: int) -> str | None:
    """A word on a device that waits for data more than 5 % of the time, with the number that would fit; or None.

    ``data_wait`` is the share of the time, 0..1. What ``workers`` processes deliver too slowly takes 1 / (1 - share) as
    many, as long as there are cores for them.
    """
    if data_wait is None or data_wait <= STARVED:
        return None
    busy = max(1 - data_wait, 1e-3)
    fitting = max(workers + 1, math.ceil(workers / busy)) if workers else max(1, math.ceil(data_wait / busy))
    said = f"the device waits for data {data_wait:.0%} of the time with train.workers={workers}"
    if fitting <= cores:
        return f"{said}; {fitting} would fit: --set train.workers={fitting}"
    return f"{said}; about {fitting} would fit, but there are {cores} cores: they are the limit here, not the device"

"""Timing: the figures that the timed windows of an epoch add up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clipbench.api import Window
from clipbench.results.metrics import throughput


@dataclass(frozen=True)
class Timing:
    """What windows add up to, ``seconds`` in all; all None where there was no window after the warm-up.

    ``data_wait`` is a share of 0..1, ``step_seconds`` has percentiles of the windows' mean step times.
    """

    seconds: float | None = None
    throughput: float | None = None
    data_wait: float | None = None
    step_seconds: Mapping[str, float] | None = None


def measure(windows: Sequence[Window], batch_size: int) -> Timing:
    """Return what ``windows`` of steps of ``batch_size`` pairs add up to."""
    seconds = sum(window.seconds for window in windows)
    if not windows or seconds <= 0:
        return Timing()
    step_times = np.asarray([window.seconds / window.steps for window in windows])
    percentiles = np.percentile(step_times, [5, 50, 95]).tolist()
    step_seconds = dict(zip(("p5", "p50", "p95", "max"), [*percentiles, float(step_times.max())], strict=True))
    data_wait = min(1.0, sum(window.data_wait for window in windows) / seconds)
    return Timing(seconds, throughput(windows, batch_size), data_wait, step_seconds)

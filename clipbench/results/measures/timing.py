"""Timing: the figures that the timed windows of an epoch add up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clipbench.api import Window
from clipbench.results.measures.metrics import throughput


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
    step_times = sorted(window.seconds / window.steps for window in windows)
    step_seconds = {f"p{share}": _percentile(step_times, share) for share in (5, 50, 95)}
    step_seconds["max"] = step_times[-1]
    data_wait = min(1.0, sum(window.data_wait for window in windows) / seconds)
    return Timing(seconds, throughput(windows, batch_size), data_wait, step_seconds)


def _percentile(ordered: Sequence[float], share: int) -> float:
    """Return the percentile of ascending values, interpolated linearly; numpy takes thirty times as long for a few."""
    whole, part = divmod(share * (len(ordered) - 1), 100)
    low, high = ordered[whole], ordered[min(whole + 1, len(ordered) - 1)]
    return low + (high - low) * (part / 100)

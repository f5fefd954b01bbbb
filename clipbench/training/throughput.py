"""Where the time of an epoch goes: windows between synchronised readings of the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

Window = tuple[int, float, float]  # steps, seconds, seconds of them spent waiting for data


@dataclass
class Stopwatch:
    """Times steps in windows; the first ``warmup_steps`` of a run are taken but left out of every figure.

    ``clock`` returns seconds; it is read after the caller has synchronised the device.
    """

    warmup_steps: int
    window_steps: int
    clock: Callable[[], float] = time.perf_counter
    steps: int = 0
    windows: list[Window] = field(default_factory=list)
    _opened: float = 0.0
    _window_steps: int = 0
    _waited: float = 0.0

    def open(self) -> None:
        """Begin an epoch's first window."""
        self.windows = []
        self.restart()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time inside is time spent waiting for the loader."""
        begun = self.clock()
        yield
        self._waited += self.clock() - begun

    def step(self) -> bool:
        """Count a step; True when its window is full (the caller synchronises, then calls ``close``)."""
        self.steps += 1
        self._window_steps += 1
        return self.steps == self.warmup_steps or self._window_steps >= self.window_steps

    def close(self) -> Window | None:
        """Read the clock at the end of a window and begin the next; None for an empty or warm-up window."""
        window = (self._window_steps, self.clock() - self._opened, self._waited)
        self.restart()
        if not window[0] or self.steps <= self.warmup_steps:
            return None
        self.windows.append(window)
        return window

    def restart(self) -> None:
        """Begin the window under way anew: what was done since its beginning, such as saving, is not training."""
        self._opened, self._window_steps, self._waited = self.clock(), 0, 0.0


@dataclass(frozen=True)
class Timing:
    """What the windows of an epoch say: all None where there was no window past the warm-up."""

    samples_per_second: float | None
    data_wait: float | None
    step_seconds: dict[str, float] | None


def summarise(windows: list[Window], batch_size: int) -> Timing:
    """Throughput over all windows, share of waiting, and percentiles of the windows' mean step times."""
    seconds = sum(window[1] for window in windows)
    if not windows or seconds <= 0:
        return Timing(None, None, None)
    steps = sum(window[0] for window in windows)
    step_times = np.asarray([window[1] / window[0] for window in windows])
    percentiles = {f"p{p}": float(np.percentile(step_times, p)) for p in (5, 50, 95)}
    return Timing(
        samples_per_second=steps * batch_size / seconds,
        data_wait=min(1.0, sum(window[2] for window in windows) / seconds),
        step_seconds=percentiles | {"max": float(step_times.max())},
    )

"""Timing: windows of steps between synchronised readings of the clock, and the figures they give."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from clipbench.api import Window
from clipbench.api.config import TimingConfig
from clipbench.results.metrics import throughput


@dataclass
class WindowTimer:
    """Times steps in windows; the first ``timing.warmup_steps`` of a process are taken but left out of every figure.

    ``clock`` returns seconds; it is read after the caller has synchronised the device.
    """

    timing: TimingConfig
    clock: Callable[[], float] = time.perf_counter
    _steps: int = field(default=0, init=False)
    _window_steps: int = field(default=0, init=False)
    _data_wait: float = field(default=0.0, init=False)
    _started: float = field(default=0.0, init=False)
    _read: Window = field(default=Window(0, 0.0, 0.0), init=False)

    @property
    def steps(self) -> int:
        """Steps of this process."""
        return self._steps

    def restart(self) -> None:
        """Start a window now: what was done since the last one, such as saving, is not training."""
        self._started, self._window_steps, self._data_wait = self.clock(), 0, 0.0
        self._read = Window(0, 0.0, 0.0)

    @contextmanager
    def waiting_for_data(self) -> Iterator[None]:
        """Count the time inside the block as time spent waiting for the loader."""
        started = self.clock()
        yield
        self._data_wait += self.clock() - started

    def step(self) -> bool:
        """Count a step; return True when its window is full: the caller synchronises, then calls ``end_window``."""
        self._steps += 1
        self._window_steps += 1
        return self._steps == self.timing.warmup_steps or self._window_steps >= self.timing.window_steps

    def lap(self) -> Window:
        """Return the steps since the last lap of this window, which goes on; the caller has synchronised."""
        before, self._read = self._read, self._so_far()
        now = self._read
        return Window(now.steps - before.steps, now.seconds - before.seconds, now.data_wait - before.data_wait)

    def end_window(self) -> Window | None:
        """Return the window that ends now and start the next; None for an empty one or one of the warm-up."""
        window = self._so_far()
        self.restart()
        return window if window.steps and self._steps > self.timing.warmup_steps else None

    def _so_far(self) -> Window:
        return Window(self._window_steps, self.clock() - self._started, self._data_wait)


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
    step_seconds = {f"p{p}": float(np.percentile(step_times, p)) for p in (5, 50, 95)}
    step_seconds["max"] = float(step_times.max())
    data_wait = min(1.0, sum(window.data_wait for window in windows) / seconds)
    return Timing(seconds, throughput(windows, batch_size), data_wait, step_seconds)


def slowest_windows(windows_of_ranks: Sequence[Sequence[Window]]) -> tuple[Window, ...]:
    """Return, of each window, that of the rank that took longest; ranks have the same number of windows."""
    return tuple(max(same, key=lambda window: window.seconds) for same in zip(*windows_of_ranks, strict=True))

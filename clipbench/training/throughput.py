"""Windows of steps between synchronised readings of the clock."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from clipbench.api import Window
from clipbench.api.config import TimingConfig


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


def slowest_windows(windows_of_ranks: Sequence[Sequence[Window]]) -> tuple[Window, ...]:
    """Return, of each window, that of the rank that took longest; ranks have the same number of windows."""
    return tuple(max(same, key=lambda window: window.seconds) for same in zip(*windows_of_ranks, strict=True))

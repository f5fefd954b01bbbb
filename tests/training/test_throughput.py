"""Windows of steps on a clock that the test moves."""

import numpy as np
import pytest

from clipbench.api import Window
from clipbench.api.config import TimingConfig
from clipbench.results.measures.timing import Timing, measure
from clipbench.training.throughput import WindowTimer, slowest_windows


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def run(timer, clock, steps, step_seconds, wait_seconds=0.0):
    """One epoch as the loop does it; its timed windows."""
    windows = []
    timer.restart()
    for step in range(steps):
        with timer.waiting_for_data():
            clock.now += wait_seconds
        clock.now += step_seconds(step) if callable(step_seconds) else step_seconds
        if timer.step() or step == steps - 1:
            windows.append(timer.end_window())
    return [window for window in windows if window is not None]


def timer_of(**config):
    clock = Clock()
    return WindowTimer(TimingConfig(**config), clock), clock


def test_warm_up_is_left_out():
    timer, clock = timer_of(warmup_steps=3, window_steps=4)
    assert run(timer, clock, 11, lambda step: 100.0 if step < 3 else 1.0) == [(4, 4.0, 0.0), (4, 4.0, 0.0)]


def test_warm_up_is_of_the_run_and_not_of_every_epoch():
    timer, clock = timer_of(warmup_steps=3, window_steps=10)
    assert run(timer, clock, 5, 1.0) == [(2, 2.0, 0.0)]
    assert run(timer, clock, 5, 1.0) == [(5, 5.0, 0.0)]


def test_a_warm_up_longer_than_an_epoch_continues_in_the_next():
    timer, clock = timer_of(warmup_steps=7, window_steps=10)
    assert run(timer, clock, 5, 1.0) == []
    assert run(timer, clock, 5, 1.0) == [(3, 3.0, 0.0)]


def test_what_happens_between_epochs_is_not_timed():
    timer, clock = timer_of(warmup_steps=0, window_steps=10)
    run(timer, clock, 3, 1.0)
    clock.now += 1000.0
    assert run(timer, clock, 3, 1.0) == [(3, 3.0, 0.0)]


def test_waiting_is_a_share_of_the_window():
    timer, clock = timer_of(warmup_steps=0, window_steps=2)
    timing = measure(run(timer, clock, 4, step_seconds=3.0, wait_seconds=1.0), batch_size=8)
    assert timing.data_wait == pytest.approx(0.25)
    assert timing.throughput == pytest.approx(8 / 4)
    assert timing.step_seconds["p50"] == pytest.approx(4.0)


def test_no_window_no_figure():
    assert measure([], 8) == Timing(None, None, None, None)


def test_the_slowest_rank_of_each_window():
    windows = [[Window(10, 2.0, 0.1), Window(10, 4.0, 0.2)], [Window(10, 3.0, 0.3), Window(10, 3.5, 0.1)]]
    assert slowest_windows(windows) == ((10, 3.0, 0.3), (10, 4.0, 0.2))
    assert slowest_windows([[], []]) == ()


@pytest.mark.parametrize("count", [1, 2, 3, 8, 101])
def test_percentiles_are_those_of_numpy(count):
    times = np.random.default_rng(count).random(count)
    taken = measure([Window(1, float(seconds), 0.0) for seconds in times], 8).step_seconds
    for share in (5, 50, 95):
        assert taken[f"p{share}"] == pytest.approx(np.percentile(times, share), rel=1e-12)
    assert taken["max"] == times.max()

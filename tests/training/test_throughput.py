"""The stopwatch on a clock that the test moves."""

import pytest

from clipbench.training.throughput import Stopwatch, summarise


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def run(watch, clock, steps, step_seconds, wait_seconds=0.0):
    """One epoch as the loop does it."""
    watch.open()
    for step in range(steps):
        with watch.waiting():
            clock.now += wait_seconds
        clock.now += step_seconds
        if watch.step() or step == steps - 1:
            watch.close()
    return watch.windows


def test_warm_up_is_left_out():
    clock = Clock()
    watch = Stopwatch(warmup_steps=3, window_steps=4, clock=clock)
    watch.open()
    for step in range(11):
        clock.now += 100.0 if step < 3 else 1.0
        if watch.step():
            watch.close()
    assert watch.windows == [(4, 4.0, 0.0), (4, 4.0, 0.0)]


def test_warm_up_is_of_the_run_and_not_of_every_epoch():
    clock = Clock()
    watch = Stopwatch(warmup_steps=3, window_steps=10, clock=clock)
    assert run(watch, clock, 5, 1.0) == [(2, 2.0, 0.0)]
    assert run(watch, clock, 5, 1.0) == [(5, 5.0, 0.0)]


def test_a_warm_up_longer_than_an_epoch_goes_on_in_the_next():
    clock = Clock()
    watch = Stopwatch(warmup_steps=7, window_steps=10, clock=clock)
    assert run(watch, clock, 5, 1.0) == []
    assert run(watch, clock, 5, 1.0) == [(3, 3.0, 0.0)]


def test_what_happens_between_epochs_is_not_timed():
    clock = Clock()
    watch = Stopwatch(warmup_steps=0, window_steps=10, clock=clock)
    run(watch, clock, 3, 1.0)
    clock.now += 1000.0
    assert run(watch, clock, 3, 1.0) == [(3, 3.0, 0.0)]


def test_waiting_is_a_share_of_the_window():
    clock = Clock()
    watch = Stopwatch(warmup_steps=0, window_steps=2, clock=clock)
    timing = summarise(run(watch, clock, 4, step_seconds=3.0, wait_seconds=1.0), batch_size=8)
    assert timing.data_wait == pytest.approx(0.25)
    assert timing.samples_per_second == pytest.approx(8 / 4)
    assert timing.step_seconds["p50"] == pytest.approx(4.0)


def test_no_window_no_figure():
    assert summarise([], 8).samples_per_second is None

"""Steps that are shown while they are under way, by the loop around a learner that only takes time."""

import itertools
import time
from pathlib import Path

import numpy as np
import pytest

from clipbench.api import DeviceInfo, StepReport, World, events
from clipbench.api.registry import load_registry
from clipbench.suites.loading import find_suite, load_suite
from clipbench.suites.plan import make_plan
from clipbench.training import showing
from clipbench.training.checkpointing import Checkpointer
from clipbench.training.collectives import SingleRank
from clipbench.training.hardware import Hardware
from clipbench.training.loop import Loop
from clipbench.training.state import RunState
from clipbench.training.stop import Stopped, StopRequest

STEPS = 20


class Asynchronous:
    """Learner, loader, device and evaluator: a step is given to the device at once, and done when it is waited for."""

    def __init__(self, seconds=0.0):
        self.seconds, self.pending, self.reports, self.waits = seconds, 0, [], 0
        self.losses = itertools.count(1)

    def __call__(self, learner, epoch):
        return None

    def batches(self, keys):
        return iter([(None, None)] * len(keys))

    def close(self):
        pass

    def train_step(self, pixels, tokens, lr):
        self.pending += 1

    def synchronize(self):
        self.waits += 1
        time.sleep(self.pending * self.seconds)
        self.reports += [StepReport(float(next(self.losses)), 1.0) for _ in range(self.pending)]
        self.pending = 0

    def drain_steps(self):
        reports, self.reports = self.reports, []
        return reports

    def flops(self):
        return 1.0

    def not_finite(self):
        return None

    def reset_peak_memory(self):
        pass

    def peak_memory(self):
        return 5_000


class OtherRank(SingleRank):
    """Two ranks, of which the other has slow steps, and may want to ``stop``."""

    def __init__(self, stop=False):
        self.stop = stop

    def all_gather(self, array):
        other = array.copy()
        if array.dtype == np.float64 and len(array) == 2:  # within a window
            other[:] = True, self.stop
        elif array.dtype == np.float64 and len(array) == 7:  # a WindowReport
            other[3], other[6] = self.stop, True
        return [array, other]


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture
def run(registry):
    """Run one epoch of 20 steps; return the learner and what was emitted."""

    def make(learner, group=None, **timing):
        changes = [f"dataset.options.train_images={50 * STEPS}", "train.epochs=1", "device=cpu"]
        changes += [f"timing.{key}={value}" for key, value in timing.items()]
        (case,) = load_suite(find_suite("quickstart"), changes).cases
        world = World() if group is None else World(0, 0, 2)
        hosts = ("here",) * world.size
        hardware = Hardware(
            learner, learner, "float32", {}, world, group or SingleRank(), DeviceInfo("nothing", 1), hosts
        )
        told = []
        loop = Loop(
            make_plan(case, registry), hardware, learner, learner, learner, RunState(),
            Checkpointer(None, case.checkpoint, {}), StopRequest(Path("no-stop-file")), told.append,
        )  # fmt: skip
        try:
            loop.run()
        except Stopped:
            told.append("stopped")
        return told

    return make


def under_way(told):
    return [event for event in told if isinstance(event, events.StepsUnderWay)]


@pytest.mark.parametrize("warmup, extra", [(5, 1), (0, 0)])
def test_a_fast_device_is_waited_for_at_the_ends_of_windows_and_once_in_the_warm_up(run, warmup, extra):
    learner = Asynchronous()
    run(learner, warmup_steps=warmup, window_steps=5)
    assert learner.waits == 1 + STEPS // 5 + extra  # before the first step, then at each window's end


def test_slow_steps_are_shown_one_by_one_with_their_own_loss(run, monkeypatch):
    monkeypatch.setattr(showing, "SECONDS", 0.01)
    told = run(Asynchronous(0.015), warmup_steps=5, window_steps=10)
    assert told[0] == events.Progress("first step")
    shown = under_way(told)
    assert [event.step for event in shown] == [event.steps_done for event in shown] == list(range(1, STEPS + 1))
    assert [event.loss for event in shown] == list(range(1, STEPS + 1))
    assert all(event.step_seconds >= 0.015 and event.memory_bytes == 5_000 for event in shown)
    assert all(0 <= event.data_wait < 1 and event.throughput == 50 / event.step_seconds for event in shown)
    assert [event.step for event in told if isinstance(event, events.StepsTrained)] == [5, 15, 20]


def test_steps_that_become_slow_are_noticed_at_the_end_of_a_window(run, monkeypatch):
    monkeypatch.setattr(showing, "SECONDS", 0.01)
    learner = Asynchronous()
    slow_from = iter([0.0] * 2)
    drain = learner.drain_steps

    def drained():
        learner.seconds = next(slow_from, 0.015)
        return drain()

    learner.drain_steps = drained
    shown = [event.step for event in under_way(run(learner, warmup_steps=5, window_steps=5))]
    # The eleventh is the first slow one, and the fifteenth ends a window.
    assert shown[-6:] == list(range(15, STEPS + 1))


def test_a_rank_with_slow_steps_has_all_ranks_wait(run):
    learner = Asynchronous()
    run(learner, OtherRank(), warmup_steps=5, window_steps=10)
    assert learner.waits == 1 + STEPS


def test_ranks_with_slow_steps_stop_together_before_their_window_is_full(run):
    told = run(Asynchronous(), OtherRank(stop=True), warmup_steps=5, window_steps=10)
    assert told[-1] == "stopped" and [e.step for e in told[:-1] if isinstance(e, events.StepsTrained)] == [1]

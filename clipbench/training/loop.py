"""Train and evaluate one case: epochs, the steps of an epoch, the end of a window, an evaluation."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from clipbench.api import Batch, Learner, Loader, Window, events
from clipbench.api.result import RetrievedFile
from clipbench.errors import CaseFailedError, ClipbenchError
from clipbench.results.environment import peak_host_memory, usable_cores
from clipbench.suites.plan import Plan
from clipbench.training.batches import starvation_warning, worker_count
from clipbench.training.checkpointing import Checkpointer
from clipbench.training.collectives import (
    WindowReport,
    any_rank,
    any_ranks,
    barrier,
    gather_memory,
    gather_telemetry,
)
from clipbench.training.epoch_record import epoch_record
from clipbench.training.evaluating.evaluation import Evaluated, Evaluator
from clipbench.training.evaluating.pictures import PictureKeeper
from clipbench.training.hardware import Hardware
from clipbench.training.sampling import epoch_batches, rank_batches
from clipbench.training.showing import StepDisplay
from clipbench.training.state import RunState
from clipbench.training.step_reports import StepRecorder, learning_rate
from clipbench.training.stop import Stopped, StopRequest
from clipbench.training.throughput import WindowTimer


@dataclass
class Loop:
    """One rank's training run. ``emit`` reports events; on ranks other than the first it does nothing.

    ``loader`` is None where a run only evaluates. ``state`` is where the run starts, and is updated. ``pictures`` keeps
    what the last evaluation retrieved, where that is asked for.
    """

    plan: Plan
    hardware: Hardware
    learner: Learner
    loader: Loader | None
    evaluator: Evaluator
    state: RunState
    checkpointer: Checkpointer
    stop: StopRequest
    emit: Callable[[events.Event], None]
    pictures: PictureKeeper | None = None
    _timer: WindowTimer = field(init=False)
    _recorder: StepRecorder = field(init=False)
    _display: StepDisplay = field(init=False)
    _flops_counted: float = field(init=False, default=0.0)
    _epoch_started: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._timer = WindowTimer(self.plan.case.timing)
        self._recorder = StepRecorder(self.plan, self.learner, self.state, self.checkpointer)
        self._display = StepDisplay(self.hardware, self._timer, self.plan.case.train.batch_size, self.emit)

    def run(self) -> None:
        """Train and evaluate every epoch that is left; report each, and what the last evaluation found by query."""
        state, hardware, train, warned = self.state, self.hardware, self.plan.case.train, False
        for epoch, steps in epochs_left(self.plan, len(state.epochs)):
            number, rate = (epoch + 1, learning_rate(self.plan, epoch, 0)) if steps else (0, None)
            hardware.device.reset_peak_memory()
            hardware.group.at(f"epoch {epoch + 1}, start")
            if steps:
                self._train(epoch, steps)
            evaluation = self._evaluate(number) if self._evaluation_due(epoch) else None
            if evaluation is not None:
                state.query_ranks, state.per_query = evaluation.query_ranks, evaluation.per_query
            telemetry = gather_telemetry(hardware.group, hardware.telemetry.take())
            memory = gather_memory(hardware.group, hardware.device, peak_host_memory())
            progress = state.progress
            record = epoch_record(number, progress, rate, evaluation, memory, train.batch_size, hardware, telemetry)
            state.finish_epoch(record)
            self.emit(events.EpochFinished(record))
            # Once: what is true of one epoch is mostly true of the next.
            warning = starvation_warning(record, worker_count(train.workers), usable_cores())
            if warning and not warned:
                self.emit(events.Warned(warning))
                warned = True
            if steps:
                self.checkpointer.save_epoch(self.learner, state)
                if any_rank(hardware.group, self.stop.asked()) and state.steps_done < (self.plan.steps or 0):
                    raise Stopped(self.checkpointer.save(self.learner, state))
        if state.query_ranks or state.per_query:
            self.emit(events.QueriesRanked(state.query_ranks, state.per_query))

    def _train(self, epoch: int, steps: int) -> None:
        """Take the steps of an epoch that are left; save, or stop, at the end of a window where a rank asks for it."""
        case, learner, timer, progress = self.plan.case, self.learner, self._timer, self.state.progress
        world, group = self.hardware.world, self.hardware.group
        assert self.loader is not None and self.plan.train_images is not None
        self._epoch_started = time.perf_counter() - progress.seconds
        first_step = progress.steps
        self.hardware.telemetry.begin("train", resumed=first_step > 0)
        order = epoch_batches(case.seed, epoch, self.plan.train_images, case.train.batch_size)[:steps]
        own = rank_batches(order[first_step:], world.rank, world.size)
        learner.synchronize()
        timer.restart()
        if not timer.steps:
            self.emit(events.Progress("first step"))
        batches = self.loader.batches([[(epoch, int(index)) for index in row] for row in own])
        for step in range(first_step, steps):
            group.at(f"epoch {epoch + 1}, step {step + 1}, waiting for its data")
            with timer.waiting_for_data():
                pixels, tokens = self._next_batch(batches, epoch, order)
            group.at(f"epoch {epoch + 1}, step {step + 1}")
            learner.train_step(pixels, tokens, learning_rate(self.plan, epoch, step))
            # Several ranks stop together, where they wait for each other; a single one need not wait for that.
            is_last = step == steps - 1
            is_full = timer.step() or is_last or (world.size == 1 and self.stop.asked())
            if not is_full and not self._stops_within_window(epoch, step + 1, order):
                continue
            learner.synchronize()
            reports = self._end_window(epoch, order)
            if any(report.stop for report in reports):
                raise Stopped(self._save())
            if reports[0].save and not is_last:  # at the end of an epoch, it is saved with its evaluation
                self._save()
                barrier(group)
                timer.restart()
        self.hardware.telemetry.end()
        if self.state.steps_done >= (self.plan.steps or 0):
            self.loader.close()  # its memory is free for the evaluation
        progress.seconds = time.perf_counter() - self._epoch_started
        self.checkpointer.check_parameters(learner, f" after epoch {epoch + 1}")

    def _next_batch(self, batches: Iterator[Batch], epoch: int, order: np.ndarray) -> Batch:
        """Return the next batch; where the loader fails, save what was trained so far, then raise."""
        try:
            return next(batches)
        except Exception as error:
            # One of several ranks cannot save alone: their learners report steps together.
            if self.hardware.world.size == 1:
                self.learner.synchronize()
                self._recorder.record(epoch, order)
                checkpoint = self._save()
                if self.stop.asked():  # the same signal has ended the loader's processes
                    raise Stopped(checkpoint) from None
                if isinstance(error, CaseFailedError):
                    error.checkpoint = checkpoint
            raise

    def _stops_within_window(self, epoch: int, step: int, order: np.ndarray) -> bool:
        """Tell of a step before its window is full; where steps are slow, wait for it, and return whether to stop."""
        stop = False
        if self._display.waits:
            self.learner.synchronize()
            self._recorder.record(epoch, order)
            self._display.waits, stop = any_ranks(self.hardware.group, self._display.lap(), self.stop.asked())
        self._tell(epoch, step)
        return stop

    def _tell(self, epoch: int, step: int) -> None:
        if not self._display.is_due():
            return
        progress = self.state.progress
        taken = self.state.steps_done - progress.steps + step
        rate = learning_rate(self.plan, epoch, step - 1)
        self._display.tell(epoch + 1, step, taken, progress.last_loss, rate)

    def _end_window(self, epoch: int, order: np.ndarray) -> list[WindowReport]:
        """Record what the steps have reported and what every rank has timed; return the reports of all ranks."""
        progress, hardware = self.state.progress, self.hardware
        slow = self._display.lap()
        window = self._timer.end_window() or Window(0, 0.0, 0.0)  # in the warm-up
        flops = self.learner.flops() or 0.0
        self._recorder.record(epoch, order)
        reports = WindowReport(window, self.stop.asked(), self.checkpointer.due(), flops, slow).exchange(hardware.group)
        self._display.waits = any(report.slow for report in reports)
        is_timed = hardware.timing_unreliable_reason is None and window.seconds > 0
        if is_timed:
            progress.add_windows([report.window for report in reports])
        total = sum(report.flops for report in reports)
        progress.flops, self._flops_counted = progress.flops + total - self._flops_counted, total
        rate = learning_rate(self.plan, epoch, progress.steps - 1)
        speed = window.steps * self.plan.case.train.batch_size / window.seconds if is_timed else None
        done = self.state.steps_done
        self.emit(events.StepsTrained(epoch + 1, progress.steps, done, progress.last_loss, rate, speed))
        self._tell(epoch, progress.steps)
        return reports

    def _evaluation_due(self, epoch: int) -> bool:
        every = self.plan.case.eval.every
        return self._is_trained() or (every > 0 and (epoch + 1) % every == 0)

    def _is_trained(self) -> bool:
        return self.state.steps_done >= (self.plan.steps or 0)

    def _evaluate(self, number: int) -> Evaluated | None:
        """Return the evaluation after epoch ``number``; None on ranks other than the first."""
        self.emit(events.EvaluationStarted(number))
        self.hardware.group.at(f"epoch {number}, evaluation")
        self.hardware.telemetry.begin("eval")
        try:
            evaluation = self.evaluator(self.learner, number)
            self.hardware.telemetry.end()
            if evaluation is None:
                return None
            if self._is_trained():
                self.state.retrieved = self._keep(evaluation)
            return replace(evaluation, images=None, captions=None)  # their memory is free for the next epoch
        except Stopped:
            # Its steps are not lost: a resumed run begins with this evaluation.
            raise Stopped(self.checkpointer.save(self.learner, self.state) if number else None) from None

    def _keep(self, evaluation: Evaluated) -> RetrievedFile | None:
        """Return the file with what an evaluation retrieved, None where nothing is kept; warn where it cannot be."""
        images, captions, ranks = evaluation.images, evaluation.captions, evaluation.query_ranks
        if self.pictures is None or images is None or captions is None or ranks is None:
            return None
        try:
            return self.pictures.keep(images, captions, ranks)
        except (ClipbenchError, OSError) as error:
            self.emit(events.Warned(f"what was retrieved is not kept for people to look at: {error}"))
            return None

    def _save(self) -> Path | None:
        """Save in the middle of an epoch, with the seconds that it has taken so far."""
        self.state.progress.seconds = time.perf_counter() - self._epoch_started
        return self.checkpointer.save(self.learner, self.state)


def epochs_left(plan: Plan, done: int) -> Iterator[tuple[int, int]]:
    """Yield (epoch from 0, steps in it) after ``done`` epochs; a run that only evaluates has one of no steps."""
    if not plan.steps:
        yield 0, 0
        return
    assert plan.steps_per_epoch is not None
    for epoch in range(done, math.ceil(plan.steps / plan.steps_per_epoch)):
        yield epoch, min(plan.steps_per_epoch, plan.steps - epoch * plan.steps_per_epoch)


def evaluation_count(plan: Plan) -> int:
    """Return the number of evaluations of a whole run: every ``eval.every`` epochs, and after the last."""
    every = plan.case.eval.every
    return math.ceil(sum(1 for _ in epochs_left(plan, 0)) / every) if every else 1

"""Train and evaluate one case, from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from clipbench.errors import CaseFailedError
from clipbench.results.environment import peak_host_memory, usable_cores
from clipbench.results.events import finite
from clipbench.suites.schedule import learning_rate_at
from clipbench.training.collectives import wait_for_all
from clipbench.training.epoch_record import add_evaluation, explain_nulls, trained, untrained
from clipbench.training.evaluation import Evaluation, Evaluator
from clipbench.training.sampling import epoch_batches, rank_batches
from clipbench.training.state import Partial, Record, RunState
from clipbench.training.stop import Stopped, StopRequest
from clipbench.training.throughput import Stopwatch, Window
from clipbench.training.workers import starving

if TYPE_CHECKING:
    from clipbench.api import Batch, Device, DeviceInfo, Group, Learner, Loader, World
    from clipbench.suites.plan import Plan
    from clipbench.training.checkpointing import Keeper

Emit = Callable[..., None]
TELLING_SECONDS = 10.0  # a shorter epoch says little about whether its loader keeps up


@dataclass
class Loop:
    """One rank's training run. ``emit`` reports events; ranks other than 0 give one that does nothing.

    ``hosts`` are the names of the ranks' machines. ``peak_flops`` are one device's for the precision in use.
    ``untimed`` says why no time that this device tells is to be believed, if so.
    """

    plan: Plan
    world: World
    device: Device
    info: DeviceInfo
    learner: Learner
    loader: Loader | None
    evaluator: Evaluator
    emit: Emit
    group: Group
    state: RunState
    keeper: Keeper
    stop: StopRequest
    hosts: list[str]
    workers: int
    peak_flops: float | None = None
    untimed: str | None = None
    _watch: Stopwatch = field(init=False)
    _flops_seen: float = field(init=False, default=0.0)
    _warned: bool = field(init=False, default=False)

    def run(self) -> None:
        """All epochs that are left; one ``epoch`` event each, and the ranks of the last evaluation at the end."""
        timing = self.plan.case.timing
        self._watch = Stopwatch(timing.warmup_steps, timing.window_steps)
        for epoch, steps in self._epochs():
            self.device.reset_peak_memory()
            self.group.at(f"epoch {epoch + 1}, start")
            begun = time.perf_counter()
            if steps:
                self._train_epoch(epoch, steps)
            seconds = self.state.partial.seconds + time.perf_counter() - begun
            record = self._trained(epoch, seconds) if steps else untrained()
            self._evaluate(epoch, steps, record)
            self._add_memory(record)
            explain_nulls(record)
            self.state.epochs.append(record)
            self.state.partial = Partial()
            self.emit("epoch", record=record)
            self._warn_if_starving(record)
            if steps:
                self.keeper.epoch_ended(self.learner, self.state, self._steps_done())
                self._stop_if_asked(epoch + 1)
        if self.state.ranks is not None:
            self.emit("ranks", ranks=self.state.ranks)

    def _epochs(self) -> Iterator[tuple[int, int]]:
        """(epoch from 0, steps in it) that are not done; a run that only evaluates has one epoch of no steps."""
        if not self.plan.steps:
            yield 0, 0
            return
        assert self.plan.steps_per_epoch is not None
        for epoch in range(len(self.state.epochs), math.ceil(self.plan.steps / self.plan.steps_per_epoch)):
            yield epoch, min(self.plan.steps_per_epoch, self.plan.steps - epoch * self.plan.steps_per_epoch)

    def _steps_done(self) -> int:
        before: int = sum(record["steps"] for record in self.state.epochs)
        return before + self.state.partial.steps

    # --- training -------------------------------------------------------------------------------------------------

    def _train_epoch(self, epoch: int, steps: int) -> None:
        """Take the steps of an epoch that are not taken yet, window by window."""
        case, learner, watch = self.plan.case, self.learner, self._watch
        assert self.loader is not None and self.plan.train_images is not None
        order = epoch_batches(case.seed, epoch, self.plan.train_images, case.train.batch_size)[:steps]
        done = self.state.partial.steps
        mine = rank_batches(order[done:], self.world.rank, self.world.size)
        begun = time.perf_counter()
        learner.synchronize()
        watch.open()
        batches = self.loader.batches([[(epoch, int(i)) for i in row] for row in mine])
        for step in range(done, steps):
            self.group.at(f"epoch {epoch + 1}, step {step + 1}, waiting for its data")
            with watch.waiting():
                pixels, tokens = self._next(batches, epoch, order)
            self.group.at(f"epoch {epoch + 1}, step {step + 1}")
            learner.train_step(pixels, tokens, self._learning_rate(epoch, step))
            # Ranks stop together, at the end of a window; one alone need not wait for that.
            if watch.step() or step == steps - 1 or (self.world.size == 1 and self.stop.asked()):
                learner.synchronize()
                stop, save = self._end_window(epoch, watch.close(), order)
                if stop or (save and step < steps - 1):
                    self.state.partial.seconds += time.perf_counter() - begun
                    saved = self.keeper.save(learner, self.state, self._steps_done())
                    if stop:
                        raise Stopped(saved)
                    wait_for_all(self.group)
                    begun = time.perf_counter()
                    watch.restart()

    def _next(self, batches: Iterator[Batch], epoch: int, order: np.ndarray) -> Batch:
        """The next batch; where there is none, what was trained so far is kept first."""
        try:
            return next(batches)
        except Exception as error:
            # Several ranks cannot: their learners drain together, and the others do not know.
            if self.world.size == 1:
                self.learner.synchronize()
                self._drain(epoch, order)
                saved = self.keeper.save(self.learner, self.state, self._steps_done())
                if self.stop.asked():  # whoever asked has ended the loader's processes too
                    raise Stopped(saved) from None
                if isinstance(error, CaseFailedError):
                    error.checkpoint = saved
            raise

    def _end_window(self, epoch: int, window: Window | None, order: np.ndarray) -> tuple[bool, bool]:
        """Take in what the steps came to and what every rank has timed; whether to stop, and to save."""
        partial = self.state.partial
        flops = self.learner.flops()
        self._drain(epoch, order)
        wishes = np.array([*(window or (0, 0.0, 0.0)), self.stop.asked(), self.keeper.due(), flops or 0.0])
        gathered = self.group.all_gather(wishes)
        partial.windows = partial.windows or [[] for _ in gathered]
        if window is not None and self.untimed is None:
            for windows, row in zip(partial.windows, gathered, strict=True):
                windows.append((int(row[0]), float(row[1]), float(row[2])))
        total = sum(float(row[5]) for row in gathered)
        partial.flops, self._flops_seen = partial.flops + total - self._flops_seen, total
        self._report(epoch, window)
        return any(row[3] for row in gathered), bool(gathered[0][4])

    def _drain(self, epoch: int, order: np.ndarray) -> None:
        """Steps since the last window; a number that is not finite ends the case at its step."""
        partial = self.state.partial
        for report in self.learner.drain_steps():
            self.state.skipped_in_a_row = self.state.skipped_in_a_row + 1 if report.skipped else 0
            if report.skipped:
                partial.skipped += 1
                if self.state.skipped_in_a_row > self.plan.case.train.max_skipped_steps:
                    what = f"the gradient scaler has withheld {self.state.skipped_in_a_row} steps in a row"
                    raise self._broken(f"{what} (train.max_skipped_steps)", epoch, order)
            elif not math.isfinite(report.loss):
                raise self._broken(f"the training loss is {report.loss}", epoch, order)
            elif report.grad_norm is not None and not math.isfinite(report.grad_norm):
                raise self._broken(f"the norm of the gradient is {report.grad_norm}", epoch, order)
            else:
                partial.losses.append(report.loss)
                if report.grad_norm is not None:
                    partial.grad_norms.append(report.grad_norm)
            partial.steps += 1

    def _broken(self, what: str, epoch: int, order: np.ndarray) -> CaseFailedError:
        """An error that names everything about the step that is next to be counted."""
        step = self.state.partial.steps
        step = min(step, len(order) - 1)
        checkpoint = self.keeper.latest
        details = {
            "epoch": epoch + 1,
            "step": step + 1,
            "learning_rate": self._learning_rate(epoch, step),
            "logit_scale": finite(self.learner.logit_scale()),
            "scaler_scale": self.learner.describe().get("scaler_scale"),
            "indices": order[step].tolist(),
        }
        scale = "" if details["scaler_scale"] is None else f", scaler's scale {details['scaler_scale']:g}"
        return CaseFailedError(
            f"{what} at epoch {epoch + 1}, step {step + 1} (learning rate {details['learning_rate']:.3g}, "
            f"logit scale {self.learner.logit_scale():.3f}{scale}, images {_some(details['indices'])}); "
            f"the last good checkpoint: {checkpoint or 'none yet'}",
            details,
            checkpoint,
        )

    def _learning_rate(self, epoch: int, step: int) -> float:
        train = self.plan.case.train
        if train.schedule.per == "epoch":
            return self.plan.learning_rates[epoch]
        assert self.plan.steps_per_epoch is not None
        position = epoch + step / self.plan.steps_per_epoch
        return learning_rate_at(train.schedule, position, lr=train.lr, batch_size=train.batch_size, epochs=train.epochs)

    def _report(self, epoch: int, window: Window | None) -> None:
        partial = self.state.partial
        speed = window[0] * self.plan.case.train.batch_size / window[1] if window and window[1] > 0 else None
        self.emit(
            "step",
            epoch=epoch + 1,
            step=partial.steps,
            steps_done=self._steps_done(),
            loss=partial.losses[-1] if partial.losses else None,
            learning_rate=self._learning_rate(epoch, partial.steps - 1),
            samples_per_second=finite(speed) if self.untimed is None else None,
        )

    def _stop_if_asked(self, epochs: int) -> None:
        """Between epochs, where the last checkpoint may be of earlier."""
        if any(row[0] for row in self.group.all_gather(np.array([self.stop.asked()], np.float64))):
            if epochs * (self.plan.steps_per_epoch or 0) >= (self.plan.steps or 0):
                return  # nothing is left to do but to say so
            raise Stopped(self.keeper.save(self.learner, self.state, self._steps_done()))

    # --- the record of an epoch -----------------------------------------------------------------------------------

    def _trained(self, epoch: int, seconds: float) -> Record:
        broken = self.learner.not_finite()
        if broken is not None:
            raise CaseFailedError(
                f"parameter {broken} is not finite after epoch {epoch + 1}; "
                f"the last good checkpoint: {self.keeper.latest or 'none yet'}",
                checkpoint=self.keeper.latest,
            )
        record = trained(self.state.partial, epoch, self.plan.case, self.hosts, self.info, self.peak_flops)
        record["learning_rate"] = self._learning_rate(epoch, 0)
        record["seconds"] = {"train": seconds, "eval": 0.0}
        if self.untimed is not None:
            for name in ("samples_per_second", "data_wait", "step_seconds"):
                record["reasons"][name] = self.untimed
        return record

    def _warn_if_starving(self, record: Record) -> None:
        """Once: what is true of one epoch is mostly true of the next."""
        long_enough = sum(window[1] for window in record["windows"]) >= TELLING_SECONDS
        warning = starving(record["data_wait"], self.workers, usable_cores()) if long_enough else None
        if warning is not None and not self._warned:
            self._warned = True
            self.emit("warning", text=f"epoch {record['epoch']}: {warning}")

    def _evaluate(self, epoch: int, steps: int, record: Record) -> None:
        every = self.plan.case.eval.every
        last = self._steps_done() >= (self.plan.steps or 0)
        if not last and not (every > 0 and (epoch + 1) % every == 0):
            return
        self.emit("evaluating", epoch=record["epoch"])
        self.group.at(f"epoch {epoch + 1}, evaluation")
        begun = time.perf_counter()
        try:
            evaluation = self.evaluator(self.learner)
        except Stopped:
            raise Stopped(self.keeper.save(self.learner, self.state, self._steps_done()) if steps else None) from None
        record["seconds"]["eval"] = time.perf_counter() - begun
        if evaluation is not None:
            add_evaluation(record, evaluation)
            self.state.ranks = self._ranks(record["epoch"], evaluation)

    def _ranks(self, epoch: int, evaluation: Evaluation) -> dict[str, Any]:
        return {
            "epoch": epoch,
            "text": evaluation.text_ranks.tolist(),
            "image": evaluation.image_ranks.tolist(),
            "image_of_text": self.evaluator.captions.image_of_text.tolist(),
        }

    def _add_memory(self, record: Record) -> None:
        """Peaks of every rank, and the highest of each kind."""
        mine = [self.device.peak_memory(), peak_host_memory()]
        every = self.group.all_gather(np.array([-1 if peak is None else peak for peak in mine], np.int64))
        for kind, name in enumerate(("peak_memory_bytes", "host_memory_bytes")):
            peaks = [int(row[kind]) if row[kind] >= 0 else None for row in every]
            record[name] = None if None in peaks else max(peak for peak in peaks if peak is not None)
            for entry, peak in zip(record.get("per_rank", ()), peaks, strict=False):
                entry[name] = peak


def _some(indices: list[int]) -> str:
    shown = ", ".join(map(str, indices[:8]))
    return shown if len(indices) <= 8 else f"{shown} and {len(indices) - 8} more"

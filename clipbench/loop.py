"""Train and evaluate one case, from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clipbench.environment import peak_host_memory
from clipbench.errors import CaseFailedError
from clipbench.evaluation import Evaluation, Evaluator
from clipbench.events import finite
from clipbench.sampling import epoch_batches, rank_batches
from clipbench.schedule import learning_rate_at
from clipbench.stopwatch import Stopwatch, summarise

if TYPE_CHECKING:
    from clipbench.api import Device, Learner, Loader, World
    from clipbench.plan import Plan

Emit = Callable[..., None]
Record = dict[str, Any]


@dataclass
class Loop:
    """One rank's training run. ``emit`` reports events; ranks other than 0 give one that does nothing."""

    plan: Plan
    world: World
    device: Device
    learner: Learner
    loader: Loader | None
    evaluator: Evaluator | None
    emit: Emit

    def run(self) -> None:
        """All epochs; one ``epoch`` event each, and the ranks of the last evaluation at the end."""
        case = self.plan.case
        watch = Stopwatch(case.timing.warmup_steps, case.timing.window_steps)
        evaluation: Evaluation | None = None
        for epoch, steps in self._epochs():
            self.device.reset_peak_memory()
            begun = time.perf_counter()
            record = self._train_epoch(epoch, steps, watch) if steps else _untrained()
            trained = time.perf_counter()
            if self._is_due(epoch, watch.steps) and self.evaluator is not None:
                self.emit("evaluating", epoch=record["epoch"])
                evaluation = self.evaluator(self.learner)
                _add_evaluation(record, evaluation)
            record["peak_memory_bytes"] = self.device.peak_memory()
            record["host_memory_bytes"] = peak_host_memory()
            record["seconds"] = {"train": trained - begun, "eval": time.perf_counter() - trained}
            _explain_nulls(record)
            self.emit("epoch", record=record)
        if evaluation is not None and self.evaluator is not None:
            ranks = {
                "epoch": record["epoch"],
                "text": evaluation.text_ranks,
                "image": evaluation.image_ranks,
                "image_of_text": self.evaluator.captions.image_of_text,
            }
            self.emit("ranks", ranks=ranks)

    def _epochs(self) -> Iterator[tuple[int, int]]:
        """(epoch from 0, steps to take in it); a run that only evaluates has one epoch of no steps."""
        if not self.plan.steps:
            yield 0, 0
            return
        assert self.plan.steps_per_epoch is not None
        for epoch in range(math.ceil(self.plan.steps / self.plan.steps_per_epoch)):
            yield epoch, min(self.plan.steps_per_epoch, self.plan.steps - epoch * self.plan.steps_per_epoch)

    def _is_due(self, epoch: int, steps_done: int) -> bool:
        every = self.plan.case.eval.every
        return steps_done >= (self.plan.steps or 0) or (every > 0 and (epoch + 1) % every == 0)

    def _train_epoch(self, epoch: int, steps: int, watch: Stopwatch) -> Record:
        case, learner = self.plan.case, self.learner
        assert self.loader is not None and self.plan.train_images is not None
        order = epoch_batches(case.seed, epoch, self.plan.train_images, case.train.batch_size)[:steps]
        keys = [[(epoch, int(i)) for i in row] for row in rank_batches(order, self.world.rank, self.world.size)]
        losses: list[float] = []
        learner.synchronize()
        watch.open()
        batches = self.loader.batches(keys)
        for step in range(steps):
            with watch.waiting():
                pixels, tokens = next(batches)
            learner.train_step(pixels, tokens, self._learning_rate(epoch, step))
            if watch.step() or step == steps - 1:
                learner.synchronize()
                window = watch.close()
                losses += self._drain(epoch, len(losses))
                self._report(epoch, step, losses[-1], window)
        timing = summarise(watch.windows, case.train.batch_size)
        return {
            "epoch": epoch + 1,
            "steps": steps,
            "train_loss": sum(losses) / len(losses),
            "val_loss": None,
            "learning_rate": self._learning_rate(epoch, 0),
            "recall": None,
            "samples_per_second": timing.samples_per_second,
            "data_wait": timing.data_wait,
            "step_seconds": timing.step_seconds,
            "windows": watch.windows,
            "reasons": {},
        }

    def _learning_rate(self, epoch: int, step: int) -> float:
        train = self.plan.case.train
        if train.schedule.per == "epoch":
            return self.plan.learning_rates[epoch]
        assert self.plan.steps_per_epoch is not None
        position = epoch + step / self.plan.steps_per_epoch
        return learning_rate_at(train.schedule, position, lr=train.lr, batch_size=train.batch_size, epochs=train.epochs)

    def _drain(self, epoch: int, done: int) -> list[float]:
        """Losses since the last window; one that is not finite ends the case at its step."""
        losses = [step.loss for step in self.learner.drain_steps()]
        for step, loss in enumerate(losses, start=done):
            if not math.isfinite(loss):
                raise CaseFailedError(
                    f"the training loss is {loss} at epoch {epoch + 1}, step {step + 1} "
                    f"(learning rate {self._learning_rate(epoch, step):.3g}, "
                    f"logit scale {self.learner.logit_scale():.3f}); what was trained since is not usable"
                )
        return losses

    def _report(self, epoch: int, step: int, loss: float, window: tuple[int, float, float] | None) -> None:
        speed = window[0] * self.plan.case.train.batch_size / window[1] if window and window[1] > 0 else None
        self.emit(
            "step",
            epoch=epoch + 1,
            step=step + 1,
            loss=loss,
            learning_rate=self._learning_rate(epoch, step),
            samples_per_second=finite(speed),
        )


def _untrained() -> Record:
    """The record of weights as they came: epoch 0, nothing trained, nothing timed."""
    nothing = "nothing was trained"
    names = ("train_loss", "learning_rate", "samples_per_second", "data_wait", "step_seconds")
    return {
        "epoch": 0,
        "steps": 0,
        "windows": [],
        "val_loss": None,
        "recall": None,
        **dict.fromkeys(names),
        "reasons": dict.fromkeys(names, nothing),
    }


def _add_evaluation(record: Record, evaluation: Evaluation) -> None:
    record["recall"] = evaluation.recall
    record["val_loss"] = finite(evaluation.loss)
    if record["val_loss"] is None:
        record["reasons"]["val_loss"] = evaluation.loss_reason or f"not finite ({evaluation.loss})"


def _explain_nulls(record: Record) -> None:
    """Every null of a record has its reason."""
    reasons = record["reasons"]
    defaults = {
        "recall": "not evaluated after this epoch",
        "val_loss": "not evaluated after this epoch",
        "samples_per_second": "no step was taken after the warm-up",
        "data_wait": "no step was taken after the warm-up",
        "step_seconds": "no step was taken after the warm-up",
        "peak_memory_bytes": "the device does not tell",
        "host_memory_bytes": "the system does not tell",
    }
    for name, why in defaults.items():
        if record[name] is None:
            reasons.setdefault(name, why)

"""The reports of training steps: added to the run's state; a number that is not finite ends the case at its step."""

import math
from dataclasses import dataclass

import numpy as np

from clipbench.api import Learner, StepReport
from clipbench.api.plain import finite
from clipbench.errors import CaseFailedError
from clipbench.suites.plan import Plan
from clipbench.suites.schedule import learning_rate_at
from clipbench.training.checkpointing import Checkpointer
from clipbench.training.state import RunState


def learning_rate(plan: Plan, epoch: int, step: int) -> float:
    """Return the learning rate of a step; ``epoch`` and the ``step`` in it count from 0."""
    train = plan.case.train
    if train.schedule.per == "epoch":
        return plan.learning_rates[epoch]
    assert plan.steps_per_epoch is not None
    position = epoch + step / plan.steps_per_epoch
    return learning_rate_at(train.schedule, position, lr=train.lr, batch_size=train.batch_size, epochs=train.epochs)


@dataclass(frozen=True)
class StepRecorder:
    """Adds the reports of steps to ``state``; errors name the last checkpoint."""

    plan: Plan
    learner: Learner
    state: RunState
    checkpointer: Checkpointer

    def record(self, epoch: int, order: np.ndarray) -> None:
        """Add all steps since the last call; ``order`` (steps, batch) has the images of the epoch's batches.

        Raises CaseFailedError at the first loss or gradient that is not finite, and for too many withheld steps.
        """
        state, progress = self.state, self.state.progress
        for report in self.learner.drain_steps():
            state.skipped_in_a_row = state.skipped_in_a_row + 1 if report.skipped else 0
            if (problem := self._problem(report)) is not None:
                raise self._error(problem, epoch, order)
            progress.steps += 1
            progress.losses.append(None if report.skipped else report.loss)
            if report.skipped:
                progress.skipped_steps += 1
                continue
            if report.grad_norm is not None:
                progress.grad_norms.append(report.grad_norm)

    def _problem(self, report: StepReport) -> str | None:
        skipped = self.state.skipped_in_a_row
        if skipped > self.plan.case.train.max_skipped_steps:
            return f"the gradient scaler has withheld {skipped} steps in a row (train.max_skipped_steps)"
        if report.skipped:
            return None
        if not math.isfinite(report.loss):
            return f"the training loss is {report.loss}"
        if report.grad_norm is not None and not math.isfinite(report.grad_norm):
            return f"the norm of the gradient is {report.grad_norm}"
        return None

    def _error(self, problem: str, epoch: int, order: np.ndarray) -> CaseFailedError:
        """Return an error that names everything about the step that is next to be counted."""
        step = min(self.state.progress.steps, len(order) - 1)
        rate, scale = learning_rate(self.plan, epoch, step), self.learner.logit_scale()
        scaler_scale = self.learner.describe().get("scaler_scale")
        indices = order[step].tolist()
        scaler = "" if scaler_scale is None else f", gradient scale {scaler_scale:g}"
        shown = ", ".join(map(str, indices[:8])) + (f" and {len(indices) - 8} more" if len(indices) > 8 else "")
        text = (
            f"{problem} at epoch {epoch + 1}, step {step + 1} (learning rate {rate:.3g}, logit scale {scale:.3f}"
            f"{scaler}, images {shown}); the last good checkpoint: {self.checkpointer.latest or 'none yet'}"
        )
        details = {"epoch": epoch + 1, "step": step + 1, "learning_rate": rate, "logit_scale": finite(scale)}
        details |= {"scaler_scale": scaler_scale, "indices": indices}
        return CaseFailedError(text, details, self.checkpointer.latest)

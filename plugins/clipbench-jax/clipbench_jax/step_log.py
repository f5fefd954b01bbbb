"""Reports of training steps, kept on the device until they are read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import jax

from clipbench.api import StepReport
from clipbench_jax.training import StepScalars


@dataclass
class StepLog:
    """The scalars of steps since the last drain; losses are means over ranks."""

    _steps: list[StepScalars] = field(default_factory=list)

    def add(self, scalars: StepScalars) -> None:
        """Note a step; waits for nothing."""
        self._steps.append(scalars)

    def drain(self) -> list[StepReport]:
        """Return the steps since the last call; waits for the device."""
        steps, self._steps = jax.device_get(self._steps), []
        return [_report(float(loss), float(norm), bool(withheld)) for loss, norm, withheld in steps]


def _report(loss: float, norm: float, withheld: bool) -> StepReport:
    return StepReport(loss, norm if math.isfinite(norm) or not withheld else None, withheld)

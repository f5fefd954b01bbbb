"""Reports of training steps, kept on the device until they are read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor

from clipbench.api import StepReport


@dataclass
class StepLog:
    """Losses, gradient norms and the optimiser's count of its steps, as scalars on the device.

    A step was withheld where the count did not grow, which holds for the gradient scalers of all vendors.
    """

    world_size: int = 1
    _losses: list[Tensor] = field(default_factory=list)
    _norms: list[Tensor] = field(default_factory=list)
    _counts: list[Tensor] = field(default_factory=list)

    def begin(self, count: Tensor) -> None:
        """Note the optimiser's ``count`` before a step that may be withheld; only the first after a drain is kept."""
        if not self._counts:
            self._counts.append(count)

    def add(self, loss: Tensor, norm: Tensor, count: Tensor | None) -> None:
        """Note the scalars of a step; ``count`` is the optimiser's after it, None where no step is ever withheld."""
        self._losses.append(loss)
        self._norms.append(norm)
        if count is not None:
            self._counts.append(count)

    def drain(self) -> list[StepReport]:
        """Return the steps since the last call, losses the mean over ranks; waits for the device and the ranks."""
        if not self._losses:
            return []
        losses, norms = torch.stack(self._losses), torch.stack(self._norms).tolist()
        if self.world_size > 1:
            dist.all_reduce(losses)
        # A fused optimiser counts on the device, but has no count of its own before its first step.
        counts = [count.to(losses.device) for count in self._counts]
        skipped = withheld(torch.stack(counts).tolist()) if counts else [False] * len(norms)
        for scalars in (self._losses, self._norms, self._counts):
            scalars.clear()
        return [
            StepReport(loss, norm if math.isfinite(norm) or not skip else None, skip)
            for loss, norm, skip in zip((losses / self.world_size).tolist(), norms, skipped, strict=True)
        ]


def withheld(counts: Sequence[float]) -> list[bool]:
    """Return for each step whether it was withheld; ``counts`` are the optimiser's, before the first and after each."""
    return [after <= before for before, after in itertools.pairwise(counts)]

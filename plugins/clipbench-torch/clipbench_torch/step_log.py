"""What training steps came to, kept on the device until someone asks."""

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
    """Losses, gradient norms and the optimiser's own count of its steps, as scalars nobody has waited for.

    A step was withheld where the count did not grow: that holds for every gradient scaler, whoever wrote it.
    """

    ranks: int = 1
    _losses: list[Tensor] = field(default_factory=list)
    _norms: list[Tensor] = field(default_factory=list)
    _counts: list[Tensor] = field(default_factory=list)

    def begin(self, count: Tensor) -> None:
        """Before a step that may be withheld: the optimiser's count; kept for the first one since the last drain."""
        if not self._counts:
            self._counts.append(count)

    def add(self, loss: Tensor, norm: Tensor, count: Tensor | None) -> None:
        """After a step: scalars; ``count`` None where no step is ever withheld."""
        self._losses.append(loss)
        self._norms.append(norm)
        if count is not None:
            self._counts.append(count)

    def drain(self) -> list[StepReport]:
        """The steps since the last call, oldest first, losses the mean over ranks; waits for the device and them."""
        if not self._losses:
            return []
        losses, norms = torch.stack(self._losses), torch.stack(self._norms).tolist()
        if self.ranks > 1:
            dist.all_reduce(losses)
        # A fused optimiser counts on the device, but has no count of its own before its first step.
        counts = [count.to(losses.device) for count in self._counts]
        skipped = withheld(torch.stack(counts).tolist()) if counts else [False] * len(norms)
        for scalars in (self._losses, self._norms, self._counts):
            scalars.clear()
        return [
            StepReport(loss, norm if math.isfinite(norm) or not skip else None, skip)
            for loss, norm, skip in zip((losses / self.ranks).tolist(), norms, skipped, strict=True)
        ]


def withheld(counts: Sequence[float]) -> list[bool]:
    """For each step, whether the optimiser left it out; ``counts`` are its own, before the first and after each."""
    return [after <= before for before, after in itertools.pairwise(counts)]

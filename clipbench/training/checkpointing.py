"""When the state of a run is saved, and what goes into it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipbench.errors import CaseFailedError
from clipbench.results.result import BEST_METRIC
from clipbench.training import checkpoints
from clipbench.training.state import RunState

if TYPE_CHECKING:
    from clipbench.api import Learner
    from clipbench.suites.loading import CheckpointConfig


@dataclass
class Keeper:
    """Saves checkpoints under ``root``; with ``root`` None, as on ranks other than the first, it saves nothing.

    ``identity`` is what a run must have to go on from them. ``latest`` is the folder of the last one. ``clock`` gives
    seconds.
    """

    root: Path | None
    config: CheckpointConfig
    identity: Mapping[str, Any]
    latest: Path | None = None
    saved: Callable[[Path], None] = lambda _folder: None
    clock: Callable[[], float] = time.monotonic
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.clock()

    def due(self) -> bool:
        """Whether so many minutes have passed since the last checkpoint that it is time for another."""
        minutes = self.config.minutes
        return self.root is not None and minutes is not None and self.clock() - self._since >= minutes * 60

    def epoch_ended(self, learner: Learner, state: RunState, steps: int) -> None:
        """Save, where checkpoints at the ends of epochs are wanted after this one."""
        if self.config.epochs and len(state.epochs) % self.config.epochs == 0:
            self.save(learner, state, steps)

    def save(self, learner: Learner, state: RunState, steps: int) -> Path | None:
        """Save after ``steps`` steps of the whole run; the new checkpoint's folder.

        Raises CaseFailedError rather than save weights that are not finite, and a DiskError where the disk refuses.
        """
        if self.root is None:
            return None
        if (broken := learner.not_finite()) is not None:
            raise CaseFailedError(
                f"parameter {broken} is not finite; the last good checkpoint: {self.latest or 'none yet'}",
                checkpoint=self.latest,
            )
        progress = {"identity": self.identity, "state": state.to_dict()}
        self.latest = checkpoints.save(self.root, f"step-{steps:08d}", learner.state(), progress, _score(state))
        self._since = self.clock()
        self.saved(self.latest)
        return self.latest


def _score(state: RunState) -> float | None:
    """The recall of the weights that are saved, where they were evaluated."""
    if state.partial.steps or not state.epochs or not state.epochs[-1]["recall"]:
        return None
    score: float = state.epochs[-1]["recall"][BEST_METRIC]
    return score

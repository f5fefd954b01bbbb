"""When the state of a run is saved, and what goes into a checkpoint."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipbench.api import Learner, events
from clipbench.api.config import CheckpointConfig
from clipbench.api.plain import from_plain, to_plain
from clipbench.errors import CaseFailedError, InvalidFileError
from clipbench.results.measures.metrics import best_of
from clipbench.training import checkpoints
from clipbench.training.state import RunState, SavedRun


@dataclass
class Checkpointer:
    """Saves checkpoints under ``root``; with ``root`` None, as on ranks other than the first, it saves nothing.

    ``identity`` is what a run must have to be resumed from them. ``latest`` is the folder of the last one. ``emit``
    reports each new one.
    """

    root: Path | None
    config: CheckpointConfig
    identity: Mapping[str, Any]
    latest: Path | None = None
    emit: Callable[[events.Event], None] = lambda _event: None
    _last_time: float = field(init=False, default_factory=time.monotonic)

    def due(self) -> bool:
        """Return whether ``checkpoint.minutes`` have passed since the last checkpoint."""
        minutes = self.config.minutes
        return self.root is not None and minutes is not None and time.monotonic() - self._last_time >= minutes * 60

    def save_epoch(self, learner: Learner, state: RunState) -> None:
        """Save where ``checkpoint.epochs`` asks for it after the epoch that has just ended."""
        if self.config.epochs and len(state.epochs) % self.config.epochs == 0:
            self.save(learner, state)

    def save(self, learner: Learner, state: RunState) -> Path | None:
        """Save, and return the new checkpoint's folder.

        Raises CaseFailedError rather than save weights that are not finite, and DiskError where the disk refuses.
        """
        if self.root is None:
            return None
        started = time.monotonic()
        self.emit(events.Progress("saving"))
        self.check_parameters(learner)
        progress = to_plain(SavedRun(self.identity, state))
        name = f"step-{state.steps_done:08d}"
        self.latest = checkpoints.save(self.root, name, learner.state(), progress, _score(state))
        self._last_time = time.monotonic()
        self.emit(events.CheckpointSaved(str(self.latest), state.steps_done, self._last_time - started))
        return self.latest

    def check_parameters(self, learner: Learner, when: str = "") -> None:
        """Raise CaseFailedError for a parameter that is not finite; ``when`` completes the message."""
        if (broken := learner.not_finite()) is not None:
            raise CaseFailedError(
                f"parameter {broken} is not finite{when}; the last good checkpoint: {self.latest or 'none yet'}",
                checkpoint=self.latest,
            )


def saved_run(checkpoint: checkpoints.Checkpoint) -> SavedRun:
    """Return the run saved in a checkpoint; raise InvalidFileError where it is not one."""
    try:
        return from_plain(SavedRun, checkpoint.progress)
    except TypeError as error:
        path = checkpoint.folder / checkpoints.STATE
        raise InvalidFileError(f"{path}: not the state of a run ({error}); {checkpoints.NEXT}") from None


def peek(folder: Path) -> SavedRun | None:
    """Return the run saved in a checkpoint, its files not verified; None where they cannot be read."""
    try:
        return from_plain(SavedRun, checkpoints.read_state(folder)["progress"])
    except (InvalidFileError, TypeError):
        return None


def _score(state: RunState) -> float | None:
    """Return how good the weights are that are saved, where they were evaluated."""
    return None if state.progress.steps or not state.epochs else best_of(state.epochs[-1])

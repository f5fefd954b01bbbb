"""How far a run is: all of a checkpoint that is not the learner's own state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clipbench.api.plain import leaves
from clipbench.api.result import Attempt, EpochRecord, PerQuery, QueryRanks, RetrievedFile, Window


@dataclass
class EpochProgress:
    """The epoch under way: the steps taken, what they reported, and the timed windows of each rank.

    ``losses`` has one for each step, None for one that was withheld.
    ``flops`` are of all ranks; ``seconds`` were spent on training up to the last save.
    """

    steps: int = 0
    losses: list[float | None] = field(default_factory=list)
    grad_norms: list[float] = field(default_factory=list)
    skipped_steps: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    windows_of_ranks: list[list[Window]] = field(default_factory=list)

    @property
    def last_loss(self) -> float | None:
        """The loss of the last step that was not withheld."""
        return next((loss for loss in reversed(self.losses) if loss is not None), None)

    def add_windows(self, windows: Sequence[Window]) -> None:
        """Add the latest window of every rank."""
        self.windows_of_ranks = self.windows_of_ranks or [[] for _ in windows]
        for earlier, window in zip(self.windows_of_ranks, windows, strict=True):
            earlier.append(window)


@dataclass
class RunState:
    """The epochs that are done, the one under way, what the last evaluation found, and every start of the run.

    ``retrieved`` is the file that was kept of the last evaluation. ``skipped_in_a_row`` counts the steps, up to the
    last one, that the gradient scaler has withheld.
    """

    epochs: list[EpochRecord] = field(default_factory=list)
    progress: EpochProgress = field(default_factory=EpochProgress)
    query_ranks: QueryRanks | None = None
    per_query: PerQuery | None = None
    skipped_in_a_row: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    retrieved: RetrievedFile | None = None

    @property
    def steps_done(self) -> int:
        """Steps of the whole run."""
        return sum(record.steps for record in self.epochs) + self.progress.steps

    def finish_epoch(self, record: EpochRecord) -> None:
        """Add the record of the epoch under way, and begin the next."""
        self.epochs.append(record)
        self.progress = EpochProgress()


@dataclass(frozen=True)
class SavedRun:
    """What a checkpoint holds beside the learner; ``identity`` is what a run must have to be resumed from it."""

    identity: Mapping[str, Any]
    state: RunState


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one phrase for every value in which two nested mappings differ, by its dotted path."""
    old, new = (
        {path: value for path, value in leaves(section) if value not in ({}, None)} for section in (before, now)
    )
    return [
        f"{path} was {_short(old.get(path))} and is {_short(new.get(path))}"
        for path in {**old, **new}
        if old.get(path) != new.get(path)
    ]


def _short(value: object) -> str:
    text = "not there" if value is None else str(value)
    return text if len(text) <= 48 else text[:45] + "..."

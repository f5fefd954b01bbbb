"""What happens in a run, one class each: the only channel between a run and whoever shows it or writes it down.

Most events are reported by the case's own process; CaseStarted, Notice and CaseFinished by ``clipbench run``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench.api import result as results
from clipbench.api.config import Case
from clipbench.api.data import Missing, Probe


class Event:
    """Base of every event."""


# --- of the process of ``clipbench run`` ---------------------------------------------------------------------------


@dataclass(frozen=True)
class CaseStarted(Event):
    """A case is about to run; ``folder`` is where observers put what belongs to the run."""

    case: Case
    run_id: str
    folder: Path


@dataclass(frozen=True)
class Notice(Event):
    """A sentence that the user should read now."""

    text: str


@dataclass(frozen=True)
class CaseFinished(Event):
    """A case has ended, whatever its status; its result was written to ``path``."""

    result: results.Result
    path: Path


# --- of the case's process, in the order in which they come --------------------------------------------------------


@dataclass(frozen=True)
class DevicesChecked(Event):
    """Engines and devices were looked for; ``missing`` is what cannot be used, and ends the run."""

    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True)
class NumericsStepped(Event):
    """The check of numerics, in a process of its own, has taken ``done`` of the ``steps`` of one of its parts."""

    device: str
    precision: str
    done: int
    steps: int


@dataclass(frozen=True)
class NumericsChecked(Event):
    """What the check of numerics has found up to now; the last one of a run has all of it."""

    numerics: results.Numerics


@dataclass(frozen=True)
class EnvironmentRead(Event):
    """The machine, its software and the device in use, as a result has them."""

    environment: Mapping[str, Any]


@dataclass(frozen=True)
class DeviceProbed(Event):
    """The device was tested before anything is timed."""

    probes: tuple[Probe, ...]


@dataclass(frozen=True)
class InputsRead(Event):
    """Data and weights are there; ``text_truncated`` counts captions cut to the context length."""

    dataset: results.DatasetUsed
    weights: results.WeightsUsed
    text_truncated: int
    bad_images: results.BadImages | None = None


@dataclass(frozen=True)
class LearnerBuilt(Event):
    """The model is on its device. ``device`` is the environment's section; ``steps`` of the whole run."""

    model: Mapping[str, Any]
    device: Mapping[str, Any]
    steps: int | None
    steps_per_epoch: int | None


@dataclass(frozen=True)
class ResumeRefused(Event):
    """The unfinished run cannot be resumed, for these reasons."""

    reasons: tuple[str, ...]


@dataclass(frozen=True)
class TrainingStarted(Event):
    """Every start of this run, this one last, and the epochs that were done before it."""

    attempts: tuple[results.Attempt, ...]
    epochs: tuple[results.EpochRecord, ...] = ()


@dataclass(frozen=True)
class StepsTrained(Event):
    """A window of steps has been trained, and the clock read.

    ``epoch`` and ``step`` in it count from 1, ``steps_done`` over the whole run. ``loss`` is None while every step was
    withheld; ``samples_per_second`` is the window's, None in the warm-up.
    """

    epoch: int
    step: int
    steps_done: int
    loss: float | None
    learning_rate: float
    samples_per_second: float | None


@dataclass(frozen=True)
class EvaluationStarted(Event):
    """The evaluation after ``epoch`` begins."""

    epoch: int


@dataclass(frozen=True)
class EpochFinished(Event):
    """An epoch has been trained and, where the suite asks for it, evaluated."""

    record: results.EpochRecord


@dataclass(frozen=True)
class CheckpointSaved(Event):
    """A checkpoint is whole in ``folder``."""

    folder: str


@dataclass(frozen=True)
class Warned(Event):
    """Something is odd about the data or the machine; kept in the result."""

    text: str


@dataclass(frozen=True)
class QueriesRanked(Event):
    """The ranks of the last evaluation."""

    query_ranks: results.QueryRanks


@dataclass(frozen=True)
class TrainingFinished(Event):
    """The run has come to its end; ``model`` as it is now."""

    model: Mapping[str, Any]


@dataclass(frozen=True)
class TrainingStopped(Event):
    """The run has stopped because it was asked to; ``checkpoint`` is the folder to resume from."""

    checkpoint: str | None = None


@dataclass(frozen=True)
class RankFailed(Event):
    """A rank has failed with ``error``; ``is_cause`` where it was named by its peers as the first to fail."""

    error: results.CaseError
    is_cause: bool = False


@dataclass(frozen=True)
class RankKilled(Event):
    """A rank was killed by a signal, as its launcher has seen."""

    rank: int
    signal: str
    pid: int


EVENTS: Mapping[str, type[Event]] = {cls.__name__: cls for cls in Event.__subclasses__()}

"""What happens in a run, one class each: the only channel between a run and whoever shows it or writes it down.

Most events are reported by the case's own process; CaseStarted, Notice, StopRequested and CaseFinished by
``clipbench run``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
class StopRequested(Event):
    """Somebody has asked the run to stop: where it can be resumed, or ``at_once``, which is the second time.

    ``steps`` are trained, ``saved_steps`` of them in a checkpoint; ``steps_left`` are trained before it stops, at most.
    ``step_seconds`` and ``save_seconds`` say how long a step and a checkpoint take, None where that is not known yet.
    ``stage`` is what the run is doing instead of training, None while it trains.
    """

    at_once: bool
    stage: "Stage | None"
    steps: int
    saved_steps: int
    steps_left: int
    step_seconds: float | None = None
    save_seconds: float | None = None


@dataclass(frozen=True)
class CaseFinished(Event):
    """A case has ended, whatever its status; its result was written to ``path``."""

    result: results.Result
    path: Path


# What a run can be doing, beside training.
Stage = Literal[
    "data",  # looking for the files of a case
    "framework",  # importing it
    "weights",  # checking whether they fit
    "device",  # opening it
    "ranks",  # waiting for the other ranks
    "probes",  # testing the device
    "pictures",  # generating what the dataset generates
    "captions",  # reading and tokenising them
    "model",  # building it, or loading its weights
    "numerics",  # steps of their check, before the training
    "checkpoint",  # reading the one to resume from
    "first step",  # with all that is compiled and started for it
    "images",  # encoding those of an evaluation
    "texts",  # likewise
    "thumbnails",  # making them, to show what the last evaluation retrieved
    "saving",  # a checkpoint
]


@dataclass(frozen=True)
class Progress(Event):
    """What the run is doing, told when it begins and then at most once a second; of interest only while it lasts.

    ``subject`` names what it is done to: an engine, a dataset, a file. ``done`` of ``total`` items, where they are
    counted, have been given to the device.
    """

    stage: Stage
    subject: str = ""
    done: int = 0
    total: int = 0


# --- of the case's process, in the order in which they come --------------------------------------------------------


@dataclass(frozen=True)
class DevicesChecked(Event):
    """Engines and devices were looked for; ``missing`` is what cannot be used, and ends the run."""

    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True)
class NumericsChecked(Event):
    """What the check of numerics, in a process of its own, has found up to now; the last one has all of it."""

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
    """Data and weights are there; ``text_truncated`` counts captions cut to the context length.

    ``text_weights`` are of the text tower alone, where it has a file of its own.
    """

    dataset: results.DatasetUsed
    weights: results.WeightsUsed
    text_truncated: int
    bad_images: results.BadImages | None = None
    text_weights: results.WeightsUsed | None = None
    vocabulary: results.VocabularyUsed | None = None


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

    @property
    def steps_done(self) -> int:
        """Steps that were trained, and saved, before this start."""
        return sum(record.steps for record in self.epochs) + (self.attempts[-1].steps if self.attempts else 0)


@dataclass(frozen=True)
class StepsUnderWay(Event):
    """How far training is, told after every step or second, whichever is longer; of interest only while it lasts.

    ``epoch`` and ``step`` in it count from 1, ``steps_done`` over the whole run. Of steps that take less than a second
    they count those given to the device, and all else is of the last ones that it was waited for: ``loss``,
    ``step_seconds``, ``throughput``, and ``data_wait``, a share of 0..1; None while not known. ``memory_bytes``
    is the peak on the device in this epoch, or that of the process where the device reports none. ``watts`` and
    ``celsius`` are what a meter read last, where there is one.
    """

    epoch: int
    step: int
    steps_done: int
    loss: float | None
    learning_rate: float
    step_seconds: float | None
    throughput: float | None
    data_wait: float | None
    memory_bytes: int | None
    watts: float | None = None
    celsius: float | None = None


@dataclass(frozen=True)
class StepsTrained(Event):
    """A window of steps has been trained, and the clock read.

    ``epoch`` and ``step`` in it count from 1, ``steps_done`` over the whole run. ``loss`` is None while every step was
    withheld; ``throughput`` is the window's, None in the warm-up.
    """

    epoch: int
    step: int
    steps_done: int
    loss: float | None
    learning_rate: float
    throughput: float | None


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
    """A checkpoint of so many ``steps`` is whole in ``folder``; writing it took ``seconds``."""

    folder: str
    steps: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Warned(Event):
    """Something is odd about the data or the machine; kept in the result."""

    text: str


@dataclass(frozen=True)
class QueriesRanked(Event):
    """What the last evaluation has found for each query: of retrieval, and of the other evaluations."""

    query_ranks: results.QueryRanks | None
    per_query: results.PerQuery | None = None


@dataclass(frozen=True)
class TrainingFinished(Event):
    """The run has come to its end; ``model`` as it is now, ``retrieved`` what was kept of its last evaluation."""

    model: Mapping[str, Any]
    retrieved: results.RetrievedFile | None = None


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

"""Protocols: everything that the core calls on the objects that plugins bring, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from clipbench.api import data
from clipbench.api.events import Event

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

    from clipbench.api.specs import ModelSpec
    from clipbench.clip.config import ClipConfig


class Split(Protocol):
    """The pairs of one split. It is sent to loader processes, so it must pickle."""

    @property
    def fingerprint(self) -> data.Fingerprint:
        """Return what identifies these pairs."""

    @property
    def skipped(self) -> int:
        """Return how many pairs were left out because their image cannot be used (``on_bad_image: skip``), mostly 0."""

    def __len__(self) -> int:
        """Return the number of images."""

    def captions(self, index: int) -> Sequence[str]:
        """Return the captions of image ``index``, one or more, as written in the data.

        Of a ClassifiedSplit there may be none, then for no image: it can be evaluated, but not trained on.
        """

    def image(self, index: int) -> Image:
        """Return image ``index``, decoded or not, in whatever mode the file has.

        Raises CaseFailedError where it cannot be read.
        """


class ClassifiedSplit(Split, Protocol):
    """A split whose pictures have classes; a split has this method or not."""

    def classes(self) -> data.Classes:
        """Return the class of every image, by its index. ``fingerprint`` stands for names and templates too."""


class Dataset(Protocol):
    """Two splits and what they need."""

    def missing(self) -> list[data.Missing]:
        """Return everything that is not there, found without decoding images; empty when ready."""

    def sizes(self) -> tuple[int, int]:
        """Return the number of training and of validation images, without preparing anything."""

    def prepare(self) -> None:
        """Write what the dataset generates, if it does; a second call finds it done."""

    def train(self) -> Split:
        """Return the training split."""

    def val(self) -> Split:
        """Return the validation split."""

    def warnings(self) -> list[str]:
        """Return what should be known of the data though it keeps nothing from running, a line each."""


class Tokenizer(Protocol):
    """Turns texts into the token ids that a model takes; ``TokenizerSpec`` says how it is made.

    ``vocab_size`` is the number of token ids, ``truncated`` counts the texts that were cut so far.
    """

    vocab_size: int
    truncated: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return int32 (texts, context length): the ids of each text with its special tokens, padded with 0.

        A text that is too long is cut, and keeps its last special token.
        """

    def unknown_share(self) -> float:
        """Return the share, 0 to 1, of all tokens encoded so far that stand for what the vocabulary does not know."""


class Device(Protocol):
    """All that the core asks of an accelerator; nothing outside a device plugin tests for a device's name.

    A device belongs to an engine, which may ask more of it: for torch see ``clipbench_torch.device.TorchDevice``.
    The core calls ``select`` and ``tune``, in this order, before a learner is built.
    """

    name: str

    def unavailable(self) -> str | None:
        """Return why this device cannot be used here and what to do about it, or None when it can."""

    def others(self) -> Sequence[str] | None:
        """Return a line for each other process on the devices, or None where that cannot be known.

        Called before ``select``, by ``clipbench doctor``.
        """

    def select(self, local_rank: int) -> None:
        """Make device ``local_rank`` this process's own."""

    def tune(self, earlier: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Turn on what is fast and exact here (attention kernels, product back ends); return what was turned on.

        ``earlier`` is what this returned when an unfinished run began, or in an earlier run on this machine with the
        same ``Engine.versions`` and environment variables. What is chosen by measuring is to be chosen alike; whether
        it is exact is to be checked again. A second call returns the same.
        """

    def info(self) -> data.DeviceInfo:
        """Return what a result records of the device."""

    def precisions(self) -> Sequence[data.Precision]:
        """Return the supported precisions; the first that is not float32 is what ``precision: amp`` means here."""

    def peak_flops(self, precision: data.Precision) -> float | None:
        """Return the peak FLOP/s of one device in ``precision``, or None where it is not known."""

    def free_memory(self) -> int | None:
        """Return the free bytes of the selected device, or None where that cannot be known."""

    def reset_peak_memory(self) -> None:
        """Start a new peak."""

    def peak_memory(self) -> int | None:
        """Return the peak bytes in use on the device since the last reset, or None where that cannot be known."""

    def environment_variables(self) -> Sequence[str]:
        """Return the names of environment variables that change numerics or speed."""


class Loader(Protocol):
    """Fetches and stacks samples, in processes of its own when it has workers."""

    def batches(self, keys: Sequence[Sequence[Any]]) -> Iterator[data.Batch]:
        """Yield one batch for each list of keys, in order: what ``fetch`` gives, stacked along a new first axis."""

    def close(self) -> None:
        """End the workers; a second call does nothing."""


class Learner(Protocol):
    """A model with its optimiser on a device. Batches are the loader's, or numpy arrays of the same layout.

    Pixels are uint8 (n, size, size, 3), to be normalised with the config's mean and std; tokens int32 (n, context).
    """

    def train_step(self, pixels: Any, tokens: Any, lr: float) -> None:  # noqa: ANN401
        """Take one optimiser step at learning rate ``lr``; does not wait for the device."""

    def drain_steps(self) -> list[data.StepReport]:
        """Return the reports of the steps since the last call, oldest first; waits for the device.

        Called by every rank after the same step.
        """

    def flops(self) -> float | None:
        """Return the floating-point operations of this rank's steps so far, by the model's formula; None if unknown."""

    def not_finite(self) -> str | None:
        """Return the name of a parameter with a value that is not finite, or None; waits for the device."""

    def encode_images(self, pixels: Any) -> Any:  # noqa: ANN401
        """Return the features of a batch, not normalised, float32, left on the device."""

    def encode_texts(self, tokens: Any) -> Any:  # noqa: ANN401
        """Return the features of a batch, not normalised, float32, left on the device."""

    def gather(self, features: Sequence[Any]) -> np.ndarray:
        """Return batches of features, concatenated on the host: float32 (n, embed_dim)."""

    def logit_scale(self) -> float:
        """Return the learnt scale, as its logarithm."""

    def state(self) -> data.LearnerState:
        """Return weights, optimiser and scaler as they are after the last step; read before the next one."""

    def restore(self, state: data.LearnerState | None) -> None:
        """Resume from ``state``; with several ranks, rank 0 has it, and the others give None and receive it from there.

        Raises NotReadyError for the state of another model.
        """

    def synchronize(self) -> None:
        """Return when all work given to the device has been done."""

    def describe(self) -> Mapping[str, Any]:
        """Return what a result records of the compute: parameter count, kernels in use, scaler state."""


class Group(Protocol):
    """The ranks of a run. ``all_gather`` and ``close`` are called by all of them."""

    def all_gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Return every rank's array, in rank order; they may differ in shape, not in dtype or number of axes."""

    def at(self, position: str) -> None:
        """Note how far this rank is, for the message of a rank that waits for it in vain. Costs nothing."""

    def fail(self, report: Mapping[str, Any]) -> None:
        """Tell the other ranks why this one ends."""

    def failure(self) -> Mapping[str, Any] | None:
        """Return the report of the rank that was the first to fail or go silent, or None."""

    def on_failure(self, act: Callable[[Mapping[str, Any]], None]) -> None:
        """Call ``act`` with the report, from any thread, when another rank has failed while this one waits."""

    def close(self) -> None:
        """Stop the heartbeat; peers no longer treat silence as failure."""


class Engine(Protocol):
    """A framework, reduced to what the core needs of it."""

    def problem(self) -> str | None:
        """Return why the installed framework cannot be used, or None."""

    def versions(self) -> Mapping[str, str]:
        """Return the versions that a result records, by package."""

    def launcher(self, world_size: int, report: Path) -> list[str]:
        """Return the command that starts ``world_size`` processes on this machine; the core appends MODULE and JOB.

        Each process runs ``python -m MODULE JOB`` and finds its place in RANK, LOCAL_RANK and WORLD_SIZE. Where a
        signal kills one, the launcher writes ``{"rank": ..., "signal": "SIGKILL", "pid": ...}`` to ``report`` as JSON.
        Called without the framework being imported.
        """

    def join(self, device: Device, world: data.World, timeout: float) -> Group:
        """Join the other ranks, waiting at most ``timeout`` seconds, then and in every later collective.

        Called after ``device.select`` and before ``learner``, where there are several ranks.
        """

    def probe(self, device: Device, precision: data.Precision) -> Sequence[data.Probe]:
        """Test, before anything is timed, whether the device computes and waits as it says.

        Called after ``device.select`` and ``device.tune``.
        """

    def check_weights(
        self, model: ModelSpec, config: ClipConfig, weights: Path | None, text_weights: Path | None = None
    ) -> None:
        """Raise NotReadyError where a learner of ``model`` with ``config`` could not be given the file ``weights``.

        ``text_weights`` are of the text tower alone; only an engine that has a model with a BERT is given them.
        Names, shapes and values are checked without building the model or touching a device.
        """

    def learner(self, job: data.LearnerJob) -> Learner:
        """Return a learner for ``job``."""

    def loader(self, fetch: Callable[[Any], tuple[np.ndarray, ...]], workers: int, device: Device) -> Loader:
        """Return a loader over ``fetch``, which pickles, with so many processes, for batches that go to ``device``."""


class Evaluation(Protocol):
    """Judges a model by its features: of the evaluated split's pictures, and of texts that it chooses itself.

    The core encodes the pictures once for all evaluations of a suite, and the captions once too.
    """

    def texts(self, split: data.EvaluatedSplit) -> Sequence[str]:
        """Return the texts to encode; ``split.captions`` for the captions.

        Called once by every rank, before anything is trained, and returns the same everywhere. Raises UsageError where
        the dataset lacks what is needed.
        """

    def measure(self, split: data.EvaluatedSplit, images: np.ndarray, texts: np.ndarray) -> data.Measurement:
        """Return what the features come to: a pure function, called on the first rank after an epoch.

        ``images`` (images, d) and ``texts`` (texts, d) are float32, in the order of the split and of ``texts``, and
        not normalised. Raises CaseFailedError where they mean nothing.
        """


class Meter(Protocol):
    """Reads the sensors of the one device that it was made for; lives in the rank's process."""

    def unavailable(self) -> str | None:
        """Return why nothing can be read here, or None."""

    def read(self) -> data.Reading:
        """Return what the sensors say now; called about twice a second, from a thread of its own."""

    def close(self) -> None:
        """End."""


class Observer(Protocol):
    """Writes one case down as it goes; lives in the process of ``clipbench run``.

    Made with (case, run_id, folder); it creates ``folder`` if it writes there. One that raises is named in a warning,
    gets no further events, and is closed; the run continues.
    """

    def handle(self, event: Event) -> None:
        """Take in one event; ``clipbench.api`` has a class for each, and those of no interest are ignored."""

    def close(self) -> None:
        """End; the last call, once, also where there was no result."""

"""What a plugin imports: specs, plain data classes and the protocols that the core calls.

Standard library and numpy types only, so that importing it never costs a framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pluggy

from clipbench.clip.config import ClipConfig

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

hookimpl = pluggy.HookimplMarker("clipbench")

Precision = Literal["float32", "float16", "bfloat16"]
Batch = tuple[Any, ...]


# --- specs: what a plugin offers, light enough to list without importing anything heavy ---------------------------


@dataclass(frozen=True)
class EngineSpec:
    """A framework that computes; ``load`` is ``"package.module:attribute"``, called without arguments for an Engine."""

    name: str
    summary: str
    load: str


@dataclass(frozen=True)
class DeviceSpec:
    """A kind of accelerator for one engine.

    ``load`` is ``"package.module:attribute"``, called without arguments for a Device.
    Device ``auto`` takes the available device with the highest ``priority``.
    """

    name: str
    engine: str
    summary: str
    load: str
    priority: int = 0


@dataclass(frozen=True)
class DatasetSpec:
    """A source of picture-caption pairs; ``load`` is called with a DatasetRequest for a Dataset.

    ``clipbench validate`` takes a folder in which the glob ``layout`` finds a file for a data root of this dataset, and
    calls what ``check`` names with (root, deep) for a list of DataFindings.
    """

    name: str
    summary: str
    load: str
    layout: str | None = None
    check: str | None = None


@dataclass(frozen=True)
class ModelSpec:
    """An architecture for one engine; ``load`` is what the engine calls with the ClipConfig to build it."""

    name: str
    engine: str
    summary: str
    config: ClipConfig
    load: str


@dataclass(frozen=True)
class ObserverSpec:
    """Something that writes down how a run goes; ``load`` is called with (case, run_id, folder) for an Observer.

    ``install`` says what to do where ``load`` cannot be imported.
    """

    name: str
    summary: str
    load: str
    install: str = ""


# --- plain data ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Missing:
    """One thing that a case needs and that is not there.

    ``what`` it is, ``looked_in`` where it was looked for, ``source`` where it comes from or what to do.
    """

    what: str
    looked_in: str
    source: str


@dataclass(frozen=True)
class DataFinding:
    """One annotation file of a data root, checked with its pictures; ``problems`` keep it from being used.

    ``summary`` says what it holds; ``warnings`` what should be known and keeps nothing from running.
    """

    path: Path
    summary: str
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class World:
    """This process's place among the ranks of a run."""

    rank: int = 0
    local_rank: int = 0
    size: int = 1


@dataclass(frozen=True)
class DatasetRequest:
    """What a suite asks of a dataset plugin: the ``dataset`` section, with its root and the user's cache resolved.

    ``on_bad_image`` is ``error``, or ``skip``: pairs whose picture cannot be used are then left out of their split.
    ``checked`` is True where another process of the same run has looked at every file already.
    """

    root: Path
    train: str
    val: str
    cache: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    on_bad_image: str = "error"
    checked: bool = False


@dataclass(frozen=True)
class Fingerprint:
    """What identifies the pairs of one split: two results with equal fingerprints saw the same data."""

    split: str
    images: int
    captions: int
    annotation_sha256: str


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, as published unless the suite says otherwise."""

    betas: tuple[float, float]
    eps: float
    weight_decay: float
    decay_norms_and_biases: bool


@dataclass(frozen=True)
class LossConfig:
    """Contrastive loss: ``reduction`` of its two directions, and where a pair's ``negatives`` come from.

    ``local``: this rank's micro-batch. ``global``: the same micro-batch of all ranks. ``batch``: the whole batch, of
    all ranks and micro-batches.
    """

    reduction: Literal["sum", "mean"]
    negatives: Literal["local", "global", "batch"]


@dataclass(frozen=True)
class LearnerJob:
    """Everything an engine needs to build a Learner; ``weights`` None means OpenAI's initialisation from ``seed``."""

    model: ModelSpec
    config: ClipConfig
    device: Device
    precision: Precision
    autocast_text: bool
    weights: Path | None
    optimizer: OptimizerConfig
    loss: LossConfig
    seed: int
    world: World = field(default_factory=World)
    accumulate: int = 1
    grad_checkpointing: bool = False
    compile: str | None = None


@dataclass(frozen=True)
class StepReport:
    """One training step: its loss (mean over ranks), the norm of its gradient where it is known, and whether the
    gradient scaler withheld it for a gradient that was not finite.
    """

    loss: float
    grad_norm: float | None = None
    skipped: bool = False


@dataclass(frozen=True)
class TensorRef:
    """A tensor that is fetched when it is needed: ``read`` gives a C-contiguous array of ``dtype`` and ``shape``."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class LearnerState:
    """All that a learner needs to go on exactly: tensors by name, always in one order, and values that fit JSON."""

    tensors: Mapping[str, TensorRef]
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Probe:
    """What one question to a device came to, asked before anything is timed.

    ``refuses`` is what cannot be trusted where it fails: the whole ``run``, or its ``timing``.
    """

    name: str
    ok: bool
    detail: str
    refuses: Literal["run", "timing"] = "run"
    measured: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceInfo:
    """What a result records of the device: ``total_memory`` in bytes; None where it cannot be known."""

    name: str
    count: int
    driver: str | None = None
    total_memory: int | None = None
    devices_per_card: int = 1


# --- contracts: what a loaded plugin object does -------------------------------------------------------------------


class Split(Protocol):
    """The pairs of one split. It is sent to loader processes, so it must pickle.

    A split that leaves pairs out (``on_bad_image: skip``) says how many in an attribute ``skipped``.
    """

    @property
    def fingerprint(self) -> Fingerprint: ...

    def __len__(self) -> int:
        """Number of images."""

    def captions(self, index: int) -> Sequence[str]:
        """The captions of image ``index``, one or more, as written in the data."""

    def image(self, index: int) -> Image:
        """Image ``index``, decoded or not, in whatever mode the file has; a CaseFailedError where it cannot be read."""


class Dataset(Protocol):
    """Two splits and what they need."""

    def missing(self) -> list[Missing]:
        """Everything that is not there, found without decoding images; empty when ready."""

    def sizes(self) -> tuple[int, int]:
        """Number of training and of validation images, without preparing anything."""

    def prepare(self) -> None:
        """Write what the dataset generates, if it does; a second call finds it done."""

    def train(self) -> Split: ...

    def val(self) -> Split: ...

    def warnings(self) -> list[str]:
        """What should be known of the data though it keeps nothing from running, a line each; may be left out."""


class Device(Protocol):
    """All that differs between accelerators; nothing outside a device plugin tests for a device's name.

    The core calls ``select``, ``seed`` and ``tune``, in this order, before a learner is built; an engine may call
    ``tune`` again, and must get the same answer. A device belongs to an engine, which may ask more of it than the core
    does: for the torch engine see ``clipbench_torch.device.TorchDevice``. It may also have ``free_memory()`` (bytes)
    and ``others()`` (a line for each other process on it), which ``clipbench doctor`` asks.
    """

    name: str

    def unavailable(self) -> str | None:
        """Why this device cannot be used here and what to do about it, or None when it can."""

    def select(self, local_rank: int) -> None:
        """Make device ``local_rank`` this process's own."""

    def seed(self, seed: int) -> None: ...

    def synchronize(self) -> None:
        """Return when all work given to the device has been done."""

    def reset_peak_memory(self) -> None: ...

    def peak_memory(self) -> int | None:
        """Peak bytes in use on the device since the last reset, or None where it cannot be known."""

    def info(self) -> DeviceInfo: ...

    def precisions(self) -> Sequence[Precision]:
        """Supported precisions; the first autocast one is what ``precision: amp`` means on this device."""

    def autocast(self, precision: Precision) -> AbstractContextManager[Any]:
        """A context in which matrix products run in ``precision``; for float32, one that changes nothing."""

    def grad_scaler(self, precision: Precision) -> Any:  # noqa: ANN401 -- the framework's own type
        """A gradient scaler where ``precision`` needs one, else None."""

    def collective_backend(self) -> str:
        """Name of the framework's back end for collectives on this device."""

    def peak_flops(self, precision: Precision) -> float | None:
        """Peak FLOP/s of one device in ``precision``, or None where it is not published or not known."""

    def environment_variables(self) -> Sequence[str]:
        """Names of environment variables that change numerics or speed."""

    def tune(self) -> Mapping[str, Any]:
        """Turn on what is fast and exact here (attention kernels, product back ends); say what was turned on.

        What is chosen by measuring must not change while a run is stopped: CLIPBENCH_TUNING in the environment then has
        what this gave before, as JSON.
        """


class Loader(Protocol):
    """Fetches and stacks samples, in processes of its own when it has workers."""

    def batches(self, keys: Sequence[Sequence[Any]]) -> Iterator[Batch]:
        """One batch for each list of keys, in order: what ``fetch`` gives, stacked along a new first axis."""

    def close(self) -> None: ...


class Learner(Protocol):
    """A model with its optimiser on a device. Batches are the loader's, or numpy arrays of the same layout.

    Pixels are uint8 (n, size, size, 3), to be normalised with the config's mean and std; tokens int32 (n, context).
    """

    def train_step(self, pixels: Any, tokens: Any, lr: float) -> None:  # noqa: ANN401
        """Take one optimiser step at learning rate ``lr``; does not wait for the device."""

    def drain_steps(self) -> list[StepReport]:
        """What the steps since the last call came to, oldest first; waits for the device.

        Called by every rank after the same step.
        """

    def flops(self) -> float | None:
        """Floating-point operations of this rank's training steps so far, by the model's formula; None if unknown."""

    def not_finite(self) -> str | None:
        """Name of a parameter with a value that is not finite, or None; waits for the device."""

    def encode_images(self, pixels: Any) -> Any:  # noqa: ANN401
        """Features of a batch, not normalised, float32, left on the device."""

    def encode_texts(self, tokens: Any) -> Any:  # noqa: ANN401
        """Features of a batch, not normalised, float32, left on the device."""

    def gather(self, features: Sequence[Any]) -> np.ndarray:
        """Batches of features, concatenated on the host: float32 (n, embed_dim)."""

    def logit_scale(self) -> float:
        """The learnt scale, as its logarithm."""

    def state(self) -> LearnerState:
        """Weights, optimiser and scaler as they are after the last step; read before the next one."""

    def restore(self, state: LearnerState | None) -> None:
        """Go on from ``state``; with several ranks, rank 0 has it and the others give None and get it from there.

        Raises NotReadyError for the state of another model.
        """

    def synchronize(self) -> None: ...

    def describe(self) -> Mapping[str, Any]:
        """What a result records of the compute: parameter count, kernels and product paths in use, scaler state."""


class Group(Protocol):
    """The ranks of a run, talking to each other. Every method but ``failure`` and ``fail`` is called by all of them."""

    def all_gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Every rank's array, in rank order; they may differ in shape, not in dtype or number of axes."""

    def at(self, position: str) -> None:
        """Tell the others how far this rank is, for the message when one of them waits in vain. Costs nothing."""

    def fail(self, report: Mapping[str, Any]) -> None:
        """Tell the others why this rank ends."""

    def failure(self) -> Mapping[str, Any] | None:
        """The report of the rank that was the first to fail or go silent, or None."""

    def close(self) -> None: ...


class Engine(Protocol):
    """A framework, reduced to what the core needs of it."""

    def problem(self) -> str | None:
        """Why the installed framework cannot be used, or None."""

    def versions(self) -> Mapping[str, str]: ...

    def join(self, device: Device, world: World, timeout: float) -> Group:
        """Join the other ranks, waiting ``timeout`` seconds at most, then and in every later collective.

        Called after ``device.select`` and before ``learner``, where there are several ranks.
        """

    def probe(self, device: Device, precision: Precision, local_rank: int) -> Sequence[Probe]:
        """Ask the device, before anything is timed, whether it computes and waits as it says.

        Called after ``device.select`` and ``device.tune``.
        """

    def learner(self, job: LearnerJob) -> Learner: ...

    def loader(self, fetch: Callable[[Any], tuple[np.ndarray, ...]], workers: int) -> Loader:
        """A loader over ``fetch``, which pickles, with so many processes; may be called before ``learner``."""

    def launcher(self, ranks: int) -> list[str]:
        """The command that starts ``ranks`` processes on this machine, up to the name of the module that each runs.

        Each finds its place in RANK, LOCAL_RANK and WORLD_SIZE. Called without the framework being imported.
        """


class Observer(Protocol):
    """Writes one case down as it goes, into ``folder``, which it makes; lives in the process of ``clipbench run``.

    Made with the first thing to tell. One that raises is warned of, told nothing more, and closed.
    """

    def step(self, event: Mapping[str, Any]) -> None:
        """A window of steps is over: ``epoch`` and ``step`` in it (from 1), and the rest of the event ``step``."""

    def epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch is over: its entry in the result."""

    def finished(self, result: Mapping[str, Any]) -> None:
        """The case has ended, whatever its status: the result as it was written."""

    def close(self) -> None:
        """The last call, once, also where there was no result."""

"""Plain data that the core and plugins hand to one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clipbench.api.config import LossConfig, OptimizerConfig
from clipbench.api.specs import ModelSpec
from clipbench.clip.config import ClipConfig

if TYPE_CHECKING:
    import numpy as np

    from clipbench.api.protocols import Device

Precision = Literal["float32", "float16", "bfloat16"]
Batch = tuple[Any, ...]


@dataclass(frozen=True)
class Missing:
    """One thing that a case needs and that is not there.

    ``what`` it is, ``looked_in`` where it was looked for, ``source`` where it comes from or what to do, ``fetch`` the
    name by which ``clipbench fetch`` gets it, or empty.
    """

    what: str
    looked_in: str
    source: str
    fetch: str = ""


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
    ``checked`` is True where another process of the same run has looked at every file already. ``trusted`` is True
    where the user has named the root: links in it may then lead out of it.
    """

    root: Path
    train: str
    val: str
    cache: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    on_bad_image: str = "error"
    checked: bool = False
    trusted: bool = False


@dataclass(frozen=True)
class Fingerprint:
    """What identifies the pairs of one split: two results with equal fingerprints saw the same data."""

    split: str
    images: int
    captions: int
    annotation_sha256: str


@dataclass(frozen=True)
class Classes:
    """What the pictures of a split show: ``labels`` has the class of each picture, an index into ``names``.

    ``templates`` are texts with ``{}`` in the place of a name, such as ``a photo of a {}.``.
    """

    names: Sequence[str]
    templates: Sequence[str]
    labels: Sequence[int]


@dataclass(frozen=True)
class EvaluatedSplit:
    """What an evaluation is told of the split that it is to judge by.

    ``captions`` are those of all pictures, as the model gets them; ``image_of_text`` int64 (captions,) is the picture
    of each. There are none where the data has none. ``classes`` is None where its pictures have no classes.
    """

    dataset: str
    images: int
    captions: Sequence[str]
    image_of_text: np.ndarray
    classes: Classes | None = None


@dataclass(frozen=True)
class Measurement:
    """What an evaluation has found: its ``metrics`` by name, in the units of its spec.

    ``reasons`` says why a metric is None. ``per_query`` has lists of whole numbers by name, from which the metrics can
    be computed again: the rank of the right answer to every query, say. They are stored with the result.
    """

    metrics: Mapping[str, float | None]
    per_query: Mapping[str, Sequence[int]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LearnerJob:
    """Everything an engine needs to build a Learner; ``weights`` None means OpenAI's initialisation from ``seed``.

    ``text_weights`` are of a text tower alone, where the model's is a BERT: ``weights`` then give the vision tower and
    the logit scale, and what neither file has is drawn from ``seed``.
    ``device`` is selected and tuned; ``tuning`` is what its ``tune`` returned. ``cache`` is the user's folder
    for what can be made again: an engine may keep there, in a folder of its name, what it has compiled.
    """

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
    tuning: Mapping[str, Any] = field(default_factory=dict)
    cache: Path | None = None
    text_weights: Path | None = None


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
class Reading:
    """What a meter reads of one device at one moment; None where it does not tell.

    ``joules`` is a counter, of which only differences matter. ``throttled`` has the reasons for which the device runs
    slower than it could, empty where it does not. ``processes`` counts those on the device, this one included.
    """

    joules: float | None = None
    watts: float | None = None
    celsius: float | None = None
    mhz: float | None = None
    utilisation: float | None = None
    memory_bytes: int | None = None
    throttled: tuple[str, ...] | None = None
    processes: int | None = None


@dataclass(frozen=True)
class DeviceInfo:
    """What a result records of the device: ``total_memory`` in bytes; None where it cannot be known.

    ``unknown`` says why, by the name of a field here or of a method of Device: ``free_memory``, ``peak_memory``.
    """

    name: str
    count: int
    driver: str | None = None
    total_memory: int | None = None
    devices_per_card: int = 1
    unknown: Mapping[str, str] = field(default_factory=dict)

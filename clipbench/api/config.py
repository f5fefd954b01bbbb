"""The configuration of a case: what a suite has come to when every value is resolved."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from clipbench.api.plain import to_plain
from clipbench.errors import UsageError

Limits = tuple[float, float]

# Keys of a case that change nothing about what it computes.
FREE_KEYS = ("reference", "observers", "checkpoint", "ranks_timeout", "numerics")
FREE_EVAL_KEYS = ("pictures",)


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
class ScheduleConfig:
    """Shape of the learning rate over a run; the defaults are the published ones.

    Limits are (lowest, highest): learning rates for peak and floor, epochs for warm-up and tail; None sets none.
    ``per`` says whether the rate is set once an epoch or at every step.
    Raises UsageError for limits in the wrong order.
    """

    per: Literal["epoch", "step"] = "epoch"
    nominal_batch: int = 64
    peak_limits: Limits | None = (3e-6, 1e-5)
    floor_limits: Limits | None = (3e-8, 1e-7)
    floor_ratio: float = 0.01
    warmup_ratio: float = 0.1
    warmup_limits: Limits | None = (1, 3)
    tail_ratio: float = 0.3
    tail_limits: Limits | None = (1, 15)
    start_ratio: float = 0.1
    start_minimum: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("peak_limits", "floor_limits", "warmup_limits", "tail_limits"):
            limits: Limits | None = getattr(self, name)
            if limits is not None and limits[0] > limits[1]:
                raise UsageError(f"schedule.{name}: {list(limits)}: expected the lower limit first")


@dataclass(frozen=True)
class ModelConfig:
    """Which model, its weights and its vocabulary; ``text_weights`` are of a BERT's text tower alone."""

    name: str
    weights: str | None
    weights_missing: str
    vocabulary: str | None
    text_activation: str | None
    autocast_text: bool
    text_weights: str | None = None


@dataclass(frozen=True)
class DatasetConfig:
    """Which pairs, and how captions are cleaned."""

    name: str
    root: str | None
    train: str
    val: str
    on_bad_image: str
    clean_captions: bool
    options: dict[str, Any]


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast and in what batches to train; 0 epochs only evaluate."""

    epochs: int
    max_steps: int | None
    batch_size: int
    lr: float
    workers: int | None
    accumulate: int
    grad_checkpointing: bool
    compile: str | None
    max_skipped_steps: int
    augment: Literal["published", "none"]
    schedule: ScheduleConfig
    optimizer: OptimizerConfig
    loss: LossConfig


@dataclass(frozen=True)
class EvalConfig:
    """Which ``evaluations``, how often, and in what batches.

    ``loss_pairs``: the validation loss is of ``all`` pairs in batches of the training size, or, as published for
    several ranks, of the first ``rank``'s share of the pairs in batches of its share of the training size.
    ``pictures``: what the last one retrieved is kept for people to look at.
    """

    evaluations: tuple[str, ...]
    every: int
    image_batch: int
    text_batch: int
    cache_mb: int
    resize: str | None
    loss_pairs: Literal["all", "rank"]
    pictures: bool = True


@dataclass(frozen=True)
class TimingConfig:
    """Steps left out as warm-up, and steps between two readings of the clock."""

    warmup_steps: int
    window_steps: int


@dataclass(frozen=True)
class CheckpointConfig:
    """How often to save, and what to keep of a completed run."""

    epochs: int
    minutes: float | None
    keep: Literal["best", "all", "none"]


@dataclass(frozen=True)
class NumericsConfig:
    """A check of the device before the training, all on one batch of ``batch_size`` pairs.

    ``steps`` in the case's precision have to lower the loss by the share ``least_fall``. The first ``float32_steps``
    in float32 are compared with those of the engine's trusted device: losses, gradient norms and the features after
    them may differ by the share ``largest_error``.
    """

    batch_size: int
    steps: int
    least_fall: float
    float32_steps: int
    largest_error: float


@dataclass(frozen=True)
class Case:
    """One run of one suite with every value resolved; equal cases do equal work."""

    name: str
    suite: str
    reference: str | None
    engine: str
    device: str
    world_size: int
    ranks_timeout: float
    precision: str
    seed: int
    model: ModelConfig
    dataset: DatasetConfig
    train: TrainConfig
    eval: EvalConfig
    timing: TimingConfig
    checkpoint: CheckpointConfig
    numerics: NumericsConfig | None
    observers: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return to_plain(self)  # type: ignore[no-any-return]

    def identity(self) -> dict[str, Any]:
        """Return the values that change what the case computes."""
        kept = {key: value for key, value in self.to_dict().items() if key not in FREE_KEYS}
        return {**kept, "eval": {key: value for key, value in kept["eval"].items() if key not in FREE_EVAL_KEYS}}

    def sha256(self) -> str:
        """Return the hash of the canonical JSON of ``identity``."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

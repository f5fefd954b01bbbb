"""What a run comes to: the record of each epoch, and the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from clipbench.api.config import NumericsConfig
from clipbench.api.data import Fingerprint, Probe
from clipbench.api.plain import finite, value_at
from clipbench.api.specs import Direction

Status = Literal["completed", "failed", "interrupted"]


@dataclass(frozen=True)
class Metric:
    """One figure with its unit and the direction that is better; ``reason`` says why ``value`` is None."""

    value: float | None
    unit: str
    direction: Direction
    reason: str | None = None


class Window(NamedTuple):
    """Steps between two synchronised readings of the clock, the seconds taken, and those spent waiting for data."""

    steps: int
    seconds: float
    data_wait: float


@dataclass(frozen=True)
class EpochSeconds:
    """Wall-clock seconds that an epoch took to train and to evaluate."""

    train: float
    eval: float

    @property
    def total(self) -> float:
        return self.train + self.eval


@dataclass(frozen=True)
class RankRecord:
    """What one rank measured in an epoch: seconds of its timed windows, share of them spent waiting, peaks in bytes."""

    rank: int
    host: str
    seconds: float | None
    data_wait: float | None
    step_seconds: Mapping[str, float] | None
    peak_memory_bytes: int | None = None
    host_memory_bytes: int | None = None


class TelemetrySample(NamedTuple):
    """One reading: seconds since the first of its epoch, and what the sensors said; ``utilisation`` is a share."""

    seconds: float
    watts: float | None
    celsius: float | None
    mhz: float | None
    utilisation: float | None
    memory_bytes: int | None


@dataclass(frozen=True)
class Telemetry:
    """What a ``meter`` measured in an epoch, over all devices of the run; ``reasons`` says why a value is None.

    ``joules`` of ``train`` and ``eval``. Power in sum over the devices, peaks of any of them. ``throttled_seconds`` by
    reason, of the device that was throttled longest. ``shared``: another process was on a device. ``samples`` are of
    the first rank's device, evenly spread over the epoch.
    """

    meter: str
    joules: Mapping[str, float | None]
    watts_mean: float | None
    watts_peak: float | None
    celsius_peak: float | None
    mhz_mean: float | None
    utilisation_mean: float | None
    memory_peak_bytes: int | None
    throttled_seconds: Mapping[str, float] | None
    shared: bool | None
    samples: tuple[TelemetrySample, ...]
    reasons: Mapping[str, str]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch: epochs count from 1, 0 is the evaluation of weights as they came.

    Losses are means in nats, ``learning_rate`` that of the first step, ``recall`` in percent by name (None where
    retrieval was not evaluated), ``throughput`` over all ranks, ``data_wait`` and ``mfu`` shares of 0..1,
    ``step_seconds`` percentiles over the ``windows``, memory in bytes. ``metrics`` are those of other evaluations, by
    name. ``reasons`` says why a value is None, by field. ``loss_digests`` are of the losses' bits, one for each stretch
    of steps (``results/measures/trace.py``).
    """

    epoch: int
    steps: int
    train_loss: float | None
    val_loss: float | None
    learning_rate: float | None
    recall: Mapping[str, float] | None
    throughput: float | None
    data_wait: float | None
    step_seconds: Mapping[str, float] | None
    windows: tuple[Window, ...]
    peak_memory_bytes: int | None
    host_memory_bytes: int | None
    seconds: EpochSeconds
    reasons: Mapping[str, str]
    throughput_per_device: float | None = None
    throughput_per_card: float | None = None
    mfu: float | None = None
    grad_norm: float | None = None
    skipped_steps: int = 0
    slowest_rank: int | None = None
    per_rank: tuple[RankRecord, ...] = ()
    telemetry: Telemetry | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    loss_digests: tuple[str, ...] = ()

    @property
    def evaluated(self) -> bool:
        """Whether the weights were evaluated after this epoch."""
        return self.recall is not None or bool(self.metrics)


@dataclass(frozen=True)
class LossTrace:
    """The losses of all steps of the recorded epochs: how many, and the SHA-256 of the epochs' ``loss_digests``.

    Two runs with equal traces had equal losses, to the bit, in every step.
    """

    steps: int
    sha256: str


@dataclass(frozen=True)
class EpochMetrics:
    """The metrics of one evaluated epoch, by name."""

    epoch: int
    values: Mapping[str, Metric]


@dataclass(frozen=True)
class Metrics:
    """The metrics of the last evaluated epoch, and of the best one: by its recall mean, else by its first metric."""

    last: EpochMetrics | None = None
    best: EpochMetrics | None = None


@dataclass(frozen=True)
class QueryRanks:
    """The rank, from 0, of the right answer to every query of the last evaluation.

    ``text`` has one for each image, ``image`` one for each caption, ``image_of_text`` the image of each caption.
    """

    epoch: int
    text: Sequence[int]
    image: Sequence[int]
    image_of_text: Sequence[int] = ()


@dataclass(frozen=True)
class RetrievedFile:
    """The file with what the last evaluation retrieved: it lies beside the result, as ``<run id>.retrieved.zip``."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class PerQuery:
    """What the other evaluations have kept of the last epoch, from which their metrics can be computed again.

    ``values`` by evaluation, then by name. Of ``classification``: ``rank``, from 0, of the right class, and ``label``,
    the class, of each picture.
    """

    epoch: int
    values: Mapping[str, Mapping[str, Sequence[int]]]


@dataclass(frozen=True)
class SourceVersion:
    """The clipbench that wrote a result; ``commit`` and ``dirty`` are None for an installed package."""

    version: str
    commit: str | None
    dirty: bool | None


@dataclass(frozen=True)
class DatasetUsed:
    """The pairs that a run saw; ``train`` is None where it only evaluated."""

    name: str
    train: Fingerprint | None
    val: Fingerprint


@dataclass(frozen=True)
class WeightsUsed:
    """Where the initial weights come from: a file's name and hash, or ``random``; ``published`` is a published name."""

    source: str
    sha256: str | None
    published: str | None = None


@dataclass(frozen=True)
class VocabularyUsed:
    """The file of the model's tokenizer, by name and hash."""

    file: str
    sha256: str


@dataclass(frozen=True)
class BadImages:
    """How many images could not be read and were left out, in all and of each split."""

    skipped: int
    train: int = 0
    val: int = 0


@dataclass(frozen=True)
class FirstSteps:
    """The first steps of a learner on one batch: loss and gradient norm of each, up to the first loss that is None.

    None is not finite; a gradient norm is also None where the engine does not know it, or the step was withheld.
    """

    losses: tuple[float | None, ...]
    grad_norms: tuple[float | None, ...]


@dataclass(frozen=True)
class Numerics:
    """What a check of the device has found before the training, of what the suite ``asked`` for.

    ``fixed_batch`` are the steps in the case's precision. ``float32`` are those in float32, ``trusted`` the same ones
    on ``trusted_device``, and ``features_error`` is how far the features of the batch are apart after them, relative to
    their Euclidean norm: of images, of texts. All are None where the device ``is_trusted`` itself, or the suite asks
    for none. ``problem`` says why a part that was asked for is None. ``repeats``: the first steps on the fixed batch,
    taken again by a new learner, had the same losses and gradient norms to the bit; None where they were not.
    """

    asked: NumericsConfig
    batch_size: int | None = None
    learning_rate: float | None = None
    fixed_batch: FirstSteps | None = None
    float32: FirstSteps | None = None
    trusted: FirstSteps | None = None
    features_error: tuple[float | None, float | None] | None = None
    trusted_device: str | None = None
    is_trusted: bool = False
    problem: str | None = None
    repeats: bool | None = None


@dataclass(frozen=True)
class Attempt:
    """One start of a run: when, and the epochs and steps of the next one that were done already."""

    started: str
    epochs: int
    steps: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaseError:
    """Why a case ended early; ``rank`` is the first that failed, ``checkpoint`` the folder to resume from."""

    type: str
    message: str
    exit_code: int
    traceback: str | None = None
    rank: int | None = None
    checkpoint: str | None = None
    details: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Result:
    """One case's result, as it is stored (result.schema.json).

    ``config`` and ``environment`` are plain data: what an earlier or later version wrote there is kept as it is.
    ``invocation`` is the same for all results of one call of ``clipbench run``; None: not known. ``task`` is the id of
    the task of a plan that was run, if any.
    """

    run_id: str
    suite: str
    case: str
    reference: str | None
    status: Status
    started: str
    ended: str
    clipbench: SourceVersion
    config: Mapping[str, Any]
    config_sha256: str
    environment: Mapping[str, Any] | None
    dataset: DatasetUsed | None
    weights: WeightsUsed | None
    model: Mapping[str, Any] | None
    seed: int
    text_truncated: int | None
    epochs: tuple[EpochRecord, ...]
    metrics: Metrics
    query_ranks: QueryRanks | None
    error: CaseError | None
    attempts: tuple[Attempt, ...] = ()
    probes: tuple[Probe, ...] | None = None
    bad_images: BadImages | None = None
    numerics: Numerics | None = None
    text_weights: WeightsUsed | None = None
    vocabulary: VocabularyUsed | None = None
    warnings: tuple[str, ...] = field(default=())
    invocation: str | None = None
    per_query: PerQuery | None = None
    retrieved: RetrievedFile | None = None
    loss_trace: LossTrace | None = None
    task: str | None = None

    def metric(self, name: str) -> Metric | None:
        """Return a metric of the last evaluation, or None where there is none of that name."""
        return self.metrics.last.values.get(name) if self.metrics.last else None

    def value(self, name: str) -> float | None:
        """Return the finite value of a metric of the last evaluation, or None."""
        metric = self.metric(name)
        return finite(metric.value) if metric else None

    @property
    def evaluated_epoch(self) -> int | None:
        """The epoch of the last evaluation."""
        return self.metrics.last.epoch if self.metrics.last else None

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics of the last evaluation."""
        return tuple(self.metrics.last.values) if self.metrics.last else ()

    @property
    def metric_values(self) -> dict[str, float | None]:
        """The value of each metric of the last evaluation, by name."""
        last = self.metrics.last
        return {name: metric.value for name, metric in last.values.items()} if last else {}

    @property
    def case_without_seed(self) -> str:
        """Name of the case, without the seed that a matrix gave it: all seeds have the same."""
        name, _, choices = self.case.partition("@")
        kept = ",".join(choice for choice in choices.split(",") if choice and not choice.startswith("seed="))
        return f"{name}@{kept}" if kept else name

    @property
    def completed(self) -> bool:
        return self.status == "completed"

    @property
    def engine(self) -> str | None:
        """Name of the engine that computed; None for a result that does not say."""
        return value_at(self, "config.engine")  # type: ignore[no-any-return]

    @property
    def device_name(self) -> str | None:
        """Model of the device; None for a result that never got one."""
        return value_at(self, "environment.device.name")  # type: ignore[no-any-return]

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names of the machines that it ran on, each once; () for a result that does not say."""
        ranks = [rank.host for record in self.epochs for rank in record.per_rank]
        own = value_at(self, "environment.host.name")
        return tuple(dict.fromkeys(ranks or ([own] if own else [])))

    @property
    def precision(self) -> str | None:
        """What was computed in, ``amp`` resolved; None for a result that never got a device."""
        return value_at(self, "environment.device.precision")  # type: ignore[no-any-return]

    @property
    def world_size(self) -> int:
        """Number of ranks, one device each."""
        return value_at(self, "config.world_size", 1)  # type: ignore[no-any-return]

"""The metrics of a result: one name, one unit and one good direction each."""

import math
from collections.abc import Iterable, Mapping, Sequence

from clipbench.api.result import Direction, EpochMetrics, EpochRecord, Metric, Metrics, Window

RECALL_AT = (1, 5, 10)
RECALL_NAMES = (
    *(f"{side}_recall{at}" for side in ("text", "image") for at in (*(f"@{k}" for k in RECALL_AT), "_mean")),
    "recall_mean",
)
BEST_METRIC = "recall_mean"
THROUGHPUT = "throughput"
ENERGY = "energy_per_1000_pairs"

UNITS_AND_DIRECTIONS: Mapping[str, tuple[str, Direction]] = {
    **{name: ("percent", "higher") for name in RECALL_NAMES},
    "val_loss": ("nats", "lower"),
    "train_loss": ("nats", "lower"),
    THROUGHPUT: ("pairs/s", "higher"),
    ENERGY: ("J", "lower"),
    # Computed from a whole run when it is compared, not stored in a result.
    "seconds_to_quality": ("s", "lower"),
    "epochs_to_quality": ("epochs", "lower"),
    "energy_to_quality": ("J", "lower"),
    "loss_curve": ("percent", "lower"),
    # Of the check of numerics.
    "fixed_batch_loss": ("percent", "lower"),
    "float32_error": ("relative", "lower"),
}

# What people also call a metric; results and references of 0.1.0 have the first.
_ALSO_CALLED = dict.fromkeys(
    (
        "samples_per_second",
        "samples/s",
        "pairs_per_second",
        "pairs/s",
        "images_per_second",
        "images/s",
        "img/s",
        "speed",
    ),
    THROUGHPUT,
)


def metric_called(name: str) -> str:
    """Return the name that results have for a metric that people may call otherwise; any other name as it is."""
    return _ALSO_CALLED.get(name.lower().replace(" ", "_").replace("-", "_"), name)


def metrics_of(record: EpochRecord) -> dict[str, Metric]:
    """Return all metrics of one epoch, by name, with the reason of each that is null."""
    recall, reasons = record.recall or {}, record.reasons
    values = {name: getattr(record, name) for name in ("train_loss", "val_loss", THROUGHPUT)}
    values |= {name: recall.get(name) for name in RECALL_NAMES}
    return {name: metric(name, value, reasons.get(name, reasons.get("recall"))) for name, value in values.items()}


def metric(name: str, value: float | None, reason: str | None) -> Metric:
    """Return one metric; a value that is not finite becomes None, with its reason."""
    unit, direction = UNITS_AND_DIRECTIONS[name]
    if value is not None and math.isfinite(value):
        return Metric(value, unit, direction)
    return Metric(None, unit, direction, reason or ("not measured" if value is None else f"not finite ({value})"))


def throughput(windows: Iterable[Window], batch_size: int) -> float | None:
    """Return pairs per second: those of all timed ``windows`` over their seconds; None where nothing was timed.

    The one definition, for an epoch and for a run. Waiting for data is part of a window, the warm-up of none.
    """
    steps, seconds = 0, 0.0
    for window in windows:
        steps, seconds = steps + window.steps, seconds + window.seconds
    return steps * batch_size / seconds if seconds > 0 else None


def summarise(epochs: Sequence[EpochRecord], batch_size: int) -> Metrics:
    """Return the metrics of the last evaluated epoch, and of the first with the best overall recall mean.

    Throughput and energy are those of the whole run in both: there is one for a run.
    """
    evaluated = [(record, record.recall) for record in epochs if record.recall is not None]
    if not evaluated:
        return Metrics()
    last = evaluated[-1][0]
    best = max(evaluated, key=lambda pair: pair[1][BEST_METRIC])[0]
    of_run = throughput((window for record in epochs for window in record.windows), batch_size)
    whole_run = {THROUGHPUT: metric(THROUGHPUT, of_run, epochs[-1].reasons.get(THROUGHPUT))}
    if any(record.telemetry for record in epochs):
        whole_run[ENERGY] = energy_per_1000_pairs(epochs, batch_size)
    return Metrics(*(EpochMetrics(one.epoch, {**metrics_of(one), **whole_run}) for one in (last, best)))


def energy_per_1000_pairs(epochs: Sequence[EpochRecord], batch_size: int) -> Metric:
    """Return the joules of training, over all devices, for a thousand pairs; None if an epoch's are not known."""
    trained = [record for record in epochs if record.steps]
    joules = [record.telemetry.joules["train"] if record.telemetry else None for record in trained]
    known = [one for one in joules if one is not None]
    if len(known) < len(joules):
        record = trained[joules.index(None)]
        reasons = {**record.reasons, **(record.telemetry.reasons if record.telemetry else {})}
        reason = reasons.get("joules.train", reasons.get("telemetry", "not measured"))
        return metric(ENERGY, None, f"epoch {record.epoch}: {reason}")
    pairs = batch_size * sum(record.steps for record in trained)
    return metric(ENERGY, 1000 * sum(known) / pairs if pairs else None, "nothing was trained")

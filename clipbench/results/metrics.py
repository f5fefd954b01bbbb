"""The metrics of a result: one name, one unit and one good direction each."""

import math
from collections.abc import Mapping, Sequence

from clipbench.api.result import Direction, EpochMetrics, EpochRecord, Metric, Metrics

RECALL_AT = (1, 5, 10)
RECALL_NAMES = (
    *(f"{side}_recall{at}" for side in ("text", "image") for at in (*(f"@{k}" for k in RECALL_AT), "_mean")),
    "recall_mean",
)
BEST_METRIC = "recall_mean"

UNITS_AND_DIRECTIONS: Mapping[str, tuple[str, Direction]] = {
    **{name: ("percent", "higher") for name in RECALL_NAMES},
    "val_loss": ("nats", "lower"),
    "train_loss": ("nats", "lower"),
    "samples_per_second": ("pairs/s", "higher"),
    # Computed from a whole run when it is compared, not stored in a result.
    "seconds_to_quality": ("s", "lower"),
    "epochs_to_quality": ("epochs", "lower"),
    "loss_curve": ("percent", "lower"),
    # Of the check of numerics.
    "fixed_batch_loss": ("percent", "lower"),
    "float32_error": ("relative", "lower"),
}


def metrics_of(record: EpochRecord) -> dict[str, Metric]:
    """Return all metrics of one epoch, by name, with the reason of each that is null."""
    recall, reasons = record.recall or {}, record.reasons
    values = {name: getattr(record, name) for name in ("train_loss", "val_loss", "samples_per_second")}
    values |= {name: recall.get(name) for name in RECALL_NAMES}
    return {name: metric(name, value, reasons.get(name, reasons.get("recall"))) for name, value in values.items()}


def metric(name: str, value: float | None, reason: str | None) -> Metric:
    """Return one metric; a value that is not finite becomes None, with its reason."""
    unit, direction = UNITS_AND_DIRECTIONS[name]
    if value is not None and math.isfinite(value):
        return Metric(value, unit, direction)
    return Metric(None, unit, direction, reason or ("not measured" if value is None else f"not finite ({value})"))


def summarise(epochs: Sequence[EpochRecord]) -> Metrics:
    """Return the metrics of the last evaluated epoch, and of the first with the best overall recall mean."""
    evaluated = [(record, record.recall) for record in epochs if record.recall is not None]
    if not evaluated:
        return Metrics()
    last = evaluated[-1][0]
    best = max(evaluated, key=lambda pair: pair[1][BEST_METRIC])[0]
    return Metrics(*(EpochMetrics(record.epoch, metrics_of(record)) for record in (last, best)))

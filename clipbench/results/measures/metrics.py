"""The metrics of a result: one name, one unit and one good direction each."""

import math
from collections.abc import Iterable, Sequence

from clipbench.api.result import EpochMetrics, EpochRecord, Metric, Metrics, Window
from clipbench.api.specs import Direction
from clipbench.results.measures.names import ACCURACY_NAMES as ACCURACY_NAMES
from clipbench.results.measures.names import BEST_METRIC as BEST_METRIC
from clipbench.results.measures.names import ENERGY as ENERGY
from clipbench.results.measures.names import FEW_CLASSES as FEW_CLASSES
from clipbench.results.measures.names import RECALL_AT as RECALL_AT
from clipbench.results.measures.names import RECALL_NAMES as RECALL_NAMES
from clipbench.results.measures.names import THROUGHPUT as THROUGHPUT
from clipbench.results.measures.names import UNITS_AND_DIRECTIONS as UNITS_AND_DIRECTIONS

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
    """Return all metrics of one epoch, by name, with the reason of each that is null; of its evaluations alone."""
    reasons = record.reasons
    values = {name: getattr(record, name) for name in ("train_loss", "val_loss", THROUGHPUT)}
    if record.recall is not None or not record.metrics:
        values |= {name: (record.recall or {}).get(name) for name in RECALL_NAMES}
    own = {name: metric(name, value, reasons.get(name, reasons.get("recall"))) for name, value in values.items()}
    return {**own, **record.metrics}


def best_of(record: EpochRecord) -> float | None:
    """Return the figure by which epochs are ranked, higher is better: the recall mean, else its first metric by name.

    None where the epoch was not evaluated, or the figure is null.
    """
    if record.recall is not None:
        return record.recall[BEST_METRIC]
    first = record.metrics[min(record.metrics)] if record.metrics else None
    if first is None or first.value is None:
        return None
    return first.value if first.direction == "higher" else -first.value


def metric(
    name: str, value: float | None, reason: str | None = None, kind: tuple[str, Direction] | None = None
) -> Metric:
    """Return one metric; a value that is not finite becomes None, with its reason.

    ``kind`` is its unit and direction, where clipbench does not know the name.
    """
    unit, direction = kind or UNITS_AND_DIRECTIONS[name]
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
    """Return the metrics of the last evaluated epoch, and of the first that is best by ``best_of``.

    Throughput and energy are those of the whole run in both: there is one for a run.
    """
    evaluated = [record for record in epochs if record.evaluated]
    if not evaluated:
        return Metrics()
    last = evaluated[-1]
    best = max(evaluated, key=lambda record: -math.inf if (score := best_of(record)) is None else score)
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

"""Quality over the course of a run: time to a target, and a loss curve beside a stored one."""

from collections.abc import Sequence
from dataclasses import replace

from clipbench.api import EpochRecord, Metric, Result, finite
from clipbench.compare.verdicts import CurveMatch
from clipbench.results.measures.metrics import BEST_METRIC, metric

QUALITY_METRICS = ("seconds_to_quality", "epochs_to_quality", "energy_to_quality")
MEAN_RELATIVE_ERROR = 0.05
MEAN_ABSOLUTE_ERROR = 2e-4

Curve = Sequence[float | None]  # a loss for each epoch, None where there is none


def quality_metrics(result: Result, target: float) -> dict[str, Metric]:
    """Return seconds, epochs and joules until the overall recall mean reached ``target``, by the names of the metrics.

    Seconds are those of training and evaluating, summed over the epochs up to the first evaluated one that reached
    it; start-up and reading data ahead of the first epoch are left out. All are None, with the reason, when none did.
    Joules are those of training and evaluating, over all devices; there are none where no meter measured.
    """
    seconds, best = 0.0, None
    for count, record in enumerate(result.epochs, 1):
        seconds += record.seconds.total
        recall = finite((record.recall or {}).get(BEST_METRIC))
        if recall is not None and recall >= target:
            return _metrics(result, seconds, float(record.epoch), _joules(result.epochs[:count]), "not measured")
        best = recall if best is None or (recall is not None and recall > best) else best
    highest = "none" if best is None else f"{best:.2f}"
    return _metrics(result, None, None, None, f"{BEST_METRIC} never reached {target:g}; its best was {highest}")


def _metrics(
    result: Result, seconds: float | None, epochs: float | None, joules: float | None, reason: str
) -> dict[str, Metric]:
    values = dict(zip(QUALITY_METRICS, (seconds, epochs, joules), strict=True))
    if not any(record.telemetry for record in result.epochs):
        del values["energy_to_quality"]
    return {name: metric(name, value, reason) for name, value in values.items()}


def _joules(epochs: Sequence[EpochRecord]) -> float | None:
    """Return the joules of some epochs, trained and evaluated; None if a part of them is not known."""
    total = 0.0
    for record in epochs:
        joules = dict(record.telemetry.joules) if record.telemetry else {}
        parts = [joules.get("train")] * (record.steps > 0) + [joules.get("eval")] * record.evaluated
        if None in parts:
            return None
        total += sum(part for part in parts if part is not None)
    return total


def loss_curve(result: Result) -> list[float | None]:
    """Return the train loss of every epoch trained, from the first; None where there is none."""
    return [finite(record.train_loss) for record in result.epochs if record.epoch > 0]


def match_curves(ours: Curve, theirs: Curve, relative_limit: float = MEAN_RELATIVE_ERROR) -> CurveMatch | str:
    """Return how far ``ours`` is from ``theirs``, or why there is no answer: other epochs, or one without a loss.

    ``relative_limit`` is the largest mean relative error that matches, a share.
    """
    if not theirs:
        return "there is no curve to match"
    if len(ours) != len(theirs):
        return f"it has {len(ours)} epochs, the curve {len(theirs)}"
    absolute, relative = [], []
    for epoch, (loss, other) in enumerate(zip(ours, theirs, strict=True), 1):
        if loss is None or other is None:
            return f"epoch {epoch} has no loss"
        absolute.append(abs(loss - other))
        relative.append(abs(loss - other) / max(abs(other), 1e-12))
    means = sum(relative) / len(relative), sum(absolute) / len(absolute)
    return CurveMatch(*means, relative_limit, MEAN_ABSOLUTE_ERROR)


def match_by_seed(ours: Sequence[Result], theirs: Sequence[Result]) -> CurveMatch | str | None:
    """Return how far the loss curve of the worst run is from the baseline's mean curve for that run's seed.

    Every run whose seed both sides have is matched with that seed alone: further seeds, on either side, weaken nothing.
    A reason in words where a run cannot be matched; None where no seed is shared, or the baseline's curve is not whole.
    """
    known = _curves_of_shared_seeds(ours, theirs)
    found = {run.run_id: match_curves(loss_curve(run), known[run.seed]) for run in ours if run.seed in known}
    if refused := {run_id: why for run_id, why in found.items() if isinstance(why, str)}:
        run_id, why = next(iter(refused.items()))
        return f"{run_id}: {why}" if len(ours) > 1 else why
    matches = [match for match in found.values() if isinstance(match, CurveMatch)]
    worst = max(matches, key=lambda one: (not one.matches, one.relative), default=None)
    return worst and replace(worst, seeds=tuple(sorted(known)))


def _curves_of_shared_seeds(ours: Sequence[Result], theirs: Sequence[Result]) -> dict[int, Curve]:
    """Return the mean curve of ``theirs`` for each seed that both sides have and whose curve is whole."""
    shared = {run.seed for run in ours} & {run.seed for run in theirs}
    curves = {seed: mean_curve([loss_curve(run) for run in theirs if run.seed == seed]) for seed in shared}
    return {seed: curve for seed, curve in curves.items() if curve and None not in curve}


def mean_curve(curves: Sequence[Curve]) -> list[float | None]:
    """Return the mean over runs, epoch by epoch; empty for curves of several lengths."""
    if len({len(curve) for curve in curves}) != 1:
        return []
    means: list[float | None] = []
    for losses in zip(*curves, strict=True):
        known = [loss for loss in losses if loss is not None]
        means.append(sum(known) / len(known) if len(known) == len(losses) else None)
    return means

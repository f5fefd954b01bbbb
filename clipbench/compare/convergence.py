"""Quality over the course of a run: time to a target, and a loss curve beside a stored one."""

from collections.abc import Sequence
from dataclasses import replace

from clipbench.api import Metric, Result, finite
from clipbench.compare.verdicts import CurveMatch
from clipbench.results.metrics import BEST_METRIC, metric

QUALITY_METRICS = ("seconds_to_quality", "epochs_to_quality")
MEAN_RELATIVE_ERROR = 0.05
MEAN_ABSOLUTE_ERROR = 2e-4

Curve = Sequence[float | None]  # a loss for each epoch, None where there is none


def quality_metrics(result: Result, target: float) -> dict[str, Metric]:
    """Return ``seconds_to_quality`` and ``epochs_to_quality``: until the overall recall mean reached ``target``.

    Seconds are those of training and evaluating, summed over the epochs up to the first evaluated one that reached
    it; start-up and reading data ahead of the first epoch are left out. Both are None, with the reason, when none did.
    """
    seconds, best = 0.0, None
    for record in result.epochs:
        seconds += record.seconds.total
        recall = finite((record.recall or {}).get(BEST_METRIC))
        if recall is not None and recall >= target:
            return _both(seconds, float(record.epoch), None)
        best = recall if best is None or (recall is not None and recall > best) else best
    highest = "none" if best is None else f"{best:.2f}"
    return _both(None, None, f"{BEST_METRIC} never reached {target:g}; its best was {highest}")


def _both(seconds: float | None, epochs: float | None, reason: str | None) -> dict[str, Metric]:
    return {name: metric(name, value, reason) for name, value in zip(QUALITY_METRICS, (seconds, epochs), strict=True)}


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
    shared = {run.seed for run in ours} & {run.seed for run in theirs}
    curves = {seed: mean_curve([loss_curve(run) for run in theirs if run.seed == seed]) for seed in shared}
    known = {seed: curve for seed, curve in curves.items() if curve and None not in curve}
    seeds, worst = tuple(sorted(known)), None
    for run in ours:
        if run.seed in known:
            match = match_curves(loss_curve(run), known[run.seed])
            if isinstance(match, str):
                return f"{run.run_id}: {match}" if len(ours) > 1 else match
            worst = match if worst is None else max(worst, match, key=lambda one: (not one.matches, one.relative))
    return worst and replace(worst, seeds=seeds)


def mean_curve(curves: Sequence[Curve]) -> list[float | None]:
    """Return the mean over runs, epoch by epoch; empty for curves of several lengths."""
    if len({len(curve) for curve in curves}) != 1:
        return []
    means: list[float | None] = []
    for losses in zip(*curves, strict=True):
        known = [loss for loss in losses if loss is not None]
        means.append(sum(known) / len(known) if len(known) == len(losses) else None)
    return means

"""Quality over the course of a run: time to a target, and a loss curve beside a stored one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clipbench.results.metrics import metric
from clipbench.results.references import finite_number
from clipbench.results.result import Result

QUALITY = "recall_mean"
MEAN_RELATIVE_ERROR = 0.05
MEAN_ABSOLUTE_ERROR = 2e-4


def quality_metrics(result: Result, target: float) -> dict[str, dict[str, Any]]:
    """``seconds_to_quality`` and ``epochs_to_quality``: what it took until the overall recall mean reached ``target``.

    Seconds are those of training and evaluating, summed over the epochs up to the first evaluated one that reached
    it; start-up and reading data ahead of the first epoch are left out. Both are null, with the reason, when none did.
    """
    seconds, best = 0.0, None
    for record in result["epochs"]:
        seconds += record["seconds"]["train"] + record["seconds"]["eval"]
        reached = finite_number((record["recall"] or {}).get(QUALITY))
        if reached is not None and reached >= target:
            return _both(seconds, record["epoch"], None)
        best = reached if best is None or (reached is not None and reached > best) else best
    return _both(
        None, None, f"{QUALITY} never reached {target:g}; its best was {'none' if best is None else f'{best:.2f}'}"
    )


def _both(seconds: float | None, epochs: int | None, reason: str | None) -> dict[str, dict[str, Any]]:
    values = {"seconds_to_quality": seconds, "epochs_to_quality": None if epochs is None else float(epochs)}
    return {name: metric(name, value, reason) for name, value in values.items()}


@dataclass(frozen=True)
class CurveMatch:
    """Two loss curves over the same epochs: mean relative error (a share) and mean absolute error (nats)."""

    relative: float
    absolute: float

    @property
    def matches(self) -> bool:
        """The rule that SDAA's vendor checks training by: either error is small enough."""
        return self.relative <= MEAN_RELATIVE_ERROR or self.absolute <= MEAN_ABSOLUTE_ERROR

    def __str__(self) -> str:
        return (
            f"mean relative error {self.relative:.2%} (up to {MEAN_RELATIVE_ERROR:.0%} passes), "
            f"mean absolute error {self.absolute:.2g} (up to {MEAN_ABSOLUTE_ERROR:g} passes)"
        )


def loss_curve(result: Result) -> list[float | None]:
    """Train loss of every epoch trained, from the first; None where there is none."""
    return [finite_number(record["train_loss"]) for record in result["epochs"] if record["epoch"] > 0]


def match_curves(ours: Sequence[float | None], theirs: Sequence[float | None]) -> CurveMatch | str:
    """How far ``ours`` is from ``theirs``, or why that cannot be said: another length, or an epoch without a loss."""
    if not theirs:
        return "there is no curve to match"
    if len(ours) != len(theirs):
        return f"it has {len(ours)} epochs, the curve {len(theirs)}"
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None]
    if len(pairs) != len(theirs):
        missing = next(k for k, pair in enumerate(zip(ours, theirs, strict=True), 1) if None in pair)
        return f"epoch {missing} has no loss"
    absolute = [abs(a - b) for a, b in pairs]
    relative = [error / max(abs(b), 1e-12) for error, (_, b) in zip(absolute, pairs, strict=True)]
    return CurveMatch(sum(relative) / len(pairs), sum(absolute) / len(pairs))


def mean_curve(curves: Sequence[Sequence[float | None]]) -> list[float | None]:
    """Mean over runs, epoch by epoch; None where a run has none. Curves of several lengths have no mean: empty."""
    if len({len(curve) for curve in curves}) != 1:
        return []
    means: list[float | None] = []
    for losses in zip(*curves, strict=True):
        known = [loss for loss in losses if loss is not None]
        means.append(sum(known) / len(known) if len(known) == len(losses) else None)
    return means

"""The figures of a check of numerics, computed from the steps that a result stores."""

import math
from itertools import zip_longest

from clipbench.api.result import Metric, Numerics
from clipbench.results.measures.metrics import metric

NATS = 1.0


def fixed_batch_loss(numerics: Numerics) -> Metric:
    """Return the last loss on the fixed batch in percent of the first; None with the reason where there is none."""
    steps = numerics.fixed_batch
    if steps is None:
        return metric("fixed_batch_loss", None, numerics.problem)
    first, last = steps.losses[0], steps.losses[-1]
    if first is None or last is None:
        return metric("fixed_batch_loss", None, f"the loss is not finite at step {len(steps.losses)}")
    # A loss of zero cannot fall.
    return metric("fixed_batch_loss", 100 * last / first if first else 100.0, None)


def float32_error(numerics: Numerics) -> Metric:
    """Return the largest relative difference of float32 from the trusted device's; None with the reason.

    It is that of any loss or gradient norm, or of the features after the steps. A loss below 1 nat counts as 1: it is
    the small difference of larger numbers, whose rounding does not shrink with it.
    """
    ours, theirs = numerics.float32, numerics.trusted
    if ours is None or theirs is None:
        return metric("float32_error", None, numerics.problem)
    errors = [_error(*pair, least=NATS) for pair in zip_longest(ours.losses, theirs.losses)]
    # An engine may not know its gradient norms.
    norms = [pair for pair in zip_longest(ours.grad_norms, theirs.grad_norms) if pair != (None, None)]
    errors += [_error(*pair) for pair in norms]
    errors += [math.inf if error is None else error for error in numerics.features_error or (None,)]
    steps = min(len(ours.losses), len(theirs.losses))
    return metric(
        "float32_error", max(errors), f"a loss, gradient norm or feature in float32 is not finite within {steps} steps"
    )


def _error(ours: float | None, theirs: float | None, least: float = 0.0) -> float:
    """Return the relative difference; infinite where a side is None, or there is nothing to divide by."""
    if ours is None or theirs is None:
        return math.inf
    scale = max(abs(theirs), least)
    return abs(ours - theirs) / scale if scale else math.inf

"""Sentences about a check of numerics."""

from clipbench.api.events import NumericsStepped
from clipbench.api.result import Numerics
from clipbench.results.numerics import fixed_batch_loss, float32_error


def describe_step(event: NumericsStepped) -> str:
    """Return how far a part of the check is."""
    return f"check of numerics: step {event.done}/{event.steps} in {event.precision} on {event.device}"


def describe_numerics(numerics: Numerics) -> list[str]:
    """Return what the check has found, a line for each part; ``clipbench compare`` is what judges it."""
    loss, error, asked = fixed_batch_loss(numerics), float32_error(numerics), numerics.asked
    lines = [loss.reason if loss.value is None else loss_left(loss.value, asked.steps)]
    if numerics.is_trusted:
        lines.append("float32: nothing to compare, others are checked by this device")
    elif asked.float32_steps:
        known = (
            None if error.value is None else float32_differs(error.value, asked.float32_steps, numerics.trusted_device)
        )
        lines.append(known or error.reason)
    return [f"check of numerics: {line}" for line in lines]


def loss_left(percent: float, steps: int) -> str:
    """Return how much of a loss is left on the fixed batch."""
    return f"{percent:.4g}% of the first loss is left after {steps} steps on one batch"


def float32_differs(error: float, steps: int, device: str | None) -> str:
    """Return how far float32 is from that of the trusted ``device``."""
    return f"{steps} steps in float32 differ from the same on {device} by up to {error:.1e}"

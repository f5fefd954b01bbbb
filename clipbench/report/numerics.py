"""What a check of numerics has found, in words; ``clipbench compare`` is what judges it."""

from clipbench.api.result import Numerics
from clipbench.results.measures.numerics import fixed_batch_loss, float32_error


def describe_numerics(numerics: Numerics) -> list[str]:
    """Return a line for each part of the check."""
    loss, error, asked = fixed_batch_loss(numerics), float32_error(numerics), numerics.asked
    if loss.value is None:
        lines = [str(loss.reason)]
    else:
        lines = [f"{loss.value:.4g} % of the first loss is left after {asked.steps} steps on one batch"]
    if numerics.is_trusted:
        lines.append("float32 is not compared: others are checked by this device")
    elif asked.float32_steps and error.value is None:
        lines.append(str(error.reason))
    elif asked.float32_steps:
        beside = f"{asked.float32_steps} steps in float32 differ from the same on {numerics.trusted_device}"
        lines.append(f"{beside} by up to {error.value:.1e}")
    return [f"check of numerics: {line}" for line in lines]

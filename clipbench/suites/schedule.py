"""The learning rate: a quadratic warm-up, a cosine, a flat tail."""

import math

from clipbench.api.config import Limits, ScheduleConfig


def learning_rate_at(config: ScheduleConfig, epoch: float, *, lr: float, batch_size: int, epochs: int) -> float:
    """Return the learning rate ``epoch`` epochs into a run of ``epochs``; fractions of an epoch are for ``per: step``.

    ``lr`` is the published flag, before it is scaled by ``batch_size / nominal_batch`` and limited.
    Source of the formula: bubbliiing/clip-pytorch, with the limits of the published benchmark.
    """
    scaled = batch_size / config.nominal_batch * lr
    peak = _limited(scaled, config.peak_limits)
    floor = _limited(scaled * config.floor_ratio, config.floor_limits)
    warmup = _limited(config.warmup_ratio * epochs, config.warmup_limits)
    tail = _limited(config.tail_ratio * epochs, config.tail_limits)
    start = max(config.start_ratio * peak, config.start_minimum)
    if warmup > 0 and epoch <= warmup:
        return start + (peak - start) * (epoch / warmup) ** 2
    if epoch >= epochs - tail:
        return floor
    return floor + (peak - floor) / 2 * (1 + math.cos(math.pi * (epoch - warmup) / (epochs - warmup - tail)))


def learning_rates(config: ScheduleConfig, *, lr: float, batch_size: int, epochs: int) -> list[float]:
    """Return the learning rate of each epoch of a run, in order."""
    return [learning_rate_at(config, e, lr=lr, batch_size=batch_size, epochs=epochs) for e in range(epochs)]


def _limited(value: float, limits: Limits | None) -> float:
    return value if limits is None else min(max(value, limits[0]), limits[1])

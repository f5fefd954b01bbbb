"""A few training steps on random pairs, as checks of devices, engines and models need them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from clipbench.api import ClipConfig, Learner, LearnerJob, LearnerState, LossConfig, OptimizerConfig, TensorRef, finite
from clipbench.conform.checks import expect
from clipbench.conform.subject import Subject

PAIRS = 8
RATE = 1e-3
ADAMW = OptimizerConfig(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, decay_norms_and_biases=True)


def random_pairs(config: ClipConfig, seed: int = 0, pairs: int = PAIRS) -> tuple[np.ndarray, np.ndarray]:
    """Return uint8 pixels (pairs, size, size, 3), and int32 tokens (pairs, context) of several lengths.

    A caption ends with the highest token id, and zeros follow.
    """
    draws = np.random.default_rng(seed)
    size, context = config.image_size, config.context_length
    pixels = draws.integers(0, 256, (pairs, size, size, 3), dtype=np.uint8)
    tokens = draws.integers(1, config.vocab_size - 1, (pairs, context), dtype=np.int32)
    ends = draws.integers(2, max(3, context // 2), pairs)
    columns = np.arange(context)
    tokens[columns > ends[:, None]] = 0
    tokens[np.arange(pairs), ends] = config.vocab_size - 1
    return pixels, tokens


def random_batches(config: ClipConfig, count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return so many batches of random pairs, made anew: a learner may have written into those of another."""
    return [random_pairs(config, seed + number) for number in range(count)]


def make_job(subject: Subject, **changes: Any) -> LearnerJob:  # noqa: ANN401
    """Return a job for the subject's model on its device: float32, from random weights."""
    device = subject.device
    job = LearnerJob(
        model=subject.model,
        config=subject.model.config,
        device=device,
        precision="float32",
        autocast_text=True,
        weights=None,
        optimizer=ADAMW,
        loss=LossConfig(reduction="sum", negatives="local"),
        seed=0,
        tuning=dict(device.tune()),
    )
    return replace(job, **changes)


def make_learner(subject: Subject, **changes: Any) -> Learner:  # noqa: ANN401
    """Return a new learner for such a job."""
    return subject.engine.learner(make_job(subject, **changes))


def losses_of(learner: Learner, batches: Sequence[tuple[Any, Any]], rate: float = RATE) -> list[float]:
    """Return the loss of each step on ``batches``; a loss that is not finite breaks a promise."""
    for pixels, tokens in batches:
        learner.train_step(pixels, tokens, rate)
    reports = learner.drain_steps()
    expect(len(reports) == len(batches), f"drain_steps() gave {len(reports)} reports after {len(batches)} steps")
    losses = [float(report.loss) for report in reports]
    expect(all(finite(loss) is not None for loss in losses), f"a loss is not finite: {_shown(losses)}")
    return losses


def saved(learner: Learner) -> LearnerState:
    """Return the learner's state with every tensor read, as it is now."""
    state = learner.state()
    arrays = {name: np.array(tensor.read(), copy=True) for name, tensor in state.tensors.items()}
    tensors = {name: TensorRef(array.dtype, array.shape, partial(np.copy, array)) for name, array in arrays.items()}
    return LearnerState(tensors, state.values)


def relative_difference(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the largest difference of two lists of losses, relative to the second's."""
    return max(abs(a - b) / abs(b) for a, b in zip(one, other, strict=True))


def _shown(losses: Sequence[float]) -> str:
    return ", ".join(f"{loss:.6g}" for loss in losses)

"""The first steps of a learner on one fixed batch: what a check of a device's numerics looks at."""

from collections.abc import Callable

import numpy as np

from clipbench.api import Batch, Learner, StepReport, finite
from clipbench.api.result import FirstSteps
from clipbench.training.batches import TrainFetch
from clipbench.training.sampling import epoch_batches


def first_pairs(fetch: TrainFetch, batch_size: int, pairs: int) -> Batch:
    """Return the first ``pairs`` of the first batch of the run, at most a whole batch: pixels and tokens as arrays."""
    order = epoch_batches(fetch.seed, 0, len(fetch.split), batch_size)[0][:pairs]
    return tuple(np.stack(arrays) for arrays in zip(*(fetch((0, int(index))) for index in order), strict=True))


def features_of(learner: Learner, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Return the features (pairs, embed_dim) of the images and of the texts of a batch, on the host."""
    pixels, tokens = batch
    return learner.gather([learner.encode_images(pixels)]), learner.gather([learner.encode_texts(tokens)])


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float | None:
    """Return the Euclidean norm of the difference relative to that of ``theirs``; None where it is not finite."""
    norms = [float(np.linalg.norm(array.astype(np.float64))) for array in (ours - theirs, theirs)]
    return finite(norms[0] / norms[1]) if norms[1] else None


def take_steps(
    learner: Learner, batch: Batch, learning_rate: float, steps: int, after: Callable[[int], None]
) -> FirstSteps:
    """Take ``steps`` on one batch, or as many as it takes to a loss that is not finite.

    ``after`` is called with the number of steps done, and may raise to stop.
    """
    pixels, tokens = batch
    reports: list[StepReport] = []
    for done in range(1, steps + 1):
        learner.train_step(pixels, tokens, learning_rate)
        reports += learner.drain_steps()
        after(done)
        if finite(reports[-1].loss) is None:
            break
    return FirstSteps(
        losses=tuple(finite(report.loss) for report in reports),
        grad_norms=tuple(finite(report.grad_norm) for report in reports),
    )


def first_steps(taken: FirstSteps, count: int) -> FirstSteps:
    """Return the first ``count`` of the steps."""
    return FirstSteps(taken.losses[:count], taken.grad_norms[:count])

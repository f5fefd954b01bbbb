"""One of several ranks: takes steps on its shard of a global batch, and rank 0 writes what the model became."""

import sys
from pathlib import Path

import numpy as np
from torch_jobs import make_batch, make_job

from clipbench.api import LossConfig, World

STEPS = 2
GLOBAL_BATCH = 8


def steps(rank, size, negatives):
    """Losses over all ranks and the parameters after each rank took its shard of every batch."""
    from clipbench_torch.engine import TorchEngine

    job = make_job(loss=LossConfig("sum", negatives), world=World(rank=rank, local_rank=rank, size=size))
    learner = TorchEngine().learner(job)
    shard = slice(rank * GLOBAL_BATCH // size, (rank + 1) * GLOBAL_BATCH // size)
    for step in range(STEPS):
        pixels, tokens = make_batch(n=GLOBAL_BATCH, seed=step)
        learner.train_step(pixels[shard], tokens[shard], lr=1e-3)
    gradients = {name: parameter.grad.numpy() for name, parameter in learner._model.named_parameters()}
    return [step.loss for step in learner.drain_steps()], gradients, learner.logit_scale()


def first_loss(rank, size):
    """The loss that one rank of ``size`` takes over its own pairs alone, at the first step."""
    from clipbench_torch.engine import TorchEngine

    learner = TorchEngine().learner(make_job())
    pixels, tokens = make_batch(n=GLOBAL_BATCH, seed=0)
    shard = slice(rank * GLOBAL_BATCH // size, (rank + 1) * GLOBAL_BATCH // size)
    learner.train_step(pixels[shard], tokens[shard], lr=1e-3)
    return learner.drain_steps()[0].loss


if __name__ == "__main__":
    rank, size, negatives, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    losses, gradients, scale = steps(rank, size, negatives)
    np.savez(folder / f"rank{rank}.npz", losses=losses, scale=scale, **gradients)

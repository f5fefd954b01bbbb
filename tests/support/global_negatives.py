"""One of several ranks: takes steps on its shard of global batches, and writes what became of the model.

    python global_negatives.py RANK SIZE FOLDER

Every scenario runs in turn in the same process group, for starting processes is what takes the time.
"""

import sys
from pathlib import Path

import numpy as np
import torch.distributed as dist

from clipbench.api import LossConfig, World
from tests.support.torch_jobs import make_batch, make_job

GLOBAL_BATCH = 32
# (negatives, micro-batches, steps, recomputed activations)
SCENARIOS = {
    "global": ("global", 1, 2, False),
    "local": ("local", 1, 1, False),
    "local_in_parts": ("local", 4, 1, False),
    "global_in_parts": ("global", 4, 1, False),
    "batch": ("batch", 4, 2, True),
}


def take_steps(name, rank=0, size=1, shard=None):
    """Losses, norms, scale, count and last gradients of the steps; on ``shard`` of every batch, else the rank's."""
    from clipbench_torch.engine import TorchEngine

    negatives, parts, steps, checkpointing = SCENARIOS[name]
    job = make_job(
        loss=LossConfig("sum", negatives),
        world=World(rank=rank, local_rank=rank, size=size),
        accumulate=parts,
        grad_checkpointing=checkpointing,
    )
    learner = TorchEngine().learner(job)
    rows = shard if shard is not None else slice(rank * GLOBAL_BATCH // size, (rank + 1) * GLOBAL_BATCH // size)
    for step in range(steps):
        pixels, tokens = make_batch(n=GLOBAL_BATCH, seed=step)
        learner.train_step(pixels[rows], tokens[rows], lr=1e-3)
    gradients = {name: parameter.grad.numpy().copy() for name, parameter in learner._model.named_parameters()}
    reports = learner.drain_steps()
    return {
        "losses": [report.loss for report in reports],
        "norms": [report.grad_norm for report in reports],
        "scale": learner.logit_scale(),
        "flops": learner.flops(),
        **gradients,
    }


def refuse_rare_collectives():
    """Back ends of accelerators may lack them."""

    def refuse(*args, **kwargs):
        raise AssertionError("a collective that not every back end has")

    for name in (
        "all_to_all",
        "all_to_all_single",
        "reduce_scatter",
        "reduce_scatter_tensor",
        "all_gather_into_tensor",
    ):
        setattr(dist, name, refuse)


if __name__ == "__main__":
    from clipbench_torch.engine import TorchEngine

    rank, size, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    refuse_rare_collectives()
    TorchEngine().join(make_job().device, World(rank=rank, local_rank=rank, size=size), timeout=60)
    for name in SCENARIOS:
        np.savez(folder / f"{name}{rank}.npz", **take_steps(name, rank, size))

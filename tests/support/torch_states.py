"""Learners that save, start anew and go on, in processes of their own: one of two ranks, or on the stand-in for sdaa.

``python torch_states.py RANK FOLDER "go on"|"other model"|"stand-in"``
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch.distributed as dist

from clipbench.api import NotReadyError, World
from clipbench.training import checkpoints
from clipbench_torch.device import CpuDevice
from clipbench_torch.learner import TorchLearner
from tests.support.torch_jobs import SMALL, make_batch, make_job

WORLD_SIZE = 2


def train(learner, rank, steps, first):
    for step in range(first, first + steps):
        learner.train_step(*make_batch(seed=WORLD_SIZE * step + rank), lr=1e-3)
    return [report.loss for report in learner.drain_steps()]


def write(path, learner, losses):
    np.savez(path, losses=losses, **{name: ref.read() for name, ref in learner.state().tensors.items()})


def on_stand_in(folder):
    """On a device with memory of its own, where fused kernels want the count of steps as well."""
    from clipbench_sdaa.device import SdaaDevice

    whole, resumed = (TorchLearner(make_job(device=SdaaDevice(), seed=seed)) for seed in (0, 5))
    train(whole, 0, 3, 0)
    checkpoints.save(folder / "kept", "step-00000003", whole.state(), {}, None)
    resumed.restore(checkpoints.latest(folder / "kept").state)
    assert {tensor.device for kept in resumed._optimizer.state.values() for tensor in kept.values()} == {
        resumed._torch_device
    }
    write(folder / "whole0.npz", whole, train(whole, 0, 3, 3))
    write(folder / "resumed0.npz", resumed, train(resumed, 0, 3, 3))


def main(rank, folder, what):
    if what == "stand-in":
        return on_stand_in(folder)
    CpuDevice.tune = lambda self, earlier=None: {"float32_products": "default"}
    dist.init_process_group("gloo", rank=rank, world_size=WORLD_SIZE)
    job = make_job(world=World(rank=rank, local_rank=rank, size=WORLD_SIZE))
    whole = TorchLearner(job)
    train(whole, rank, 3, 0)
    if rank == 0:
        checkpoints.save(folder / "kept", "step-00000003", whole.state(), {}, None)
    losses = train(whole, rank, 3, 3)
    config = SMALL if what == "go on" else replace(SMALL, vocab_size=70)
    resumed = TorchLearner(make_job(config, world=job.world, seed=5 + rank))
    try:
        resumed.restore(checkpoints.latest(folder / "kept").state if rank == 0 else None)
    except NotReadyError as error:
        sys.stderr.write(f"{error}\n")
        dist.destroy_process_group()
        sys.exit(int(error.exit_code))
    write(folder / f"whole{rank}.npz", whole, losses)
    write(folder / f"resumed{rank}.npz", resumed, train(resumed, rank, 3, 3))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])

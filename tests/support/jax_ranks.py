"""One of several ranks, started by the engine's launcher: ``python -m tests.support.jax_ranks FOLDER``.

Writes what became of its steps. Rank 1 ends itself by a signal at the end, where the folder has a file ``kill``.
"""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from clipbench.api import LossConfig, World, exit_with_parent
from clipbench_jax.device import CpuDevice
from clipbench_jax.engine import JaxEngine
from tests.support.jax_jobs import make_job
from tests.support.torch_jobs import SMALL, make_batch

PAIRS = 8
# Negatives and micro-batches of each.
SCENARIOS = {"global": ("global", 1), "batch": ("batch", 2), "local": ("local", 1)}


def take_steps(name, device, world, rows=None):
    """Loss, norm, operations and gradients of a step on the rank's rows of a batch; then what a second step reports."""
    negatives, parts = SCENARIOS[name]
    job = make_job(device=device, world=world, loss=LossConfig("sum", negatives), accumulate=parts)
    learner = JaxEngine().learner(job)
    rows = rows or slice(world.rank * PAIRS // world.size, (world.rank + 1) * PAIRS // world.size)
    pixels, tokens = (array[rows] for array in make_batch(n=PAIRS))
    of_parts = learner._in_parts(pixels), learner._in_parts(tokens)
    _, gradients = learner._loss_and_gradients(learner._unscaled, *of_parts, learner._lengths[-1])
    gradients = {f"gradient {name}": np.asarray(gradient) for name, gradient in gradients.items()}
    for _ in range(2):
        learner.train_step(pixels, tokens, 1e-3)
    reports = learner.drain_steps()
    return {
        "losses": [report.loss for report in reports],
        "norms": [report.grad_norm for report in reports],
        "flops": learner.flops(),
        **gradients,
    }


def main(folder):
    exit_with_parent(os.getppid())
    world = World(*(int(os.environ[name]) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE")))
    device = CpuDevice()
    device.select(world.local_rank)
    group = JaxEngine().join(device, world, 60)
    # What ranks exchange differs in size, and may be empty.
    gathered = group.all_gather(np.full((world.rank, 3), world.rank, np.int64))
    np.savez(folder / f"gathered{world.rank}.npz", *gathered)
    for name in ("global", "batch"):
        np.savez(folder / f"{name}{world.rank}.npz", **take_steps(name, device, world))
    # A state that the first rank alone has reaches the others.
    learner = JaxEngine().learner(make_job(device=device, world=world, seed=world.rank))
    learner.restore(learner.state() if world.rank == 0 else None)
    features = learner.gather([learner.encode_images(make_batch(SMALL)[0])])
    np.savez(folder / f"restored{world.rank}.npz", features)
    if (folder / "kill").exists():
        group.at("the end of the test")
        time.sleep(3)  # the next beat carries it
        if world.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        until = time.monotonic() + 60
        while group.failure() is None and time.monotonic() < until:
            time.sleep(0.1)
        (folder / "failure").write_text(str(dict(group.failure() or {})))
        sys.exit(4)
    group.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

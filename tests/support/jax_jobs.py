"""Jobs for the jax tests, on devices that are ready as the core makes them."""

from dataclasses import replace

from clipbench.api import LearnerJob, LossConfig, ModelSpec, World
from clipbench_jax.device import CpuDevice
from clipbench_jax.learner import JaxLearner
from tests.support.torch_jobs import ADAMW, SMALL


def make_learner(config=SMALL, **changes):
    return JaxLearner(make_job(config, **changes))


def make_job(config=SMALL, device=None, seed=0, **changes):
    """A job on the processor, selected, seeded and tuned; nothing compiled is kept."""
    device = device or CpuDevice()
    device.select(0)
    device.seed(seed)
    job = LearnerJob(
        model=ModelSpec("test", "jax", "for tests", config, "clipbench_jax.learner:JaxLearner"),
        config=config,
        device=device,
        precision="float32",
        autocast_text=True,
        weights=None,
        optimizer=ADAMW,
        loss=LossConfig(reduction="sum", negatives="local"),
        seed=seed,
        world=World(),
        tuning=device.tune(),
    )
    return replace(job, **changes)

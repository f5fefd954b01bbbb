"""Jobs for the jax tests, on devices that are ready as the core makes them."""

from clipbench.api import ModelSpec
from clipbench_jax.device import CpuDevice
from clipbench_jax.learner import JaxLearner
from tests.support import torch_jobs
from tests.support.torch_jobs import SMALL


def make_learner(config=SMALL, **changes):
    return JaxLearner(make_job(config, **changes))


def make_job(config=SMALL, device=None, **changes):
    """A job on the processor, selected and tuned; nothing compiled is kept."""
    spec = ModelSpec("test", "jax", "for tests", config, "clipbench_jax.learner:JaxLearner")
    return torch_jobs.make_job(config, device or CpuDevice(), model=spec, **changes)

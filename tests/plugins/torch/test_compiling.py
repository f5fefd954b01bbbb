"""train.compile: the same steps, one compilation for every length, and a clear word where it cannot be."""

import pytest
import torch
from torch._dynamo.utils import counters

from clipbench.api import LossConfig
from clipbench.errors import NotReadyError, UsageError
from clipbench_torch.compiling import padded_length
from clipbench_torch.device import CpuDevice
from clipbench_torch.learner import TorchLearner
from tests.support.torch_jobs import SMALL, make_batch, make_job

# torch.compile imports modules of torch that torch itself has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


class TracedOnly(CpuDevice):
    """Traces and differentiates as any compiler's front end does, and runs what it traced: seconds, not minutes."""

    compile_backend = "aot_eager"


@pytest.fixture(autouse=True)
def afresh(monkeypatch):
    monkeypatch.setattr(CpuDevice, "tune", lambda self, earlier=None: {})
    torch._dynamo.reset()
    counters.clear()


def losses(steps=4, **changes):
    learner = TorchLearner(make_job(**changes))
    for seed in range(steps):
        learner.train_step(*make_batch(n=8, seed=seed), lr=1e-3)
    return [report.loss for report in learner.drain_steps()]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"precision": "bfloat16"}, marks=pytest.mark.slow),
        pytest.param({"grad_checkpointing": True}, marks=pytest.mark.slow),
        pytest.param({"accumulate": 2, "loss": LossConfig("sum", "batch")}, marks=pytest.mark.slow),
    ],
    ids=["float32", "bfloat16", "recomputing", "cached features"],
)
def test_compiled_steps_are_the_same_steps(changes):
    # A step of AdamW takes the rounding of small gradients whole, so that steps in bfloat16 part soon.
    rel = 5e-2 if "precision" in changes else 1e-5
    assert losses(device=TracedOnly(), compile="default", **changes) == pytest.approx(losses(**changes), rel=rel)


def test_captions_of_every_length_share_one_compilation_made_before_the_first_step():
    learner = TorchLearner(make_job(device=TracedOnly(), compile="default"))
    learner.train_step(*make_batch(n=8), lr=1e-3)
    made = counters["stats"]["unique_graphs"]
    for seed in range(1, 6):
        pixels, tokens = make_batch(n=8, seed=seed)
        tokens[:, seed + 1] = SMALL.vocab_size - 1
        tokens[:, seed + 2 :] = 0
        learner.train_step(pixels, tokens, lr=1e-3)
    assert counters["stats"]["unique_graphs"] == made == 2  # the towers, and the product that was tried


@pytest.mark.parametrize(("length", "padded"), [(1, 16), (16, 16), (17, 32), (65, 77), (77, 77)])
def test_captions_are_padded_to_few_lengths(length, padded):
    assert padded_length(length, 77) == padded


@pytest.mark.slow
def test_the_processors_own_compiler():
    assert losses(2, compile="default") == pytest.approx(losses(2), rel=1e-5)


class NoCompiler(CpuDevice):
    def compiles(self):
        return "its vendor has none"


class BrokenCompiler(CpuDevice):
    @staticmethod
    def compile_backend(graph, inputs):
        raise RuntimeError("no C++ compiler found\nand a long story")


@pytest.mark.parametrize(
    ("device", "reason"), [(NoCompiler(), "its vendor has none"), (BrokenCompiler(), "no C\\+\\+ compiler found")]
)
def test_without_a_compiler_it_is_refused(device, reason):
    with pytest.raises(
        NotReadyError, match=f"train.compile: default: .*'cpu' here .*{reason}.*leave train.compile out"
    ):
        TorchLearner(make_job(device=device, compile="default"))


def test_cuda_graphs_and_micro_batches_are_refused_together():
    with pytest.raises(UsageError, match=r"train.compile: reduce-overhead with train.accumulate: 2 .* default"):
        TorchLearner(make_job(compile="reduce-overhead", accumulate=2))

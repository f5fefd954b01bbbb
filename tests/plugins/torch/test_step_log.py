"""What steps report, and that taking one waits for nothing."""

import math
from contextlib import contextmanager

import pytest
import torch

from clipbench_torch import optimizer as optimizer_module
from clipbench_torch.attention import SDPA
from clipbench_torch.device import CpuDevice
from clipbench_torch.learner import TorchLearner
from clipbench_torch.optimizer import gradient_norm
from clipbench_torch.step_log import StepLog, withheld
from tests.support.torch_jobs import make_batch, make_job


def norm_of(learner):
    squares = [float((p.grad.double() ** 2).sum()) for p in learner._model.parameters()]
    return math.sqrt(sum(squares))


def test_a_step_reports_the_norm_of_its_gradient():
    learner = TorchLearner(make_job())
    norms = []
    for seed in range(3):
        learner.train_step(*make_batch(seed=seed), lr=1e-3)
        norms.append(norm_of(learner))
    reports = learner.drain_steps()
    assert [report.grad_norm for report in reports] == pytest.approx(norms, rel=1e-6)
    assert not any(report.skipped for report in reports)


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_norm_needs_no_kernel_for_lists(monkeypatch, broken, device):
    def refuse(*args):
        raise NotImplementedError("no such kernel")

    if broken:
        monkeypatch.setattr(torch, "_foreach_norm", refuse)
    parameters = [torch.nn.Parameter(torch.zeros(shape, device=device)) for shape in ((), (3,), (2, 4), (5,))]
    for parameter in parameters[:3]:
        parameter.grad = torch.full_like(parameter, 2.0)
    norm = gradient_norm(parameters)
    assert (norm.shape, norm.dtype, norm.device.type) == ((), torch.float32, device)
    if device == "cpu":
        assert float(norm) == pytest.approx(math.sqrt(48))


def test_the_norm_of_a_big_matrix_loses_no_digits():
    parameter = torch.nn.Parameter(torch.zeros(2000, 1500))
    parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    exact = float(torch.linalg.vector_norm(parameter.grad.double()))
    assert float(gradient_norm([parameter])) == pytest.approx(exact, rel=1e-6)


class Scaler:
    """A vendor's gradient scaler: what torch's promises in public, and nothing inside that looks like torch's."""

    def __init__(self, scale, withhold):
        self.factor, self.withhold, self.calls = scale, list(withhold), 0

    def scale(self, loss):
        return loss * self.factor

    def step(self, optimizer):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad /= self.factor
        if not self.withhold[self.calls]:
            optimizer.step()
        self.calls += 1

    def update(self):
        self.factor /= 2

    def get_scale(self):
        return self.factor


def test_withheld_steps_are_known_whoever_wrote_the_scaler():
    plain = TorchLearner(make_job())
    plain.train_step(*make_batch(), lr=1e-3)
    (want,) = plain.drain_steps()

    learner = TorchLearner(make_job())
    learner._scaler = Scaler(512.0, [True, True, False, True, False, False])
    told = []
    for steps in (1, 3, 2):
        for _ in range(steps):
            learner.train_step(*make_batch(), lr=1e-3)
        told += learner.drain_steps()
    assert [report.skipped for report in told] == [True, True, False, True, False, False]
    # Until a step is taken every gradient is the first one's: as it is without a scaler, whatever the scale.
    assert [report.grad_norm for report in told[:3]] == pytest.approx([want.grad_norm] * 3, rel=1e-5)
    assert learner.describe()["scaler_skipped_steps"] == 3


def test_torchs_own_scaler_says_so_too_and_an_overflow_has_no_norm():
    learner = TorchLearner(make_job(precision="float16"))
    learner._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    for _ in range(36):
        learner.train_step(*make_batch(), lr=1e-3)
    reports = learner.drain_steps()
    assert reports[0].skipped and reports[0].grad_norm is None
    assert sum(report.skipped for report in reports) == learner.describe()["scaler_skipped_steps"] > 0
    taken = [report for report in reports if not report.skipped]
    assert taken and all(math.isfinite(report.grad_norm) for report in taken)


def test_a_loss_that_is_not_finite_is_told_with_its_norm():
    log = StepLog()
    log.add(torch.tensor(math.nan), torch.tensor(math.inf), None)
    (report,) = log.drain()
    assert math.isnan(report.loss) and report.grad_norm == math.inf and not report.skipped
    assert log.drain() == []


def test_a_step_is_withheld_where_the_count_stands_still():
    assert withheld([5, 6, 6, 7]) == [False, True, False]


class MetaDevice(CpuDevice):
    """Tensors without values: whatever would wait for a value fails."""

    @property
    def torch_device(self):
        return torch.device("meta")

    @contextmanager
    def autocast(self, precision):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision != "float32"):
            yield

    def tune(self, earlier=None):
        return {}

    def attention_backend(self, dtype):
        return SDPA  # it is no processor


@pytest.mark.parametrize(
    "changes", [{}, {"accumulate": 2}, {"grad_checkpointing": True}], ids=["plain", "micro-batches", "recomputing"]
)
@pytest.mark.parametrize("scaled", [False, True])
def test_a_step_waits_for_no_value_on_the_device(monkeypatch, changes, scaled):
    monkeypatch.setattr(optimizer_module, "adamw_implementation", lambda place: "foreach")
    learner = TorchLearner(make_job(device=MetaDevice(), **changes))
    if scaled:
        learner._scaler = Scaler(512.0, [False] * 3)
    for seed in range(3):
        learner.train_step(*make_batch(seed=seed), lr=1e-3)
    learner.encode_images(make_batch()[0])
    learner.encode_texts(make_batch()[1])
    with pytest.raises(RuntimeError, match="meta"):  # and this is how it looks when something does
        learner.drain_steps()

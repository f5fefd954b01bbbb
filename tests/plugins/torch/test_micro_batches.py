"""Micro-batches, cached features and recomputed activations: less memory, the gradients of the plain way."""

import numpy as np
import pytest
import torch

from clipbench.api import LossConfig, ModelSpec
from clipbench.errors import NotReadyError, UsageError
from clipbench_torch.device import CpuDevice
from clipbench_torch.learner import TorchLearner
from clipbench_torch.micro_batches import rows_of
from tests.support.torch_jobs import make_batch, make_job


@pytest.fixture(autouse=True)
def same_products(monkeypatch):
    monkeypatch.setattr(CpuDevice, "tune", lambda self, earlier=None: {"float32_products": "default"})


def one_step(pixels, tokens, **changes):
    """Gradients by name, and the report of the step."""
    learner = TorchLearner(make_job(**changes))
    learner.train_step(pixels, tokens, lr=1e-3)
    (report,) = learner.drain_steps()
    return {name: parameter.grad.numpy() for name, parameter in learner._model.named_parameters()}, report


def assert_same(got, want, tolerance):
    for name, gradient in want.items():
        np.testing.assert_allclose(
            got[name], gradient, atol=tolerance * np.abs(gradient).max() + tolerance / 100, err_msg=name
        )


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_micro_batches_give_the_mean_of_their_losses_and_gradients(reduction):
    pixels, tokens = make_batch(n=12)
    loss = LossConfig(reduction, "local")
    parts = [one_step(pixels[rows], tokens[rows], loss=loss) for rows in (slice(0, 4), slice(4, 8), slice(8, 12))]
    gradients, report = one_step(pixels, tokens, loss=loss, accumulate=3)
    mean = {name: np.mean([part[0][name] for part in parts], axis=0) for name in gradients}
    assert_same(gradients, mean, 1e-5)
    assert report.loss == pytest.approx(np.mean([part[1].loss for part in parts]), rel=1e-6)


@pytest.mark.parametrize("parts", [2, 3, 12])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_cached_features_give_the_gradient_of_one_batch(parts, precision):
    pixels, tokens = make_batch(n=12)
    whole, report = one_step(pixels, tokens, precision=precision)
    changes = {"loss": LossConfig("sum", "batch"), "precision": precision, "accumulate": parts}
    gradients, cached = one_step(pixels, tokens, **changes)
    # In bfloat16 a sum over one batch and over its parts are rounded at different places.
    assert_same(gradients, whole, 1e-5 if precision == "float32" else 2e-2)
    assert cached.loss == pytest.approx(report.loss, rel=1e-6 if precision == "float32" else 2e-3)
    assert cached.grad_norm == pytest.approx(report.grad_norm, rel=1e-5 if precision == "float32" else 1e-2)


def test_cached_features_work_with_a_scaler():
    pixels, tokens = make_batch(n=8)
    job = make_job(precision="float16", loss=LossConfig("sum", "batch"), accumulate=4)
    learner = TorchLearner(job)
    learner._scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    learner.train_step(pixels, tokens, lr=1e-3)
    _, plain = one_step(pixels, tokens)
    (report,) = learner.drain_steps()
    assert not report.skipped
    assert report.loss == pytest.approx(plain.loss, rel=1e-2)
    assert report.grad_norm == pytest.approx(plain.grad_norm, rel=5e-2)


def test_in_one_part_all_of_the_batch_is_the_batch():
    pixels, tokens = make_batch(n=8)
    plain, _ = one_step(pixels, tokens)
    whole, _ = one_step(pixels, tokens, loss=LossConfig("sum", "batch"))
    assert_same(whole, plain, 0)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("autocast_text", [True, False])
def test_recomputed_activations_change_no_gradient(precision, autocast_text):
    pixels, tokens = make_batch(n=8)
    changes = {"precision": precision, "autocast_text": autocast_text}
    plain, _ = one_step(pixels, tokens, **changes)
    recomputed, _ = one_step(pixels, tokens, grad_checkpointing=True, **changes)
    assert_same(recomputed, plain, 1e-6)


def test_recomputing_keeps_fewer_bytes_for_backward():
    def kept_bytes(**changes):
        learner = TorchLearner(make_job(**changes))
        kept = {}

        def pack(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        pixels, tokens = (torch.from_numpy(array) for array in make_batch(n=32))
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            features = learner._towers(pixels, tokens)
        parameters = {p.untyped_storage().data_ptr() for p in learner._model.parameters()}
        del features
        return sum(size for address, size in kept.items() if address not in parameters)

    assert kept_bytes(grad_checkpointing=True) < 0.75 * kept_bytes()


def test_a_model_without_such_blocks_is_refused():
    spec = ModelSpec("other", "torch", "for tests", make_job().config, f"{__name__}:Other")
    with pytest.raises(NotReadyError, match=r"train.grad_checkpointing: model 'other' has no blocks"):
        TorchLearner(make_job(model=spec, grad_checkpointing=True))


class Other(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(2))

    def initialize(self, seed):
        pass


def test_a_share_that_does_not_divide_names_what_would():
    assert rows_of(8, 4) == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8)]
    with pytest.raises(UsageError, match=r"train.accumulate is 3, .* 8 pairs, .*; 2, 4, 8 would"):
        rows_of(8, 3)
    with pytest.raises(UsageError, match=r"train.accumulate is 3"):
        one_step(*make_batch(n=8), accumulate=3)

"""Attention from products: the kernel's values and gradients, as exact as the kernel, and chosen where it is faster."""

import pytest
import torch
import torch.nn.functional as F

from clipbench_torch import processor
from clipbench_torch.attention import MATH, SDPA, MathAttention, attend
from clipbench_torch.device import CpuDevice, TorchDevice
from clipbench_torch.learner import TorchLearner
from tests.support.torch_jobs import make_batch, make_job

FORMS = ("all", "causal", "up to each row's end")


def inputs(dtype, queries=19):
    generator = torch.Generator().manual_seed(0)
    sizes = ((3, 4, queries, 16), (3, 4, 19, 16), (3, 4, 19, 16))
    q, k, v = (torch.randn(size, generator=generator, dtype=torch.float64).to(dtype).requires_grad_() for size in sizes)
    return q, k, v


def how(form):
    ends = torch.tensor([4, 18, 9])
    return {
        "all": {},
        "causal": {"causal": True},
        "up to each row's end": {"visible": (torch.arange(19) <= ends[:, None])[:, None, None, :]},
    }[form]


def everything(tensors, form, kind):
    """Output and the three gradients by one kind of attention, as float64."""
    y = attend(kind, *tensors, **how(form))
    given = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return [tensor.detach().double() for tensor in (y, *torch.autograd.grad(y, tensors, given.to(y.dtype)))]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6)])
def test_products_give_what_the_kernel_gives(dtype, tolerance, form):
    tensors = inputs(dtype)
    expected = everything(tensors, form, SDPA)
    for got, want in zip(everything(tensors, form, MATH), expected, strict=True):
        assert float((got - want).norm() / want.norm()) < tolerance


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_products_are_as_exact_as_the_kernel(form):
    rounded = inputs(torch.bfloat16)
    exact = [tensor.detach().double().requires_grad_() for tensor in rounded]
    expected = everything(exact, form, SDPA)
    error = {
        kind: [float((got - want).norm() / want.norm()) for got, want in zip(found, expected, strict=True)]
        for kind in (SDPA, MATH)
        for found in [everything(rounded, form, kind)]
    }
    for ours, kernels in zip(error[MATH], error[SDPA], strict=True):
        assert ours < 1.3 * kernels
    assert min(error[SDPA]) > 1e-4  # it is bfloat16 that was compared


def test_one_query_of_many_tokens():
    q, k, v = inputs(torch.float64, queries=1)
    torch.testing.assert_close(MathAttention.apply(q, k, v, None), F.scaled_dot_product_attention(q, k, v))


def test_gradients():
    q, k, v = (tensor[:1, :2, :5].detach().requires_grad_() for tensor in inputs(torch.float64))
    visible = torch.ones(5, 5, dtype=torch.bool).tril()
    assert torch.autograd.gradcheck(lambda *tensors: MathAttention.apply(*tensors, visible), (q, k, v))


def test_autocast_does_not_round_the_scores():
    tensors = inputs(torch.float32)
    outside = everything(tensors, "all", MATH)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = everything(tensors, "all", MATH)
    for got, want in zip(inside, outside, strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ("fpu avx2 avx512_bf16 avx512_vnni", MATH),
        ("fpu avx2 avx512_bf16 amx_bf16 amx_tile", SDPA),
        ("fpu avx2", SDPA),
        (None, SDPA),
    ],
)
def test_bfloat16_takes_products_where_the_kernel_has_no_fast_ones(flags, kind, monkeypatch):
    monkeypatch.setattr(processor, "cpuinfo", lambda key: flags if key == "flags" else None)
    assert CpuDevice().attention_backend(torch.bfloat16) == kind
    assert CpuDevice().attention_backend(torch.float16) == SDPA
    assert TorchDevice().attention_backend(torch.bfloat16) == SDPA


def test_float32_takes_products_where_they_go_to_onednn():
    torch.set_float32_matmul_precision("highest")
    assert CpuDevice().attention_backend(torch.float32) == SDPA
    torch.set_float32_matmul_precision("medium")
    assert CpuDevice().attention_backend(torch.float32) == MATH
    assert CpuDevice().attention_backend(torch.float64) == SDPA


class ByProducts(CpuDevice):
    def tune(self, earlier=None):
        return {}

    def attention_backend(self, dtype):
        return MATH


def test_a_models_attention_is_its_devices(monkeypatch):
    losses = {}
    for device in (CpuDevice(), ByProducts()):
        monkeypatch.setattr(CpuDevice, "tune", lambda self, earlier=None: {})
        learner = TorchLearner(make_job(device=device))
        for seed in range(3):
            learner.train_step(*make_batch(n=8, seed=seed), lr=1e-3)
        losses[learner.describe()["attention"]] = [report.loss for report in learner.drain_steps()]
    assert losses[MATH] == pytest.approx(losses[SDPA], rel=1e-5)

"""Attention from products: the kernel's values and gradients, as exact as the kernel, and chosen where it is faster."""

import pytest
import torch
import torch.nn.functional as F

from clipbench_torch import processor
from clipbench_torch.attention import KERNEL, PRODUCTS, ProductAttention, attend
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
    expected = everything(tensors, form, KERNEL)
    for got, want in zip(everything(tensors, form, PRODUCTS), expected, strict=True):
        assert float((got - want).norm() / want.norm()) < tolerance


@pytest.mark.parametrize("form", FORMS)
def test_bfloat16_products_are_as_exact_as_the_kernel(form):
    rounded = inputs(torch.bfloat16)
    exact = [tensor.detach().double().requires_grad_() for tensor in rounded]
    expected = everything(exact, form, KERNEL)
    error = {
        kind: [float((got - want).norm() / want.norm()) for got, want in zip(found, expected, strict=True)]
        for kind in (KERNEL, PRODUCTS)
        for found in [everything(rounded, form, kind)]
    }
    for ours, kernels in zip(error[PRODUCTS], error[KERNEL], strict=True):
        assert ours < 1.3 * kernels
    assert min(error[KERNEL]) > 1e-4  # it is bfloat16 that was compared


def test_one_query_of_many_tokens():
    q, k, v = inputs(torch.float64, queries=1)
    torch.testing.assert_close(ProductAttention.apply(q, k, v, None), F.scaled_dot_product_attention(q, k, v))


def test_gradients():
    q, k, v = (tensor[:1, :2, :5].detach().requires_grad_() for tensor in inputs(torch.float64))
    visible = torch.ones(5, 5, dtype=torch.bool).tril()
    assert torch.autograd.gradcheck(lambda *tensors: ProductAttention.apply(*tensors, visible), (q, k, v))


def test_autocast_does_not_round_the_scores():
    tensors = inputs(torch.float32)
    outside = everything(tensors, "all", PRODUCTS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = everything(tensors, "all", PRODUCTS)
    for got, want in zip(inside, outside, strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ("fpu avx2 avx512_bf16 avx512_vnni", PRODUCTS),
        ("fpu avx2 avx512_bf16 amx_bf16 amx_tile", KERNEL),
        ("fpu avx2", KERNEL),
        (None, KERNEL),
    ],
)
def test_bfloat16_takes_products_where_the_kernel_has_no_fast_ones(flags, kind, monkeypatch):
    monkeypatch.setattr(processor, "cpuinfo", lambda key: flags if key == "flags" else None)
    assert CpuDevice().attention_kind(torch.bfloat16) == kind
    assert CpuDevice().attention_kind(torch.float16) == KERNEL
    assert TorchDevice().attention_kind(torch.bfloat16) == KERNEL


def test_float32_takes_products_where_they_go_to_onednn():
    torch.set_float32_matmul_precision("highest")
    assert CpuDevice().attention_kind(torch.float32) == KERNEL
    torch.set_float32_matmul_precision("medium")
    assert CpuDevice().attention_kind(torch.float32) == PRODUCTS
    assert CpuDevice().attention_kind(torch.float64) == KERNEL


class ByProducts(CpuDevice):
    def tune(self):
        return {}

    def attention_kind(self, dtype):
        return PRODUCTS


def test_a_models_attention_is_its_devices(monkeypatch):
    losses = {}
    for device in (CpuDevice(), ByProducts()):
        monkeypatch.setattr(CpuDevice, "tune", lambda self: {})
        learner = TorchLearner(make_job(device=device))
        for seed in range(3):
            learner.train_step(*make_batch(n=8, seed=seed), lr=1e-3)
        losses[learner.describe()["attention"]] = [report.loss for report in learner.drain_steps()]
    assert losses[PRODUCTS] == pytest.approx(losses[KERNEL], rel=1e-5)

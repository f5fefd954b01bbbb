"""The product that adds the bias: values and gradients of torch's own linear layer, where oneDNN computes it."""

from contextlib import nullcontext

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from clipbench_torch.linear import linear

WITH_BIAS = "mkldnn::_linear_pointwise"


class Called(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.add(func._schema.name)
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def by_onednn():
    """Have oneDNN compute float32 products; put the library of products back."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


def inputs(dtype):
    """Tokens (3, 7, 32), a weight and a bias."""
    generator = torch.Generator().manual_seed(0)
    sizes = ((3, 7, 32), (48, 32), (48,))
    return [torch.randn(size, generator=generator, dtype=dtype).requires_grad_() for size in sizes]


def everything(layer, tensors, precision="float32", rows=slice(None)):
    """Output and the three gradients, and the operations of the forward pass."""
    x, weight, bias = tensors
    around = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()
    with around, Called() as called:
        y = layer(x[:, rows], weight, bias)
    given = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    return [y.detach(), *torch.autograd.grad(y, tensors, given)], called.names


@pytest.mark.parametrize("rows", [slice(None), 0], ids=["all tokens", "one of each row"])
@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 2**-8), ("float32", 1e-6)])
def test_values_and_gradients_are_those_of_torchs_layer(precision, tolerance, rows):
    tensors = inputs(torch.float32)
    (ours, _), (theirs, _) = (everything(layer, tensors, precision, rows) for layer in (linear, F.linear))
    exact, _ = everything(F.linear, [tensor.detach().double().requires_grad_() for tensor in tensors], rows=rows)
    for got, torchs, right in zip(ours, theirs, exact, strict=True):
        assert (got.dtype, got.shape) == (torchs.dtype, torchs.shape)
        error, torchs_error = (float((one.double() - right).norm() / right.norm()) for one in (got, torchs))
        assert error < tolerance and error < 1.1 * torchs_error + 1e-7


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_the_product_adds_the_bias_where_onednn_computes_it(precision):
    supported = torch.backends.mkldnn.is_available()
    if precision == "bfloat16":
        supported = supported and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert (WITH_BIAS in everything(linear, inputs(torch.float32), precision)[1]) == supported


def test_torch_computes_what_onednn_is_not_asked_for():
    assert WITH_BIAS not in everything(linear, inputs(torch.float64))[1]
    torch.set_float32_matmul_precision("highest")
    assert WITH_BIAS not in everything(linear, inputs(torch.float32))[1]
    with torch.device("meta"):
        assert linear(torch.empty(3, 32), torch.empty(48, 32), torch.empty(48)).shape == (3, 48)

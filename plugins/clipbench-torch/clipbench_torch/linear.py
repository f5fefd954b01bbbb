"""A linear layer whose product adds the bias, where oneDNN computes it.

torch first copies the bias into every row of the output, which oneDNN then reads, adds to the product and writes again.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``x weight' + bias``, as ``F.linear`` does; in autocast's type where autocast is on."""
    if torch.compiler.is_compiling() or not x.is_cpu:
        return F.linear(x, weight, bias)
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    if not _by_onednn(dtype):
        return F.linear(x, weight, bias)
    return _Linear.apply(x.to(dtype), weight.to(dtype), bias.to(dtype))


def _by_onednn(dtype: torch.dtype) -> bool:
    """Return whether torch gives products of this type to oneDNN on this processor."""
    if not torch.backends.mkldnn.is_available():
        return False
    if dtype == torch.bfloat16:
        return _has_bfloat16()
    return dtype == torch.float32 and torch.get_float32_matmul_precision() != "highest"


@functools.cache
def _has_bfloat16() -> bool:
    supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return supported


class _Linear(torch.autograd.Function):
    """The product that torch's compiler calls for a linear layer, with the gradients of ``F.linear``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # noqa: ANN401 -- torch's untyped context
        ctx.save_for_backward(x, weight)
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        rows = gradient.flatten(0, -2)
        return gradient @ weight, rows.t() @ x.flatten(0, -2), rows.sum(0)

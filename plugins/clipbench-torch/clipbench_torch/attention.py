"""Attention: torch's own kernel, or on some devices plain products, which are as exact and faster there."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

AttentionKind = Literal["scaled_dot_product_attention", "products"]
KERNEL: AttentionKind = "scaled_dot_product_attention"
PRODUCTS: AttentionKind = "products"


def attend(
    kind: AttentionKind, q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, visible: Tensor | None = None
) -> Tensor:
    """softmax(q k' / sqrt(d)) v, as (n, heads, queries, d), of q (n, heads, queries, d) and of k and v alike.

    ``causal`` hides later tokens; ``visible`` says instead which tokens may be looked at: true or false, of a shape
    that broadcasts to (n, heads, queries, tokens).
    """
    if kind == KERNEL:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=causal)
    if causal:
        visible = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
    return ProductAttention.apply(q, k, v, visible)


def kernel_for_all(dtype: torch.dtype) -> AttentionKind:
    """torch's own kernel, whatever the type."""
    return KERNEL


class ProductAttention(torch.autograd.Function):
    """Attention from batched products, rounded where torch's kernel for processors rounds.

    Scores and softmax are float32 whatever the inputs are (float64 for float64); probabilities are rounded to the type
    of the inputs, and kept for the backward pass: n x heads x queries x tokens of them.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:  # noqa: ANN401
        shape, scale = q.shape, q.shape[-1] ** -0.5
        wide = torch.promote_types(q.dtype, torch.float32)
        hidden = q.new_zeros((), dtype=wide)
        if visible is not None:
            hidden = hidden.masked_fill(~visible, float("-inf"))
        hidden = hidden.expand(*shape[:3], k.shape[2]).flatten(0, 1)
        q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        with torch.autocast(q.device.type, enabled=False):
            kt = k.to(wide).transpose(1, 2)
            scores = torch.baddbmm(hidden, q.to(wide), kt, beta=0 if visible is None else 1, alpha=scale)
            p = torch.softmax(scores, dim=-1).to(q.dtype)
            y = torch.bmm(p, v)
        ctx.save_for_backward(q, k, v, p)
        ctx.scale = scale
        return y.view(shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        q, k, v, p = ctx.saved_tensors
        heads = gradient.shape[:2]
        gradient = gradient.flatten(0, 1)
        with torch.autocast(q.device.type, enabled=False):
            of_v = torch.bmm(p.transpose(1, 2), gradient)
            of_p = torch.bmm(gradient, v.transpose(1, 2))
            of_scores = torch.ops.aten._softmax_backward_data(of_p, p, -1, p.dtype).mul_(ctx.scale)
            of_q = torch.bmm(of_scores, k)
            of_k = torch.bmm(of_scores.transpose(1, 2), q)
        return of_q.unflatten(0, heads), of_k.unflatten(0, heads), of_v.unflatten(0, heads), None

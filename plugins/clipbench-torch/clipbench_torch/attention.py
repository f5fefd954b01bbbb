"""Attention: torch's own kernel or, where it is as exact and faster, plain matrix products."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

AttentionBackend = Literal["scaled_dot_product_attention", "math"]
SDPA: AttentionBackend = "scaled_dot_product_attention"
MATH: AttentionBackend = "math"


def attend(
    backend: AttentionBackend, q: Tensor, k: Tensor, v: Tensor, *, causal: bool = False, visible: Tensor | None = None
) -> Tensor:
    """Return softmax(q k' / sqrt(d)) v as (n, heads, queries, d).

    ``q`` is (n, heads, queries, d), ``k`` and ``v`` (n, heads, tokens, d). ``causal`` hides later tokens. ``visible``
    is a boolean mask instead, true where a query sees a token, that broadcasts to (n, heads, queries, tokens).
    """
    if backend == SDPA:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=causal)
    if causal:
        visible = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril()
    return MathAttention.apply(q, k, v, visible)


def always_sdpa(dtype: torch.dtype) -> AttentionBackend:
    """Return torch's own kernel for every type."""
    return SDPA


class MathAttention(torch.autograd.Function):
    """Attention from batched products, rounded where torch's kernel for processors rounds.

    Scores and softmax are float32 whatever the inputs are (float64 for float64). Probabilities are rounded to the type
    of the inputs and kept for the backward pass: n x heads x queries x tokens of them.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, visible: Tensor | None) -> Tensor:  # noqa: ANN401
        shape, scale = q.shape, q.shape[-1] ** -0.5
        score_dtype = torch.promote_types(q.dtype, torch.float32)
        bias = q.new_zeros((), dtype=score_dtype)
        if visible is not None:
            bias = bias.masked_fill(~visible, float("-inf"))
        bias = bias.expand(*shape[:3], k.shape[2]).flatten(0, 1)
        q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        with torch.autocast(q.device.type, enabled=False):
            kt = k.to(score_dtype).transpose(1, 2)
            scores = torch.baddbmm(bias, q.to(score_dtype), kt, beta=0 if visible is None else 1, alpha=scale)
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
            grad_v = torch.bmm(p.transpose(1, 2), gradient)
            grad_p = torch.bmm(gradient, v.transpose(1, 2))
            grad_scores = torch.ops.aten._softmax_backward_data(grad_p, p, -1, p.dtype).mul_(ctx.scale)
            grad_q = torch.bmm(grad_scores, k)
            grad_k = torch.bmm(grad_scores.transpose(1, 2), q)
        return grad_q.unflatten(0, heads), grad_k.unflatten(0, heads), grad_v.unflatten(0, heads), None

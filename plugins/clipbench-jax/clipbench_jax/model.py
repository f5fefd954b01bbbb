"""OpenAI's CLIP with a vision transformer, as functions over a dict of arrays (Radford et al. 2021, arXiv:2103.00020).

Products are computed in ``dtype``; norms, softmax and the residual stream in float32, whatever ``dtype`` is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from clipbench.api import ClipConfig
from clipbench_jax.parameters import blocks_of

EPSILON = 1e-5  # of the layer norms
QUICK_GELU_SLOPE = 1.702
HIDDEN = -1e30  # a score that softmax turns into 0

Params = Mapping[str, Array]


@dataclass(frozen=True)
class Compute:
    """How towers are computed: the type of products, and whether backward computes a block's activations again."""

    dtype: np.dtype
    recompute: bool = False


def encode_image(params: Params, pixels: Array, config: ClipConfig, compute: Compute) -> Array:
    """Return features (n, embed_dim) float32, not normalised, of uint8 pixels (n, size, size, 3)."""
    mean, std = (jnp.asarray(values, jnp.float32) for values in (config.mean, config.std))
    x = _patches((pixels.astype(jnp.float32) / 255 - mean) / std, config.patch_size)
    # OpenAI's convolution as one product: patches do not overlap.
    weight = params["visual.conv1.weight"].transpose(0, 2, 3, 1).reshape(config.vision_width, -1)
    x = linear(x, weight, None, compute.dtype).astype(jnp.float32)
    token = jnp.broadcast_to(params["visual.class_embedding"], (len(x), 1, config.vision_width))
    x = jnp.concatenate([token, x], axis=1) + params["visual.positional_embedding"]
    x = norm(x, params, "visual.ln_pre")
    stack, last = blocks_of(params, "visual.")
    pooled = jnp.zeros(len(x), jnp.int32)
    x = _tower(x, stack, last, pooled, config.vision_heads, config.vision_activation, False, compute)
    return _projected(norm(x, params, "visual.ln_post"), params["visual.proj"], compute.dtype)


def encode_text(params: Params, tokens: Array, config: ClipConfig, compute: Compute) -> Array:
    """Return features (n, embed_dim) float32, not normalised, of token ids (n, length), ``length`` up to the context.

    The feature is read at the end token, which has the highest id of a caption. The tower is causal, so whatever
    follows the last end token of the batch may be cut off beforehand without changing anything.
    """
    x = params["token_embedding.weight"][tokens] + params["positional_embedding"][: tokens.shape[1]]
    stack, last = blocks_of(params, "")
    end = tokens.argmax(axis=1)
    x = _tower(x, stack, last, end, config.text_heads, config.text_activation, True, compute)
    return _projected(norm(x, params, "ln_final"), params["text_projection"], compute.dtype)


def _patches(pixels: Array, patch: int) -> Array:
    """Return the pixels of each patch, (n, patches, patch * patch * 3); what fills no patch is cut off."""
    n, size, _, channels = pixels.shape
    grid = size // patch
    cells = pixels[:, : grid * patch, : grid * patch].reshape(n, grid, patch, grid, patch, channels)
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(n, grid * grid, patch * patch * channels)


def _tower(
    x: Array,
    stack: Params,
    last: Params,
    pooled: Array,
    heads: int,
    activation: str,
    causal: bool,
    compute: Compute,
) -> Array:
    """Return the output (n, width) of all blocks at the token ``pooled`` (n,) of every row of ``x`` (n, length, width).

    The blocks of ``stack`` run under one scan, so that they are compiled once. Nothing reads the last block's output
    but at one token, so leaving out its other tokens is exact, gradients included.
    """
    dtype, length = compute.dtype, x.shape[1]
    visible = jnp.tril(jnp.ones((length, length), bool)) if causal else None

    def block(x: Array, params: Params) -> tuple[Array, None]:
        y = attention(*_heads(linear(norm(x, params, "ln_1"), *_of(params, "attn.in_proj_"), dtype), 3, heads), visible)
        x = x + linear(y, *_of(params, "attn.out_proj."), dtype)
        return x + _perceptron(norm(x, params, "ln_2"), params, activation, dtype), None

    if stack:
        # Backward finds what products gave, and computes the cheap rest again: writing it down takes longer.
        kept = None if compute.recompute else jax.checkpoint_policies.dots_saveable
        x, _ = lax.scan(jax.checkpoint(block, policy=kept, prevent_cse=False), x, stack)
    rows = jnp.arange(len(x))
    normed = norm(x, last, "ln_1")
    width = x.shape[2]
    weight, bias = last["attn.in_proj_weight"], last["attn.in_proj_bias"]
    weights, biases = (lax.split(array, (width, 2 * width)) for array in (weight, bias))
    (q,) = _heads(linear(normed[rows, pooled][:, None], weights[0], biases[0], dtype), 1, heads)
    k, v = _heads(linear(normed, weights[1], biases[1], dtype), 2, heads)
    seen = (jnp.arange(length) <= pooled[:, None])[:, None, None] if causal else None
    y = attention(q, k, v, seen)[:, 0]
    x = x[rows, pooled] + linear(y, *_of(last, "attn.out_proj."), dtype)
    return x + _perceptron(norm(x, last, "ln_2"), last, activation, dtype)


def _of(params: Params, prefix: str) -> tuple[Array, Array]:
    return params[f"{prefix}weight"], params[f"{prefix}bias"]


def _heads(x: Array, parts: int, heads: int) -> list[Array]:
    """Return ``parts`` arrays (n, length, heads, d) of (n, length, parts * heads * d)."""
    n, length, width = x.shape
    # Not slices: the gradient of a split is one concatenation instead of padded sums.
    return [part.reshape(n, length, heads, -1) for part in lax.split(x, (width // parts,) * parts, axis=2)]


def attention(q: Array, k: Array, v: Array, visible: Array | None) -> Array:
    """Return softmax(q k' / sqrt(d)) v as (n, queries, width).

    ``q`` is (n, queries, heads, d), ``k`` and ``v`` are (n, tokens, heads, d). ``visible`` is true
    where a query sees a token, and broadcasts to (n, heads, queries, tokens); None means everywhere.
    """
    n, queries, _, d = q.shape
    scores = jnp.einsum("nqhd,nkhd->nhqk", q * d**-0.5, k, preferred_element_type=jnp.float32)
    if visible is not None:
        scores = jnp.where(visible, scores, HIDDEN)
    shares = jax.nn.softmax(scores, axis=-1).astype(v.dtype)
    return jnp.einsum("nhqk,nkhd->nqhd", shares, v).reshape(n, queries, -1)


def _perceptron(x: Array, params: Params, activation: str, dtype: np.dtype) -> Array:
    hidden = ACTIVATIONS[activation](linear(x, *_of(params, "mlp.c_fc."), dtype))
    return linear(hidden, *_of(params, "mlp.c_proj."), dtype)


def linear(x: Array, weight: Array, bias: Array | None, dtype: np.dtype) -> Array:
    """Return ``x`` times the transpose of ``weight`` (out, in), plus ``bias``, computed in ``dtype``."""
    y = lax.dot_general(x.astype(dtype), weight.astype(dtype), (((x.ndim - 1,), (1,)), ((), ())))
    return y if bias is None else y + bias.astype(dtype)


def _projected(x: Array, matrix: Array, dtype: np.dtype) -> Array:
    return (x.astype(dtype) @ matrix.astype(dtype)).astype(jnp.float32)


def norm(x: Array, params: Params, name: str) -> Array:
    """Return the layer norm of the last axis, float32."""
    mean = x.mean(axis=-1, keepdims=True)
    centred = x - mean
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred * lax.rsqrt(variance + EPSILON) * params[f"{name}.weight"] + params[f"{name}.bias"]


def quick_gelu(x: Array) -> Array:
    """Return ``x * sigmoid(1.702 x)``, OpenAI's activation (Hendrycks and Gimpel 2016, arXiv:1606.08415)."""
    return x * jax.nn.sigmoid(QUICK_GELU_SLOPE * x)


ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "quick_gelu": quick_gelu,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
}

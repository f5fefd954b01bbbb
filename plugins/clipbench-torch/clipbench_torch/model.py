"""OpenAI's CLIP with a vision transformer: their parameter names and results, in fewer operations."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from clipbench.api import ClipConfig, ModelSpec, initial_weights
from clipbench_torch.attention import AttentionBackend, always_sdpa, attend
from clipbench_torch.linear import linear

QUICK_GELU_SLOPE = 1.702


class Clip(nn.Module):
    """A vision and a text transformer with one embedding space (Radford et al. 2021, arXiv:2103.00020).

    Parameters have OpenAI's names and are uninitialised: load a checkpoint into them, or call ``initialize``.
    """

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.visual = VisionTower(config)
        self.add_text_tower(config)
        self.text_projection = _parameter(config.text_width, config.embed_dim)
        self.logit_scale = _parameter()

    def add_text_tower(self, config: ClipConfig) -> None:
        """Add what ``encode_text`` needs beside the projection."""
        self.transformer = Transformer(
            config.text_width, config.text_layers, config.text_heads, config.text_activation, causal=True
        )
        self.token_embedding = embedding(config.vocab_size, config.text_width)
        self.positional_embedding = _parameter(config.context_length, config.text_width)
        self.ln_final = nn.LayerNorm(config.text_width)

    def encode_image(self, pixels: Tensor) -> Tensor:
        """Return image features (n, embed_dim), not normalised, of normalised float pixels (n, 3, size, size)."""
        return self.visual(pixels)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Return text features (n, embed_dim), not normalised, of token ids (n, length), ``length`` up to the context.

        The feature is read at the end token, which has the highest id of a caption. The tower is causal, so whatever
        follows the last end token of the batch may be cut off beforehand without changing anything.
        """
        end = tokens.argmax(dim=1)
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        x = self.transformer(x, pooled_at=end)
        return self.ln_final(x) @ self.text_projection

    @staticmethod
    def text_length(tokens: Tensor) -> int:
        """Return the number of columns that ``encode_text`` needs; ``tokens`` are on the host.

        It needs those up to the last end token, which is a caption's highest id.
        """
        return int(tokens.argmax(dim=1).max()) + 1

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Fill every parameter with the weights that ``seed`` stands for in every engine; on the CPU only."""
        parameters = dict(self.named_parameters())
        for name, values in initial_weights(self.config, seed):
            parameters[name].copy_(torch.from_numpy(values))


class VisionTower(nn.Module):
    """A vision transformer whose feature is read at the class token."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width, patch = config.vision_width, config.patch_size
        patches = (config.image_size // patch) ** 2
        # Kept as a convolution for its name and shape; patches do not overlap, so forward takes one matrix product.
        self.conv1 = PatchWeights(3, width, kernel_size=patch, stride=patch, bias=False)
        self.class_embedding = _parameter(width)
        self.positional_embedding = _parameter(patches + 1, width)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(
            width, config.vision_layers, config.vision_heads, config.vision_activation, causal=False
        )
        self.ln_post = nn.LayerNorm(width)
        self.proj = _parameter(width, config.embed_dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return image features (n, embed_dim) of normalised float pixels (n, 3, size, size)."""
        weight = self.conv1.weight
        n, channels, size, _ = pixels.shape
        patch = weight.shape[-1]
        grid = size // patch
        patches = pixels[:, :, : grid * patch, : grid * patch].reshape(n, channels, grid, patch, grid, patch)
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(n, grid * grid, channels * patch * patch)
        x = F.linear(patches, weight.flatten(1))
        # Autocast gives half-precision patches; the stream that the norms read stays in the parameters' precision.
        class_token = self.class_embedding.expand(n, 1, -1)
        x = torch.cat([class_token, x.to(class_token.dtype)], dim=1) + self.positional_embedding
        x = self.transformer(self.ln_pre(x))
        return self.ln_post(x) @ self.proj


class Transformer(nn.Module):
    """Pre-norm residual blocks, the last of which computes one token of each row alone.

    With ``checkpointing`` backward computes a block's activations again instead of finding them in memory: all but the
    last one's, which it would need at once.
    """

    def __init__(self, width: int, layers: int, heads: int, activation: str, *, causal: bool) -> None:
        super().__init__()
        self.causal = causal
        self.checkpointing = False
        self.resblocks = nn.ModuleList(Block(width, heads, activation) for _ in range(layers))

    def forward(self, x: Tensor, pooled_at: Tensor | None = None) -> Tensor:
        """Return the output (n, width) at one token of every row, from tokens (n, length, width).

        ``pooled_at`` (n,) is that token's index, None means the first. Nothing else reads the last block's output, so
        leaving out its other tokens is exact, gradients included.
        """
        *blocks, last = self.resblocks
        for block in blocks:
            if self.checkpointing and torch.is_grad_enabled():
                # Blocks draw no random numbers, so there is no generator's state to restore.
                x = checkpoint(block, x, self.causal, use_reentrant=False, preserve_rng_state=False)
            else:
                x = block(x, self.causal)
        return last.at(x, pooled_at, self.causal)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each on the normalised stream and added back to it."""

    def __init__(self, width: int, heads: int, activation: str) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = Mlp(width, activation)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        """Return the tokens (n, length, width) after this block."""
        x = x + self.attn(self.ln_1(x), causal)
        return x + self.mlp(self.ln_2(x))

    def at(self, x: Tensor, index: Tensor | None, causal: bool) -> Tensor:
        """Return what ``forward`` gives at token ``index`` (n,) of each row, or at the first: (n, width)."""
        normed = self.ln_1(x)
        visible = None
        if causal and index is not None:
            visible = torch.arange(x.shape[1], device=x.device) <= index[:, None]
        x = _rows_at(x, index) + self.attn.at(_rows_at(normed, index), normed, visible)
        return x + self.mlp(self.ln_2(x))


class Attention(nn.Module):
    """Multi-head self-attention; query, key and value come from one product.

    ``backend`` gives the attention backend for a type, as the device has it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = _parameter(3 * width, width)
        self.in_proj_bias = _parameter(3 * width)
        self.out_proj = Linear(width, width)
        self.backend: Callable[[torch.dtype], AttentionBackend] = always_sdpa

    def forward(self, x: Tensor, causal: bool) -> Tensor:
        """Return the outputs (n, length, width) for all tokens ``x`` (n, length, width)."""
        n, length, width = x.shape
        qkv = linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()
        y = attend(self.backend(q.dtype), q, k, v, causal=causal)
        return self.out_proj(y.transpose(1, 2).reshape(n, length, width))

    def at(self, token: Tensor, tokens: Tensor, visible: Tensor | None) -> Tensor:
        """Return the output (n, width) for one query ``token`` (n, width) over ``tokens`` (n, length, width).

        ``visible`` (n, length) is true where the token may look; None means everywhere.
        """
        n, length, width = tokens.shape
        # split, not slices: the gradient of the joint weight is then one concatenation instead of two padded sums.
        q_weight, kv_weight = self.in_proj_weight.split([width, 2 * width])
        q_bias, kv_bias = self.in_proj_bias.split([width, 2 * width])
        q = linear(token, q_weight, q_bias).view(n, self.heads, 1, -1)
        kv = linear(tokens, kv_weight, kv_bias)
        k, v = kv.view(n, length, 2, self.heads, -1).permute(2, 0, 3, 1, 4).unbind()
        mask = None if visible is None else visible[:, None, None, :]
        return self.out_proj(attend(self.backend(q.dtype), q, k, v, visible=mask).reshape(n, width))


class Mlp(nn.Module):
    """Two layers, four times as wide inside."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.activation = activation
        self.c_fc = Linear(width, 4 * width)
        self.c_proj = Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(activate(self.c_fc(x), self.activation))


class Linear(nn.Linear):
    """torch's own, left uninitialised: drawing weights that a file overwrites takes most of the start-up time."""

    def reset_parameters(self) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class PatchWeights(nn.Conv2d):
    """The weights of the patch convolution, left uninitialised like Linear's."""

    def reset_parameters(self) -> None:
        pass


def empty_model(model: ModelSpec, config: ClipConfig) -> Clip:
    """Return what ``model.load`` names, called with ``config``: a module with Clip's members, not initialised."""
    module, _, attribute = model.load.partition(":")
    built: Clip = getattr(import_module(module), attribute)(config)
    return built


class _QuickGelu(torch.autograd.Function):
    """silu(1.702 x) / 1.702, whose derivative is silu's own: one saved tensor, one kernel backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 -- torch's own untyped context
        scaled = x * QUICK_GELU_SLOPE
        ctx.save_for_backward(scaled)
        return F.silu(scaled).mul_(1 / QUICK_GELU_SLOPE)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401
        (scaled,) = ctx.saved_tensors
        return torch.ops.aten.silu_backward(gradient, scaled)


def quick_gelu(x: Tensor) -> Tensor:
    """Return ``x * sigmoid(1.702 x)``, OpenAI's activation (Hendrycks and Gimpel 2016, arXiv:1606.08415)."""
    return _QuickGelu.apply(x)


def activate(x: Tensor, activation: str) -> Tensor:
    """Return the activation of ``x`` that a ClipConfig calls so."""
    if activation == "quick_gelu":
        return quick_gelu(x)
    return F.gelu(x, approximate="tanh" if activation == "gelu_tanh" else "none")


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape))


def embedding(rows: int, width: int) -> nn.Embedding:
    """Return a table of ``rows`` embeddings, uninitialised like Linear."""
    return nn.Embedding(rows, width, _weight=torch.empty(rows, width))


def _rows_at(x: Tensor, index: Tensor | None) -> Tensor:
    return x[:, 0] if index is None else x[torch.arange(len(x), device=x.device), index]

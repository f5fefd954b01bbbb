"""CLIP with a BERT for the texts: transformers' parameter names and results, in fewer operations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from clipbench.api import ClipConfig
from clipbench_torch.attention import AttentionBackend, always_sdpa, attend
from clipbench_torch.model import Clip, Linear, activate, embedding

NORM_EPS = 1e-12


class BertClip(Clip):
    """OpenAI's vision tower beside a BERT (Devlin et al. 2019, arXiv:1810.04805), as the Chinese reference has them."""

    def add_text_tower(self, config: ClipConfig) -> None:
        self.transformer = Bert(config)
        self.ln_final = nn.LayerNorm(config.text_width)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Return text features (n, embed_dim), not normalised, of token ids (n, length), padded with 0 to any length.

        The feature is read by BERT's pooler at the first token. Padding is masked, so it changes nothing.
        """
        return self.ln_final(self.transformer(tokens)) @ self.text_projection

    @staticmethod
    def text_length(tokens: Tensor) -> int:
        """Return the number of columns up to the last that is no padding; ``tokens`` are on the host."""
        return int(tokens.any(dim=0).nonzero().max()) + 1


class Bert(nn.Module):
    """Embeddings, post-norm blocks of which the last computes the first token alone, and the pooler; no dropout.

    With ``checkpointing`` backward computes the activations of all blocks but the last again.
    """

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.checkpointing = False
        self.embeddings = Embeddings(config)
        self.encoder = nn.Module()
        self.encoder.layer = nn.ModuleList(BertBlock(config) for _ in range(config.text_layers))
        self.pooler = nn.Module()
        self.pooler.dense = Linear(config.text_width, config.text_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the pooled outputs (n, width) of token ids (n, length)."""
        columns = torch.arange(tokens.shape[1], device=tokens.device)
        # By the last token: one in the middle may be called [PAD] too.
        visible = columns <= (tokens.ne(0) * columns).amax(dim=1, keepdim=True)
        visible = visible[:, None, None, :]
        x = self.embeddings(tokens)
        *blocks, last = self.encoder.layer
        for block in blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, x, visible, use_reentrant=False, preserve_rng_state=False)
            else:
                x = block(x, x, visible)
        return torch.tanh(self.pooler.dense(last(x[:, :1], x, visible)[:, 0]))


class Embeddings(nn.Module):
    """The sum of a token's, its position's and its segment's embedding, normalised; all are of the first segment."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.text_width
        self.word_embeddings = embedding(config.vocab_size, width)
        self.position_embeddings = embedding(config.text_positions or config.context_length, width)
        self.token_type_embeddings = embedding(2, width)
        self.LayerNorm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        added = self.position_embeddings.weight[: tokens.shape[1]] + self.token_type_embeddings.weight[0]
        return self.LayerNorm(self.word_embeddings(tokens) + added)


class BertBlock(nn.Module):
    """Attention and a two-layer perceptron, each added to the stream, which is then normalised."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        width = config.text_width
        self.activation = config.text_activation
        self.attention = nn.Module()
        self.attention.self = BertAttention(width, config.text_heads)
        self.attention.output = _dense_and_norm(width, width)
        self.intermediate = nn.Module()
        self.intermediate.dense = Linear(width, 4 * width)
        self.output = _dense_and_norm(4 * width, width)

    def forward(self, x: Tensor, tokens: Tensor, visible: Tensor) -> Tensor:
        """Return the outputs (n, queries, width) for ``x``, which are some of the ``tokens`` (n, length, width)."""
        attended = self.attention.output.dense(self.attention.self(x, tokens, visible))
        x = self.attention.output.LayerNorm(x + attended)
        inner = activate(self.intermediate.dense(x), self.activation)
        return self.output.LayerNorm(x + self.output.dense(inner))


class BertAttention(nn.Module):
    """Multi-head attention before its output projection; ``backend`` gives the attention backend for a type."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (Linear(width, width) for _ in range(3))
        self.backend: Callable[[torch.dtype], AttentionBackend] = always_sdpa

    def forward(self, x: Tensor, tokens: Tensor, visible: Tensor) -> Tensor:
        """Return (n, queries, width) for queries ``x`` over ``tokens``, of which ``visible`` are seen."""
        q = self._by_head(self.query(x))
        k, v = self._by_head(self.key(tokens)), self._by_head(self.value(tokens))
        y = attend(self.backend(q.dtype), q, k, v, visible=visible)
        return y.transpose(1, 2).reshape(x.shape)

    def _by_head(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def _dense_and_norm(inputs: int, outputs: int) -> nn.Module:
    module = nn.Module()
    module.dense = Linear(inputs, outputs)
    module.LayerNorm = nn.LayerNorm(outputs, eps=NORM_EPS)
    return module

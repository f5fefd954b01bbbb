"""Floating-point operations that a CLIP model takes, from its sizes: what MFU is counted with.

Matrix products alone, a multiplication and an addition each (2 m n k for (m, k) @ (k, n)): norms, activations, the
softmax, the token table and the optimiser are left out, as is usual (Chowdhery et al. 2022, arXiv:2204.02311, app. B).
Attention counts every query against every key, causal or not. Of the last block only what the pooled token needs is
counted, and of a caption only its tokens up to the longest of its batch: what need not be computed is no work done.
Nothing is counted twice: what checkpointing or cached features compute again makes a run slower and not its work more.
"""

from __future__ import annotations

from clipbench.clip.config import ClipConfig


def image_flops(config: ClipConfig) -> int:
    """Operations that the features of one image take."""
    tokens = (config.image_size // config.patch_size) ** 2 + 1
    tower = _tower_flops(tokens, config.vision_width, config.vision_layers)
    return _patch_flops(config) + tower + 2 * config.vision_width * config.embed_dim


def text_flops(config: ClipConfig, length: int) -> int:
    """Operations that the features of one caption take, in a batch whose longest has ``length`` tokens."""
    return _tower_flops(length, config.text_width, config.text_layers) + 2 * config.text_width * config.embed_dim


def training_flops(config: ClipConfig, pairs: int, length: int, rivals: int, products: int = 1) -> int:
    """Operations that forward and backward pass of ``pairs`` pairs take, captions as in ``text_flops``.

    The loss holds them against ``rivals`` pairs by ``products`` of features: one where both directions read the same
    scores, two where each direction has rows of its own. Backward takes each product twice, for the gradients of its
    two factors; but pixels need no gradient, so that of the patches once.
    """
    logits = products * 2 * pairs * rivals * config.embed_dim
    per_pair = 3 * (image_flops(config) + text_flops(config, length)) - _patch_flops(config)
    return pairs * per_pair + 3 * logits


def _patch_flops(config: ClipConfig) -> int:
    patches = (config.image_size // config.patch_size) ** 2
    return 2 * patches * 3 * config.patch_size**2 * config.vision_width


def _tower_flops(tokens: int, width: int, layers: int) -> int:
    """All blocks but the last in full; the last with one query, and keys and values of all tokens."""
    projections = 2 * tokens * 4 * width**2
    attention = 2 * 2 * tokens**2 * width
    perceptron = 2 * 2 * tokens * 4 * width**2
    last = 2 * 2 * tokens * width**2 + 2 * 2 * width**2 + 2 * 2 * tokens * width + 2 * 2 * 4 * width**2
    return (layers - 1) * (projections + attention + perceptron) + last

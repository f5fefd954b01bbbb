"""Floating-point operations of a CLIP model, from its sizes: the numerator of MFU.

Only matrix products count, a multiplication and an addition each (2 m n k for (m, k) @ (k, n)). Norms, activations, the
softmax, the token table and the optimiser do not, as is usual (Chowdhery et al. 2022, arXiv:2204.02311, app. B).
Attention counts every query against every key, causal or not. Of the last block only what the pooled token needs
counts, and of a caption only its tokens up to the longest of its batch: the rest need not be computed. What activation
checkpointing or cached features compute a second time does not count.
"""

from clipbench.clip.config import ClipConfig


def image_flops(config: ClipConfig) -> int:
    """Return the operations for the features of one image."""
    tokens = (config.image_size // config.patch_size) ** 2 + 1
    tower = _tower_flops(tokens, config.vision_width, config.vision_layers)
    return _patch_flops(config) + tower + 2 * config.vision_width * config.embed_dim


def text_flops(config: ClipConfig, length: int) -> int:
    """Return the operations for the features of one caption, in a batch whose longest has ``length`` tokens."""
    # BERT's pooler is one more product of its width; of its last block too, the pooled token is needed alone.
    pooler = 2 * config.text_width**2 if config.text_tower == "bert" else 0
    tower = _tower_flops(length, config.text_width, config.text_layers)
    return tower + pooler + 2 * config.text_width * config.embed_dim


def training_flops(config: ClipConfig, pairs: int, length: int, negatives: int, products: int = 1) -> int:
    """Return the operations of forward and backward pass of ``pairs`` pairs, captions as in ``text_flops``.

    The loss compares them with ``negatives`` pairs, themselves included, in ``products`` products of features: one if
    both directions read the same scores, two if each direction has its own. Backward takes each product twice, for
    the gradients of its two factors, but that of the patches once, because pixels need no gradient.
    """
    logits = products * 2 * pairs * negatives * config.embed_dim
    per_pair = 3 * (image_flops(config) + text_flops(config, length)) - _patch_flops(config)
    return pairs * per_pair + 3 * logits


def _patch_flops(config: ClipConfig) -> int:
    patches = (config.image_size // config.patch_size) ** 2
    return 2 * patches * 3 * config.patch_size**2 * config.vision_width


def _tower_flops(tokens: int, width: int, layers: int) -> int:
    """Return the operations of all blocks; of the last for one query, and keys and values of all tokens."""
    projections = 2 * tokens * 4 * width**2
    attention = 2 * 2 * tokens**2 * width
    perceptron = 2 * 2 * tokens * 4 * width**2
    last = 2 * 2 * tokens * width**2 + 2 * 2 * width**2 + 2 * 2 * tokens * width + 2 * 2 * 4 * width**2
    return (layers - 1) * (projections + attention + perceptron) + last

"""The contrastive loss, over the pairs of one rank or of all ranks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from clipbench.api import LossConfig

RANKS = "ranks"  # the axis of the mesh that has one device for each rank


def contrastive_loss(
    images: Array, texts: Array, logit_scale: Array, config: LossConfig, dtype: np.dtype, ranks: int
) -> Array:
    """Return the cross-entropy of image to text and of text to image, float32 (Radford et al. 2021, figure 3).

    ``images`` and ``texts`` are this rank's features (n, d), not normalised; row i of each belongs to the same pair.
    Logits are exp(``logit_scale``) times the cosine, a product in ``dtype``. With ``negatives`` other than local, every
    rank takes its own rows against the pairs of all ranks; the mean over ranks is then the loss of the whole batch, and
    the mean of the ranks' gradients is the gradient of that loss.
    """
    images, texts = _normalised(images), _normalised(texts)
    scale = jnp.exp(logit_scale)
    if config.negatives == "local" or ranks == 1:
        image_to_text = _product(scale * images, texts, dtype)
        loss = _cross_entropy(image_to_text, 0) + _cross_entropy(image_to_text.T, 0)
    else:
        first = lax.axis_index(RANKS) * len(images)
        all_images, all_texts = (lax.all_gather(rows, RANKS, tiled=True) for rows in (images, texts))
        loss = _cross_entropy(_product(scale * images, all_texts, dtype), first)
        loss += _cross_entropy(_product(scale * texts, all_images, dtype), first)
    return loss / 2 if config.reduction == "mean" else loss


def _normalised(features: Array) -> Array:
    return features / jnp.linalg.norm(features, axis=-1, keepdims=True)


def _product(rows: Array, columns: Array, dtype: np.dtype) -> Array:
    return (rows.astype(dtype) @ columns.astype(dtype).T).astype(jnp.float32)


def _cross_entropy(logits: Array, first: Array | int) -> Array:
    """Return the mean cross-entropy of rows whose right answers are the columns from ``first`` on."""
    rows = jnp.arange(len(logits))
    return -jax.nn.log_softmax(logits, axis=1)[rows, rows + first].mean()

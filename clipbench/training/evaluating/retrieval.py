"""Retrieval ranks and the validation loss.

A query's rank counts the negatives that score at least as high as the right answer, from 0: a tie counts against the
model, so that one which gives everything the same score has a recall of 0. "Text" is image -> text, "image" is
text -> image, as published.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from clipbench.api import EvaluatedSplit, Measurement
from clipbench.errors import CaseFailedError, UsageError
from clipbench.results.measures.recall import recall_metrics

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Reduction = Literal["sum", "mean"]


class Retrieval:
    """The evaluation ``retrieval``: every picture and every caption is a query."""

    def texts(self, split: EvaluatedSplit) -> Sequence[str]:
        """Return the captions; raise UsageError where there are none."""
        if not split.captions:
            raise UsageError(
                f"eval.evaluations: retrieval needs captions, and dataset '{split.dataset}' has none; "
                "take another evaluation, or another dataset"
            )
        return split.captions

    def measure(self, split: EvaluatedSplit, images: Floats, texts: Floats) -> Measurement:
        """Return the recalls in percent, and the rank of every query."""
        text_ranks, image_ranks = ranks_from_features(images, texts, split.image_of_text)
        ranks = {"text": text_ranks, "image": image_ranks, "image_of_text": split.image_of_text}
        per_query = {name: values.tolist() for name, values in ranks.items()}
        return Measurement(recall_metrics(text_ranks, image_ranks), per_query)


def ranks_from_features(
    image_features: Floats, text_features: Floats, image_of_text: npt.ArrayLike, block: int = 256
) -> tuple[Ints, Ints]:
    """Return (text_ranks, image_ranks) from the cosines of features, without holding all the scores.

    Features are (images, d) and (texts, d), of any length; cosines are taken in float32. ``image_of_text`` (texts,) is
    the image that each caption belongs to.
    text_ranks (images,): other images' captions that score at least as high as the best of an image's own.
    image_ranks (texts,): other images that score at least as high as a caption's own.
    ``block`` images (then texts) are compared with everything at a time: about ``5 * block * texts`` bytes.
    Raises CaseFailedError when features are not finite or zero, naming the side, or when an image has no caption.
    """
    owner = _checked_owner(image_of_text, len(image_features), len(text_features))
    images = normalised(image_features, "image", np.float32)
    texts = normalised(text_features, "text", np.float32)
    text_ranks = np.empty(len(images), dtype=np.int64)
    for rows in _blocks(len(images), block):
        text_ranks[rows] = _text_ranks(images[rows] @ texts.T, owner, first_image=rows.start)
    return text_ranks, ranks_of_own(texts, images, owner, block)


def ranks_of_own(queries: Floats, candidates: Floats, own: Ints, block: int = 256) -> Ints:
    """Return, for each query, how many other candidates score at least as high as its own: ``candidates[own[i]]``.

    Rows are of unit length. ``block`` queries are compared with everything at a time.
    """
    ranks = np.empty(len(queries), dtype=np.int64)
    # Every comparison stays within one product: the same cosine from another product may differ in its last bit.
    for rows in _blocks(len(queries), block):
        scores = queries[rows] @ candidates.T
        right = scores[np.arange(len(scores)), own[rows]]
        ranks[rows] = np.count_nonzero(scores >= right[:, None], axis=1) - 1
    return ranks


def contrastive_loss(image_features: Floats, text_features: Floats, logit_scale: float, reduction: Reduction) -> float:
    """Return CLIP's loss of one batch of pairs, row i of images with row i of texts, in float64.

    Cross-entropy over image -> text and over text -> image, logits = exp(``logit_scale``) x cosine; ``reduction`` is of
    these two. Raises CaseFailedError when features are not finite or zero.
    """
    images = normalised(image_features, "image", np.float64)
    texts = normalised(text_features, "text", np.float64)
    logits = np.exp(logit_scale) * (images @ texts.T)
    both = _cross_entropy(logits) + _cross_entropy(logits.T)
    return both if reduction == "sum" else both / 2


def validation_loss(
    image_features: Floats, text_features: Floats, logit_scale: float, *, batch_size: int, reduction: Reduction
) -> float | None:
    """Return the mean loss over consecutive batches of pairs, the remainder dropped; None with less than one batch.

    The loss depends on the batch size, so it is taken over batches of the training size. Arguments and errors are those
    of ``contrastive_loss``.
    """
    count = len(image_features) // batch_size
    if count == 0:
        return None
    rows = [slice(k * batch_size, (k + 1) * batch_size) for k in range(count)]
    losses = [contrastive_loss(image_features[r], text_features[r], logit_scale, reduction) for r in rows]
    return sum(losses) / count


def _text_ranks(scores: Floats, owner: Ints, first_image: int) -> Ints:
    """Ranks of the images that the rows of ``scores`` stand for, from ``first_image`` on."""
    columns = np.flatnonzero((owner >= first_image) & (owner < first_image + len(scores)))
    rows = owner[columns] - first_image
    own = scores[rows, columns]
    best = np.full(len(scores), -np.inf, dtype=scores.dtype)
    np.maximum.at(best, rows, own)
    own_at_best = np.bincount(rows[own >= best[rows]], minlength=len(scores))
    all_at_best: Ints = np.count_nonzero(scores >= best[:, None], axis=1)
    return all_at_best - own_at_best


def _checked_owner(image_of_text: npt.ArrayLike, images: int, texts: int) -> Ints:
    owner = np.asarray(image_of_text, dtype=np.int64)
    if owner.shape != (texts,) or (texts and not 0 <= owner.min() <= owner.max() < images):
        raise CaseFailedError(f"captions: expected the image, 0 to {images - 1}, of each of {texts} captions")
    without = np.flatnonzero(np.bincount(owner, minlength=images) == 0)
    if len(without):
        raise CaseFailedError(
            f"captions: {len(without)} of {images} images have none (the first is image {without[0]}); "
            "retrieval needs at least one for each"
        )
    return owner


def normalised(features: Floats, side: str, dtype: type[np.floating[Any]]) -> Floats:
    """Return rows of unit length in ``dtype``; raise CaseFailedError, naming the ``side``, for those that have none."""
    broken = int(np.count_nonzero(~np.isfinite(features).all(axis=1)))
    if broken:
        raise CaseFailedError(f"{side} features: {broken} of {len(features)} are not finite; the model has diverged")
    # Squares in float64 cannot overflow, and these two calls cast as they go: no second copy of the features is made.
    norms = np.sqrt(np.einsum("ij,ij->i", features, features, dtype=np.float64))
    zero = int(np.count_nonzero(norms == 0))
    if zero:
        raise CaseFailedError(f"{side} features: {zero} of {len(features)} are all zero and have no direction")
    unit: Floats = np.empty(features.shape, dtype=dtype)
    np.divide(features, norms[:, None], out=unit, casting="same_kind")
    return unit


def _blocks(count: int, block: int) -> Iterator[slice]:
    return (slice(start, min(start + block, count)) for start in range(0, count, block))


def _cross_entropy(logits: Floats) -> float:
    """Mean cross-entropy of the rows, whose right answers lie on the diagonal."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(shifted).sum(axis=1)) - np.diagonal(shifted)))

"""Retrieval evaluation: every validation image and caption encoded, every query ranked."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from clipbench.api import Case, Learner, QueryRanks
from clipbench.errors import CaseFailedError
from clipbench.results.recall import recall_metrics
from clipbench.training.batches import CaptionTokens, EvalFetch, worker_count
from clipbench.training.hardware import Hardware
from clipbench.training.image_cache import ImageCache
from clipbench.training.retrieval import ranks_from_features, validation_loss
from clipbench.training.sampling import Stream, draw_caption

# Features cross from rank to rank in pieces of so many bytes: a rank that ranks nothing never holds more.
GATHER_BYTES = 8 << 20
# Length of the difference between unit vectors that rounding alone can make.
COLLAPSED = 1e-5


@dataclass(frozen=True)
class Evaluation:
    """Recalls in percent, the loss (None with ``loss_reason``), the ``seconds`` taken, and the rank of every query.

    ``images`` and ``texts`` are the features that it is of, not normalised: (images, d), (captions, d).
    """

    recall: dict[str, float]
    loss: float | None
    loss_reason: str | None
    seconds: float
    query_ranks: QueryRanks
    images: np.ndarray = field(repr=False, compare=False)
    texts: np.ndarray = field(repr=False, compare=False)


@dataclass
class Evaluator:
    """Evaluates a learner on one split, always in the same order and with the same drawn captions.

    Ranks share the batches, and the first one ranks the queries. A batch is the same whichever rank encodes it, so that
    one process and many give the same features. ``tell`` is called after each batch with how many images or texts
    this rank has encoded, of how many; it may raise to stop.
    """

    hardware: Hardware
    fetch: EvalFetch
    captions: CaptionTokens
    case: Case
    cache: ImageCache
    tell: Callable[[Literal["images", "texts"], int, int], None] = lambda _stage, _done, _total: None

    def __call__(self, learner: Learner, epoch: int) -> Evaluation | None:
        """Return the evaluation after ``epoch`` on the first rank, and None on the others, which encode their share."""
        started = time.perf_counter()
        own = slice(self.hardware.world.rank, None, self.hardware.world.size)
        batches = _batches(np.arange(len(self.fetch.split)), self.case.eval.image_batch)
        images = self._encode(learner, "images", self._pixels(batches[own]), batches)
        tokens = self.captions.tokens
        # Captions of like length share a batch: a batch is as long as its longest.
        order = np.argsort((tokens != 0).sum(axis=1), kind="stable")
        batches = _batches(order, self.case.eval.text_batch)
        texts = self._encode(learner, "texts", (tokens[batch] for batch in batches[own]), batches)
        if images is None or texts is None:
            return None
        check_not_collapsed("image", images)
        check_not_collapsed("caption", texts)
        image_of_text = self.captions.image_of_text
        text_ranks, image_ranks = ranks_from_features(images, texts, image_of_text)
        loss, reason = self._loss(images, texts, learner.logit_scale())
        recall = recall_metrics(text_ranks, image_ranks)
        seconds = time.perf_counter() - started
        query_ranks = QueryRanks(epoch, text_ranks.tolist(), image_ranks.tolist(), image_of_text.tolist())
        return Evaluation(recall, loss, reason, seconds, query_ranks, images, texts)

    def _encode(
        self, learner: Learner, what: Literal["images", "texts"], own: Iterable[Any], batches: Sequence[np.ndarray]
    ) -> np.ndarray | None:
        """Encode this rank's ``own`` share of ``batches``; return all ranks' features on the first rank, else None."""
        encode = learner.encode_images if what == "images" else learner.encode_texts
        world, features, done = self.hardware.world, [], 0
        sizes = [len(batch) for batch in batches[world.rank :: world.size]]
        self.tell(what, 0, sum(sizes))
        for batch, size in zip(own, sizes, strict=True):
            features.append(encode(batch))
            done += size
            self.tell(what, done, sum(sizes))
        return self._gather(learner.gather(features) if features else None, batches)

    def _pixels(self, batches: Sequence[np.ndarray]) -> Iterator[Any]:
        """Yield the pixels of this rank's batches: transformed once, then from the cache if all of them fit into it."""
        if self.cache.complete:
            yield from self.cache.batches()
            return
        loader = self.hardware.engine.loader(self.fetch, worker_count(self.case.train.workers), self.hardware.device)
        try:
            for (pixels,) in loader.batches([batch.tolist() for batch in batches]):
                self.cache.add(np.asarray(pixels))
                yield pixels
            self.cache.finish()
        finally:
            loader.close()

    def _gather(self, own: np.ndarray | None, batches: Sequence[np.ndarray]) -> np.ndarray | None:
        """Return the features of all ranks' batches in the order of their indices on the first rank, else None."""
        world, group = self.hardware.world, self.hardware.group
        shares = [batches[rank :: world.size] for rank in range(world.size)]
        indices = [np.concatenate([np.empty(0, np.int64), *share]) for share in shares]
        widths = group.all_gather(np.array([0 if own is None else own.shape[1]]))
        width = int(max(array[0] for array in widths))
        if own is None:  # fewer batches than ranks
            own = np.empty((0, width), np.float32)
        gathered = np.empty((sum(map(len, indices)), width), np.float32) if world.rank == 0 else None
        piece = max(1, GATHER_BYTES // (4 * width))
        for start in range(0, max(map(len, indices)), piece):
            pieces = group.all_gather(own[start : start + piece])
            if gathered is not None:
                for rank_indices, rank_rows in zip(indices, pieces, strict=True):
                    gathered[rank_indices[start : start + piece]] = rank_rows
        return gathered

    def _loss(self, images: np.ndarray, texts: np.ndarray, logit_scale: float) -> tuple[float | None, str | None]:
        seed, captions, ranks = self.case.seed, self.captions, 1
        if self.case.eval.loss_pairs == "rank":  # the first one's share, whichever rank has encoded it
            ranks = self.case.world_size
        pairs, batch = range(0, len(images), ranks), self.case.train.batch_size // ranks
        # Drawn with the same key at every evaluation, so that the losses of two epochs are of the same pairs.
        drawn = [
            captions.offsets[index] + draw_caption(seed, 0, index, captions.count(index), Stream.VALIDATION_CAPTION)
            for index in pairs
        ]
        reduction = self.case.train.loss.reduction
        loss = validation_loss(images[::ranks], texts[drawn], logit_scale, batch_size=batch, reduction=reduction)
        return loss, f"{len(pairs)} validation images are fewer than one batch of {batch}" if loss is None else None


def check_not_collapsed(kind: str, features: np.ndarray) -> None:
    """Raise CaseFailedError where all features (n, d) are equal up to rounding: every query would be a tie."""
    blocks = (features[start : start + 4096].astype(np.float64) for start in range(0, len(features), 4096))
    tiny = np.finfo(np.float64).tiny
    first: np.ndarray | None = None
    for block in blocks:
        unit = block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), tiny)
        first = unit[0] if first is None else first
        if not np.abs(unit - first).max() < COLLAPSED:  # NaN is not less
            return
    if len(features) > 1:
        raise CaseFailedError(
            f"the model has collapsed: all {len(features)} {kind}s have the same feature, "
            "so every query is a tie and recall has no meaning"
        )


def _batches(indices: np.ndarray, size: int) -> list[np.ndarray]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]

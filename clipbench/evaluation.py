"""Retrieval evaluation: every validation image and caption encoded, every query ranked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from clipbench.pairs import CaptionTokens, EvalFetch
from clipbench.retrieval import ranks_from_features, recall_metrics, validation_loss
from clipbench.sampling import Stream, draw_caption

if TYPE_CHECKING:
    from clipbench.api import Batch, Engine, Learner

# Transformed images are the same at every evaluation; up to this many bytes they are kept.
KEEP_BYTES = 512 << 20


@dataclass(frozen=True)
class Evaluation:
    """Recalls in percent, the loss (None with ``loss_reason``), and the rank (from 0) of every query."""

    recall: dict[str, float]
    loss: float | None
    loss_reason: str | None
    text_ranks: np.ndarray
    image_ranks: np.ndarray


@dataclass
class Evaluator:
    """Evaluates a learner on one split, always in the same order and with the same drawn captions."""

    engine: Engine
    fetch: EvalFetch
    captions: CaptionTokens
    image_batch: int
    text_batch: int
    loss_batch: int
    reduction: Literal["sum", "mean"]
    seed: int
    workers: int
    _kept: list[Batch] = field(default_factory=list)

    def __call__(self, learner: Learner) -> Evaluation:
        images = self._encode_images(learner)
        texts = self._encode_texts(learner)
        image_of_text = self.captions.image_of_text
        text_ranks, image_ranks = ranks_from_features(images, texts, image_of_text)
        loss, reason = self._loss(images, texts, learner.logit_scale())
        return Evaluation(recall_metrics(text_ranks, image_ranks), loss, reason, text_ranks, image_ranks)

    def _encode_images(self, learner: Learner) -> np.ndarray:
        if self._kept:
            return learner.gather([learner.encode_images(batch[0]) for batch in self._kept])
        count = len(self.fetch.split)
        keys = [list(range(start, min(start + self.image_batch, count))) for start in range(0, count, self.image_batch)]
        keep = count * self.fetch.size**2 * 3 <= KEEP_BYTES
        loader = self.engine.loader(self.fetch, self.workers)
        features: list[Any] = []
        kept: list[Batch] = []
        try:
            for batch in loader.batches(keys):
                features.append(learner.encode_images(batch[0]))
                if keep:
                    kept.append(batch)
        finally:
            loader.close()
        self._kept = kept
        return learner.gather(features)

    def _encode_texts(self, learner: Learner) -> np.ndarray:
        tokens = self.captions.tokens
        # Captions of like length share a batch: a batch is as long as its longest.
        order = np.argsort((tokens != 0).sum(axis=1), kind="stable")
        features = [
            learner.encode_texts(tokens[order[start : start + self.text_batch]])
            for start in range(0, len(order), self.text_batch)
        ]
        sorted_features = learner.gather(features)
        gathered = np.empty_like(sorted_features)
        gathered[order] = sorted_features
        return gathered

    def _loss(self, images: np.ndarray, texts: np.ndarray, logit_scale: float) -> tuple[float | None, str | None]:
        # Drawn with the same key at every evaluation, so that the losses of two epochs are of the same pairs.
        drawn = [
            self.captions.offsets[index]
            + draw_caption(self.seed, 0, index, self.captions.count(index), Stream.VALIDATION_CAPTION)
            for index in range(len(images))
        ]
        loss = validation_loss(images, texts[drawn], logit_scale, batch_size=self.loss_batch, reduction=self.reduction)
        if loss is None:
            return None, f"{len(images)} validation images are fewer than one batch of {self.loss_batch}"
        return loss, None

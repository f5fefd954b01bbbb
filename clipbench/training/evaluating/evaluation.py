"""Evaluation: validation images and texts encoded once, their features judged by each evaluation of the suite."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from clipbench.api import Case, EvaluatedSplit, EvaluationSpec, Learner, Measurement, Metric, PerQuery, QueryRanks
from clipbench.api.protocols import Evaluation
from clipbench.api.registry import Registry
from clipbench.errors import CaseFailedError, PluginError, UsageError
from clipbench.results.measures.metrics import ACCURACY_NAMES, RECALL_NAMES, UNITS_AND_DIRECTIONS, metric
from clipbench.training.batches import CaptionTokens, EvalFetch, worker_count
from clipbench.training.evaluating.encoding import FeatureEncoder, Tell
from clipbench.training.evaluating.image_cache import ImageCache
from clipbench.training.evaluating.retrieval import validation_loss
from clipbench.training.hardware import Hardware
from clipbench.training.sampling import Stream, draw_caption

# Length of the difference between unit vectors that rounding alone can make.
COLLAPSED = 1e-5


RETRIEVAL = "retrieval"


@dataclass(frozen=True)
class Asked:
    """One evaluation that a suite asks for; ``tokens`` of its texts, int32 (texts, context), None for the captions."""

    spec: EvaluationSpec
    evaluation: Evaluation
    tokens: np.ndarray | None


@dataclass(frozen=True)
class Evaluated:
    """What an epoch's evaluations came to: the loss (None with ``loss_reason``), and the ``seconds`` taken.

    Of retrieval: recalls in percent and the rank of every query, None where it was not asked for. Of the others: their
    metrics by name, and what they keep for each query. ``images`` and ``captions`` are the features that they are of,
    not normalised: (images, d), (captions, d).
    """

    recall: Mapping[str, float] | None
    loss: float | None
    loss_reason: str | None
    seconds: float
    query_ranks: QueryRanks | None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    per_query: PerQuery | None = None
    images: np.ndarray | None = field(default=None, repr=False, compare=False)
    captions: np.ndarray | None = field(default=None, repr=False, compare=False)


@dataclass
class Evaluator:
    """Evaluates a learner on one split, always in the same order and with the same drawn captions.

    Ranks share the encoding, and the first one judges the features.
    """

    hardware: Hardware
    fetch: EvalFetch
    captions: CaptionTokens
    split: EvaluatedSplit
    asked: Sequence[Asked]
    case: Case
    cache: ImageCache
    tell: Tell = lambda _stage, _done, _total: None

    def __call__(self, learner: Learner, epoch: int) -> Evaluated | None:
        """Return the evaluation after ``epoch`` on the first rank, and None on the others, which encode their share."""
        started = time.perf_counter()
        encoder = FeatureEncoder(self.hardware, self.case.eval, self.tell)
        images = encoder.images(learner, len(self.fetch.split), self._pixels)
        captions = encoder.texts(learner, self.captions.tokens) if len(self.captions.tokens) else None
        texts = [captions if one.tokens is None else encoder.texts(learner, one.tokens) for one in self.asked]
        if images is None:
            return None
        check_not_collapsed("image", images)
        found: dict[EvaluationSpec, Measurement] = {}
        for one, features in zip(self.asked, texts, strict=True):
            assert features is not None  # an evaluation without texts was refused
            check_not_collapsed("caption" if one.tokens is None else "text", features)
            found[one.spec] = one.evaluation.measure(self.split, images, features)
        loss, reason = self._loss(images, captions, learner.logit_scale())
        found_by_all = evaluated(epoch, found, loss, reason, time.perf_counter() - started)
        return replace(found_by_all, images=images, captions=captions)

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

    def _loss(
        self, images: np.ndarray, texts: np.ndarray | None, logit_scale: float
    ) -> tuple[float | None, str | None]:
        if texts is None:
            return None, "the evaluated split has no captions"
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


def ask(
    registry: Registry, names: Sequence[str], split: EvaluatedSplit, encode: Callable[[Sequence[str]], np.ndarray]
) -> tuple[Asked, ...]:
    """Return the evaluations called ``names``, their texts made into tokens by ``encode``.

    Raises UsageError where ``split`` lacks what one of them needs, and for a metric that another has too.
    """
    asked: list[Asked] = []
    owner = dict.fromkeys(UNITS_AND_DIRECTIONS.keys() - {*RECALL_NAMES, *ACCURACY_NAMES}, "clipbench itself")
    for name in names:
        evaluation, spec = registry.open_evaluation(name), registry.evaluations.get(name, "eval.evaluations")
        for own in spec.metrics:
            if own in owner:
                raise UsageError(f"eval.evaluations: the metric '{own}' of {name} is also one of {owner[own]}")
            owner[own] = name
        texts = evaluation.texts(split)
        if not texts:
            raise PluginError(f"evaluation '{name}': texts() returned none; expected one or more")
        asked.append(Asked(spec, evaluation, None if texts == split.captions else encode(texts)))
    return tuple(asked)


def evaluated(
    epoch: int, found: Mapping[EvaluationSpec, Measurement], loss: float | None, reason: str | None, seconds: float
) -> Evaluated:
    """Return what the evaluations ``found`` as an epoch's record and a result have it."""
    recall, ranks, metrics, per_query = None, None, dict[str, Metric](), dict[str, Mapping[str, Sequence[int]]]()
    for spec, one in found.items():
        if spec.name == RETRIEVAL:
            recall = {name: value for name, value in one.metrics.items() if value is not None}
            ranks = QueryRanks(epoch, **one.per_query)
            continue
        metrics |= metrics_of(spec, one)
        if one.per_query:
            per_query[spec.name] = one.per_query
    kept = PerQuery(epoch, per_query) if per_query else None
    return Evaluated(recall, loss, reason, seconds, ranks, metrics, kept)


def metrics_of(spec: EvaluationSpec, found: Measurement) -> dict[str, Metric]:
    """Return the metrics of an evaluation by name; raise PluginError for others than its spec promises."""
    if found.metrics.keys() != spec.metrics.keys():
        raise PluginError(
            f"evaluation '{spec.name}': measure() returned the metrics {', '.join(found.metrics)}; "
            f"its spec has {', '.join(spec.metrics)}"
        )
    return {
        name: metric(name, found.metrics[name], found.reasons.get(name), kind) for name, kind in spec.metrics.items()
    }


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

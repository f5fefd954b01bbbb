"""Evaluation: validation images and texts encoded once, their features judged by each evaluation of the suite."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from clipbench.api import Case, EvaluatedSplit, EvaluationSpec, Learner, Measurement, Metric, PerQuery, QueryRanks
from clipbench.api.protocols import Evaluation
from clipbench.api.registry import Registry
from clipbench.errors import CaseFailedError, PluginError, UsageError
from clipbench.results.metrics import ACCURACY_NAMES, RECALL_NAMES, UNITS_AND_DIRECTIONS, metric
from clipbench.training.batches import CaptionTokens, EvalFetch, worker_count
from clipbench.training.hardware import Hardware
from clipbench.training.image_cache import ImageCache
from clipbench.training.retrieval import validation_loss
from clipbench.training.sampling import Stream, draw_caption

# Features cross from rank to rank in pieces of so many bytes: a rank that ranks nothing never holds more.
GATHER_BYTES = 8 << 20
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
    metrics by name, and what they keep for each query.
    """

    recall: Mapping[str, float] | None
    loss: float | None
    loss_reason: str | None
    seconds: float
    query_ranks: QueryRanks | None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    per_query: PerQuery | None = None


@dataclass
class Evaluator:
    """Evaluates a learner on one split, always in the same order and with the same drawn captions.

    Ranks share the batches, and the first one judges the features. A batch is the same whichever rank encodes it, so
    that one process and many give the same features. ``tell`` is called after each batch with how many images or texts
    this rank has encoded, of how many; it may raise to stop.
    """

    hardware: Hardware
    fetch: EvalFetch
    captions: CaptionTokens
    split: EvaluatedSplit
    asked: Sequence[Asked]
    case: Case
    cache: ImageCache
    tell: Callable[[Literal["images", "texts"], int, int], None] = lambda _stage, _done, _total: None

    def __call__(self, learner: Learner, epoch: int) -> Evaluated | None:
        """Return the evaluation after ``epoch`` on the first rank, and None on the others, which encode their share."""
        started = time.perf_counter()
        batches = _batches(np.arange(len(self.fetch.split)), self.case.eval.image_batch)
        images = self._encode(learner, "images", self._pixels(batches[self._own]), batches)
        captions = self._texts(learner, self.captions.tokens) if len(self.captions.tokens) else None
        texts = [captions if one.tokens is None else self._texts(learner, one.tokens) for one in self.asked]
        if images is None:
            return None
        check_not_collapsed("image", images)
        found: dict[EvaluationSpec, Measurement] = {}
        for one, features in zip(self.asked, texts, strict=True):
            assert features is not None  # an evaluation without texts was refused
            check_not_collapsed("caption" if one.tokens is None else "text", features)
            found[one.spec] = one.evaluation.measure(self.split, images, features)
        loss, reason = self._loss(images, captions, learner.logit_scale())
        return evaluated(epoch, found, loss, reason, time.perf_counter() - started)

    @property
    def _own(self) -> slice:
        return slice(self.hardware.world.rank, None, self.hardware.world.size)

    def _texts(self, learner: Learner, tokens: np.ndarray) -> np.ndarray | None:
        """Encode this rank's share of texts; return the features of all on the first rank, else None."""
        # Texts of like length share a batch: a batch is as long as its longest.
        order = np.argsort((tokens != 0).sum(axis=1), kind="stable")
        batches = _batches(order, self.case.eval.text_batch)
        return self._encode(learner, "texts", (tokens[batch] for batch in batches[self._own]), batches)

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


def _batches(indices: np.ndarray, size: int) -> list[np.ndarray]:
    return [indices[start : start + size] for start in range(0, len(indices), size)]

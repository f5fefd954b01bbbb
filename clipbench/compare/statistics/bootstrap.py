"""Sampling error of recalls and accuracies, by the bootstrap: images are drawn with replacement, with their captions.

Pure and seeded: the same ranks give the same answer every time.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from clipbench.api.result import QueryRanks
from clipbench.results.measures.metrics import ACCURACY_NAMES, FEW_CLASSES, RECALL_AT, RECALL_NAMES

Floats = npt.NDArray[np.floating[Any]]
Counts = npt.NDArray[np.uint8]

RESAMPLES = 10_000
SEED = 20_230_517
BLOCK = 1_000
# Multiplications up to which BLAS keeps to one thread: several, on a machine with other work, take ten times as long.
SMALL_PRODUCT = 500_000


def _recalls(sums: Floats) -> Floats:
    """Return (n, 9) recalls in percent from (n, 8) sums over images, in the order of ``RECALL_NAMES``."""
    sides = [100 * sums[:, first : first + 3] / np.maximum(sums[:, first + 3, None], 1) for first in (0, 4)]
    means = [side.mean(axis=1, keepdims=True) for side in sides]
    columns = [sides[0], means[0], sides[1], means[1], (means[0] + means[1]) / 2]
    return np.concatenate(columns, axis=1, dtype=np.float64)


def _accuracies(sums: Floats) -> Floats:
    """Return (n, names) accuracies in percent from (n, 2 x names) sums over images: of hits and of their weights."""
    accuracies: Floats = 100 * sums[:, ::2] / np.maximum(sums[:, 1::2], np.finfo(np.float64).tiny)
    return accuracies


@dataclass(frozen=True)
class Hits:
    """What each validation image adds to the figures ``names``: ``table`` is (images, columns), in float32.

    ``figures`` makes (n, names) percent of (n, columns) sums. Columns of recalls: hits of the image at 1, 5 and 10; 1;
    hits of its captions at 1, 5 and 10; the number of its captions.
    """

    table: Floats
    names: tuple[str, ...] = RECALL_NAMES
    figures: Callable[[Floats], Floats] = _recalls

    def recalls(self) -> dict[str, float]:
        """Return all figures in percent, by name."""
        values = self.figures(self.table.sum(axis=0, dtype=np.float64, keepdims=True))[0]
        return dict(zip(self.names, map(float, values), strict=True))


def hits_of(ranks: QueryRanks | None) -> Hits | None:
    """Return the hits of an evaluation; None where its ranks are missing, or do not say whose captions they are."""
    if ranks is None or len(ranks.image_of_text) == 0:
        return None
    text, image, owner = (np.asarray(values) for values in (ranks.text, ranks.image, ranks.image_of_text))
    if len(owner) != len(image) or owner.max() >= len(text):
        return None
    table = np.ones((len(text), 8), dtype=np.float32)
    for column, at in enumerate(RECALL_AT):
        table[:, column] = text < at
        table[:, column + 4] = np.bincount(owner, weights=image < at, minlength=len(text))
    table[:, 7] = np.bincount(owner, minlength=len(text))
    return Hits(table)


def hits_of_classes(kept: Mapping[str, Sequence[int]] | None) -> Hits | None:
    """Return the hits of a classification, by what it keeps for each picture; None where there was none.

    In the mean over classes a picture weighs one over the number of those of its class, which is taken as given.
    """
    if kept is None:
        return None
    ranks, labels = (np.asarray(kept[name]) for name in ("rank", "label"))
    count, right = np.bincount(labels), ranks < 1
    weights = 1 / count[labels]
    columns = {"acc1": (right, 1), "acc5": (ranks < 5, 1), "mean_per_class_recall": (right * weights, weights)}
    if np.count_nonzero(count) < FEW_CLASSES:
        del columns["acc5"]
    table = np.ones((len(ranks), 2 * len(columns)), dtype=np.float32)
    for column, values in enumerate(value for pair in columns.values() for value in pair):
        table[:, column] = values
    return Hits(table, tuple(name for name in ACCURACY_NAMES if name in columns), _accuracies)


def mean_hits(runs: Sequence[Hits]) -> Hits:
    """Return the mean over runs on the same images."""
    return replace(runs[0], table=np.mean([run.table for run in runs], axis=0, dtype=np.float32))


def recall_draws(hits: Hits, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Return (resamples, names): the figures over images drawn with replacement, in points."""
    return hits.figures(_resampled(hits.table, resamples, seed))


def paired_draws(ours: Hits, theirs: Hits, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Return (resamples, names): ours minus theirs in points, each time over one draw of images for both.

    Raises ValueError for other numbers of images.
    """
    if len(ours.table) != len(theirs.table):
        raise ValueError("paired draws need the same images on both sides")
    sums = _resampled(np.concatenate([ours.table, theirs.table], axis=1), resamples, seed)
    width = ours.table.shape[1]
    return ours.figures(sums[:, :width]) - ours.figures(sums[:, width:])


def unpaired_draws(ours: Hits, theirs: Hits, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """Return (resamples, names): ours minus theirs in points, each over a draw of its own images."""
    return recall_draws(ours, resamples, seed) - recall_draws(theirs, resamples, seed + 1)


def recall_errors(hits: Hits, resamples: int = 1_000) -> dict[str, float]:
    """Return half the width of each figure's 95 % interval in points, by name."""
    spread = recall_draws(hits, resamples).std(axis=0)
    return {name: 1.96 * float(value) for name, value in zip(hits.names, spread, strict=True)}


def _resampled(table: Floats, resamples: int, seed: int) -> Floats:
    """Return (resamples, columns): sums of the table's rows, each row as often as its image was drawn."""
    counts = _times_drawn(len(table), resamples, seed)
    rows = max(1, SMALL_PRODUCT // table.size)
    blocks = [counts[first : first + rows].astype(np.float32) @ table for first in range(0, resamples, rows)]
    return np.concatenate(blocks).astype(np.float64)


@functools.lru_cache(maxsize=4)
def _times_drawn(images: int, resamples: int, seed: int) -> Counts:
    """Return (resamples, images): how often each image is drawn; computed once for all results on as many images."""
    random = np.random.default_rng(seed)
    counts = np.empty((resamples, images), dtype=np.uint8)
    for first in range(0, resamples, BLOCK):
        rows = min(BLOCK, resamples - first)
        drawn = random.integers(0, images, size=(rows, images), dtype=np.int64)
        drawn += np.arange(rows)[:, None] * images
        # More than 255 draws of one image out of at least two do not happen; of one image all of one are drawn.
        counts[first : first + rows] = np.minimum(
            np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images), 255
        )
    return counts

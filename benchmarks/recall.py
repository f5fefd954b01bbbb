"""Recall from features and from scores: counting negatives that score higher, beside sorting every query's row.

    python -m benchmarks.recall [--quick] [--out benchmarks/results/recall.json]

The peer sorts the whole matrix of scores for both directions and looks where the query's own are, as the reference
does. The limit is the product of the features alone.
"""

from __future__ import annotations

import numpy as np

from benchmarks.harness import Record, arguments, both_clocks, in_turns, parse, ratio, show_table, times_data
from clipbench.training.evaluating.retrieval import ranks_from_features

CAPTIONS = 5


def features(images: int, width: int = 512, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features of images and of their captions, close to one another, and the image of each caption."""
    rng = np.random.default_rng(seed)
    of_images = rng.standard_normal((images, width), np.float32)
    owner = np.repeat(np.arange(images), CAPTIONS)
    of_texts = of_images[owner] + 3 * rng.standard_normal((len(owner), width), np.float32)
    return (*(side / np.linalg.norm(side, axis=1, keepdims=True) for side in (of_images, of_texts)), owner)


def counted_ranks(scores: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ranks by counting in the whole matrix of scores, as the core counts block by block."""
    own = scores[owner, np.arange(len(owner))]
    best = np.full(len(scores), -np.inf, scores.dtype)
    np.maximum.at(best, owner, own)
    own_at_best = np.bincount(owner[own >= best[owner]], minlength=len(scores))
    text_ranks = np.count_nonzero(scores >= best[:, None], axis=1) - own_at_best
    return text_ranks, np.count_nonzero(scores >= own, axis=0) - 1


def sorted_ranks(scores: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ranks by sorting every row and, transposed, every column."""
    text_ranks = np.empty(len(scores), np.int64)
    for image, row in enumerate(np.argsort(scores, axis=1)[:, ::-1]):
        text_ranks[image] = min(np.where(row == caption)[0][0] for caption in np.flatnonzero(owner == image))
    order = np.argsort(scores.T, axis=1)[:, ::-1]
    image_ranks = np.array([np.where(row == owner[caption])[0][0] for caption, row in enumerate(order)])
    return text_ranks, image_ranks


def main() -> None:
    options = parse(arguments(__doc__))
    record = Record("recall", options)
    images, texts, owner = features(100 if options.quick else 1000)
    scores = images @ texts.T
    for ours, theirs in zip(counted_ranks(scores, owner), sorted_ranks(scores, owner), strict=True):
        assert np.array_equal(ours, theirs)
    taken = in_turns(
        {
            "counting, from scores": lambda: counted_ranks(scores, owner),
            "counting, from features": lambda: ranks_from_features(images, texts, owner),
            "sorting, from scores": lambda: sorted_ranks(scores, owner),
            "the product alone": lambda: images @ texts.T,
        },
        2 if options.quick else 7,
    )
    ratios = {name: ratio(taken["sorting, from scores"], times) for name, times in taken.items()}
    rows = [
        [
            name,
            *(f"{1e3 * seconds:.1f}" for seconds in (times.seconds, times.cpu_seconds)),
            *both_clocks(ratios[name], 1),
        ]
        for name, times in taken.items()
    ]
    show_table(("how", "ms", "cpu ms", "x faster than sorting (wall)", "(cpu)"), rows)
    record.save(
        images=len(images),
        captions=len(texts),
        times=times_data(taken),
        ratios={f"{name} / sorting": value for name, value in ratios.items()},
    )


if __name__ == "__main__":
    main()

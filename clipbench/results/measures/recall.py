"""Recalls from the ranks of queries: the one definition, for who writes a result and for who reads it."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from clipbench.results.measures.metrics import RECALL_AT


def recall_metrics(text_ranks: npt.ArrayLike, image_ranks: npt.ArrayLike) -> dict[str, float]:
    """Return recalls in percent: ``text_recall@1``, @5, @10, ``text_recall_mean``, the same for image, ``recall_mean``.

    R@K is the share of queries with a rank below K.
    """
    sides = (("text", np.asarray(text_ranks)), ("image", np.asarray(image_ranks)))
    shares = {f"{side}_recall@{k}": float(np.mean(ranks < k)) for side, ranks in sides for k in RECALL_AT}
    return with_means({name: 100.0 * share for name, share in shares.items()})


def with_means(recalls: Mapping[str, float]) -> dict[str, float]:
    """Return six recalls with their means: of each side, and of both."""
    metrics: dict[str, float] = {}
    for side in ("text", "image"):
        own = {name: recalls[name] for name in (f"{side}_recall@{k}" for k in RECALL_AT)}
        metrics |= {**own, f"{side}_recall_mean": sum(own.values()) / len(own)}
    return {**metrics, "recall_mean": (metrics["text_recall_mean"] + metrics["image_recall_mean"]) / 2}

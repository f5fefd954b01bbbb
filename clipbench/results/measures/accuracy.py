"""Accuracies of a classification from the ranks of the right classes: for who writes a result and for who reads it."""

import numpy as np
import numpy.typing as npt

from clipbench.results.measures.names import FEW_CLASSES


def accuracy_metrics(ranks: npt.ArrayLike, labels: npt.ArrayLike) -> dict[str, float | None]:
    """Return ``acc1``, ``acc5`` and ``mean_per_class_recall`` in percent, as CLIP_benchmark defines them.

    ``ranks`` (images,) are those of the right class, from 0; acc@K is the share below K. ``labels`` (images,) are the
    classes: the recall of each that has pictures counts alike in the mean. acc5 is None with fewer than five of these.
    """
    ranks, labels = np.asarray(ranks), np.asarray(labels)
    classes, own = np.unique(labels, return_inverse=True)
    right = ranks < 1
    of_classes = np.bincount(own, weights=right) / np.bincount(own)
    return {
        "acc1": 100 * float(np.mean(right)),
        "acc5": 100 * float(np.mean(ranks < 5)) if len(classes) >= FEW_CLASSES else None,
        "mean_per_class_recall": 100 * float(np.mean(of_classes)),
    }

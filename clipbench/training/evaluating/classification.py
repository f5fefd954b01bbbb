"""Zero-shot classification: each picture's feature is compared with one feature for each class, made of texts.

As OpenAI's notebook for ImageNet does it: the features of a class's texts, one for each template, are normalised,
averaged, and normalised again.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from clipbench.api import Classes, EvaluatedSplit, Measurement
from clipbench.errors import UsageError
from clipbench.results.measures.accuracy import accuracy_metrics
from clipbench.results.measures.names import FEW_CLASSES
from clipbench.training.evaluating.retrieval import normalised, ranks_of_own

Floats = npt.NDArray[np.floating[Any]]


class Classification:
    """The evaluation ``classification``: the class of each picture, by the names of the classes alone."""

    def texts(self, split: EvaluatedSplit) -> Sequence[str]:
        """Return the texts of all classes, those of a class together; raise UsageError where there are no classes."""
        classes = _classes_of(split)
        return [template.replace("{}", name) for name in classes.names for template in classes.templates]

    def measure(self, split: EvaluatedSplit, images: Floats, texts: Floats) -> Measurement:
        """Return the accuracies in percent, and of each picture the rank of its class, and the class.

        The rank counts the other classes that score at least as high, so that a tie counts against the model.
        """
        classes = _classes_of(split)
        labels = np.asarray(classes.labels, dtype=np.int64)
        ranks = ranks_of_own(normalised(images, "image", np.float32), class_features(texts, len(classes.names)), labels)
        few = f"fewer than {FEW_CLASSES} classes have pictures"
        per_query = {"rank": ranks.tolist(), "label": labels.tolist()}
        return Measurement(accuracy_metrics(ranks, labels), per_query, {"acc5": few})


def class_features(texts: Floats, classes: int) -> Floats:
    """Return unit float32 features (classes, d) of ``texts`` (classes x templates, d), those of a class together."""
    unit = normalised(texts, "text", np.float32)
    return normalised(unit.reshape(classes, -1, unit.shape[1]).mean(axis=1), "class", np.float32)


def _classes_of(split: EvaluatedSplit) -> Classes:
    if split.classes is None:
        raise UsageError(
            f"eval.evaluations: classification needs pictures of classes, and dataset '{split.dataset}' has none; "
            "take another evaluation, or another dataset, such as imagefolder"
        )
    return split.classes

"""Zero-shot classification, held against the sums by hand, and against scikit-learn's definition of the mean recall."""

from dataclasses import replace

import numpy as np
import pytest

from clipbench.api import Classes, EvaluatedSplit, UsageError
from clipbench.results.measures.accuracy import accuracy_metrics
from clipbench.training.evaluating.classification import Classification, class_features

CLASSES = Classes(["cat", "dog", "red fox"], ["a photo of a {}.", "{}"], [0, 2, 2, 1])
SPLIT = EvaluatedSplit("animals", 4, [], np.empty(0, np.int64), CLASSES)


def test_the_texts_are_all_templates_of_each_class():
    assert Classification().texts(SPLIT) == [
        *("a photo of a cat.", "cat", "a photo of a dog.", "dog", "a photo of a red fox.", "red fox")
    ]


def test_the_features_of_templates_are_normalised_averaged_and_normalised():
    texts = np.array([[2, 0], [0, 8], [-3, 0], [-1, 0]], dtype=np.float32)
    half = np.sqrt(0.5)
    assert class_features(texts, 2) == pytest.approx(np.array([[half, half], [-1, 0]]))


def test_accuracies_of_a_small_case():
    """Pictures of the right class, of the second best, of a tie with another class, and of the right class."""
    texts = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)
    images = np.array([[5, 1, 0], [2, 0, 1], [0, 3, 3], [0, 1, 0]], dtype=np.float32)
    found = Classification().measure(SPLIT, images, texts)
    assert found.per_query == {"rank": [0, 1, 1, 0], "label": [0, 2, 2, 1]}
    assert found.metrics["acc1"] == 50.0
    assert found.metrics["mean_per_class_recall"] == pytest.approx(100 * (1 + 1 + 0) / 3)
    # Three classes: nearly every answer would be among the first five.
    assert found.metrics["acc5"] is None and found.reasons["acc5"] == "fewer than 5 classes have pictures"


def test_a_class_without_pictures_is_a_wrong_answer_and_no_part_of_the_mean():
    labels = [0, 1, 2, 3, 4, 4]
    metrics = accuracy_metrics([0, 0, 7, 5, 0, 4], labels)
    assert metrics == pytest.approx({"acc1": 50.0, "acc5": 100 * 4 / 6, "mean_per_class_recall": 100 * 2.5 / 5})
    assert accuracy_metrics([0] * 6, [label + 10 * (label > 2) for label in labels])["mean_per_class_recall"] == 100.0


def test_acc1_is_what_an_argmax_gives():
    draws = np.random.default_rng(1)
    labels = draws.integers(0, 7, 200)
    split = replace(SPLIT, images=200, classes=Classes([str(n) for n in range(7)], ["{}"], labels.tolist()))
    images, texts = (draws.standard_normal((count, 5)).astype(np.float32) for count in (200, 7))
    scores = (images / np.linalg.norm(images, axis=1)[:, None]) @ (texts / np.linalg.norm(texts, axis=1)[:, None]).T
    metrics = Classification().measure(split, images, texts).metrics
    right = scores.argmax(axis=1) == labels
    assert metrics["acc1"] == pytest.approx(100 * right.mean())
    five = (np.argsort(-scores, axis=1)[:, :5] == labels[:, None]).any(axis=1)
    assert metrics["acc5"] == pytest.approx(100 * five.mean())
    by_class = [right[labels == label].mean() for label in range(7)]
    assert metrics["mean_per_class_recall"] == pytest.approx(100 * np.mean(by_class))


def test_a_dataset_without_classes_is_named():
    with pytest.raises(UsageError, match="classification needs pictures of classes, and dataset 'animals' has none"):
        Classification().texts(replace(SPLIT, classes=None))

"""Sampling errors of recalls: exact where that can be known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.api.result import QueryRanks
from clipbench.compare.statistics.bootstrap import (
    hits_of,
    hits_of_classes,
    mean_hits,
    paired_draws,
    recall_draws,
    recall_errors,
    unpaired_draws,
)
from clipbench.results.measures.accuracy import accuracy_metrics
from clipbench.results.measures.metrics import RECALL_NAMES
from clipbench.results.measures.recall import recall_metrics


def ranks(images=200, captions=5, miss=0.2, draw=0):
    random = np.random.default_rng(draw)
    counts = random.integers(1, captions + 1, images)
    owner = random.permutation(np.repeat(np.arange(images), counts))
    text, image = (np.where(random.random(n) < miss, random.integers(1, 15, n), 0) for n in (images, len(owner)))
    return QueryRanks(1, text.tolist(), image.tolist(), owner.tolist())


@given(st.integers(0, 100), st.floats(0, 1))
def test_hits_give_the_recalls_of_the_evaluation(draw, miss):
    made = ranks(images=30, miss=miss, draw=draw)
    assert hits_of(made).recalls() == pytest.approx(recall_metrics(np.asarray(made.text), np.asarray(made.image)))


@pytest.mark.parametrize("change", [{"image_of_text": ()}, {"image_of_text": [0]}, {"image_of_text": [7_000] * 200}])
def test_ranks_that_do_not_say_whose_captions_they_are_give_no_hits(change):
    made = ranks()
    assert hits_of(replace(made, image=made.image[:200], **change)) is None
    assert hits_of(None) is None


def test_draws_are_the_same_every_time_and_centre_on_the_recalls():
    hits = hits_of(ranks())
    draws = recall_draws(hits, 2_000)
    assert draws.shape == (2_000, len(RECALL_NAMES))
    assert (draws == recall_draws(hits, 2_000)).all()
    assert draws.mean(axis=0) == pytest.approx(list(hits.recalls().values()), abs=0.2)


def test_the_error_of_one_recall_is_that_of_a_binomial():
    """R@1 of images has one query for each image, so that the formula is known."""
    made = ranks(images=1_000)
    share = np.mean(np.asarray(made.text) < 1)
    expected = 196 * math.sqrt(share * (1 - share) / 1_000)
    assert recall_errors(hits_of(made))["text_recall@1"] == pytest.approx(expected, rel=0.1)


def test_captions_that_miss_together_count_as_one():
    """Five captions with one fate are no more than one query; drawn on their own they would look far surer."""
    fate = np.arange(500) % 4 == 0
    owner = np.repeat(np.arange(500), 5)
    made = QueryRanks(1, [0] * 500, np.where(fate[owner], 9, 0).tolist(), owner.tolist())
    expected = 196 * math.sqrt(0.25 * 0.75 / 500)
    assert recall_errors(hits_of(made))["image_recall@1"] == pytest.approx(expected, rel=0.1)


def test_what_both_sides_share_is_no_error_of_their_difference():
    ours = hits_of(ranks())
    assert not paired_draws(ours, ours, 500).any()
    assert (unpaired_draws(ours, ours, 500).std(axis=0)[0]) > 1


def test_paired_draws_need_the_same_images():
    with pytest.raises(ValueError, match="same images"):
        paired_draws(hits_of(ranks(images=10)), hits_of(ranks(images=11)))


def test_the_mean_over_runs_has_the_mean_recalls():
    both = [hits_of(ranks()), hits_of(replace(ranks(), text=[0] * 200))]
    expected = (both[0].recalls()["text_recall@1"] + 100) / 2
    assert mean_hits(both).recalls()["text_recall@1"] == pytest.approx(expected)


@given(st.integers(0, 100), st.integers(2, 12))
def test_hits_of_classes_give_the_accuracies_of_the_evaluation(draw, classes):
    random = np.random.default_rng(draw)
    labels, made = random.integers(0, classes, 60).tolist(), random.integers(0, 9, 60).tolist()
    known = {name: value for name, value in accuracy_metrics(made, labels).items() if value is not None}
    assert hits_of_classes({"rank": made, "label": labels}).recalls() == pytest.approx(known, rel=1e-5)


def test_the_error_of_an_accuracy_is_that_of_a_binomial():
    """Of the mean over classes too, where these are alike in size."""
    kept = {"rank": [3 * (n % 5 == 0) for n in range(1_000)], "label": [n % 8 for n in range(1_000)]}
    expected = 196 * math.sqrt(0.2 * 0.8 / 1_000)
    errors = recall_errors(hits_of_classes(kept))
    assert errors["acc1"] == pytest.approx(expected, rel=0.1)
    assert errors["mean_per_class_recall"] == pytest.approx(expected, rel=0.1)
    assert errors["acc5"] == 0.0

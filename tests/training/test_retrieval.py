import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.recall import counted_ranks
from clipbench.errors import CaseFailedError
from clipbench.results.measures.recall import recall_metrics
from clipbench.training.evaluating.retrieval import contrastive_loss, ranks_from_features, validation_loss


def brute_force(scores, owner):
    images, texts = scores.shape
    text_ranks = []
    for i in range(images):
        best = max(scores[i, t] for t in range(texts) if owner[t] == i)
        text_ranks.append(sum(scores[i, t] >= best for t in range(texts) if owner[t] != i))
    image_ranks = [
        sum(scores[i, t] >= scores[owner[t], t] for i in range(images) if i != owner[t]) for t in range(texts)
    ]
    return text_ranks, image_ranks


@st.composite
def scored_pairs(draw):
    """Scores from few values, so that ties are common, with any number of captions per image in any order."""
    images = draw(st.integers(1, 7))
    extra = draw(st.lists(st.integers(0, images - 1), max_size=12))
    owner = draw(st.permutations([*range(images), *extra]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.integers(0, draw(st.integers(1, 6)), (images, len(owner))).astype(np.float32), np.array(owner)


@given(scored_pairs())
@settings(max_examples=300)
def test_counting_in_the_whole_matrix_equals_brute_force(case):
    text_ranks, image_ranks = counted_ranks(*case)
    expected_text, expected_image = brute_force(*case)
    assert text_ranks.tolist() == expected_text
    assert image_ranks.tolist() == expected_image


@given(scored_pairs(), st.integers(1, 9))
@settings(max_examples=100)
def test_features_by_blocks_equal_brute_force(case, block):
    scores, owner = case
    rng = np.random.default_rng(scores.size)
    images = rng.standard_normal((len(scores), 8)).astype(np.float32) * 3
    texts = rng.standard_normal((len(owner), 8)).astype(np.float32) * 7
    cosines = (images / np.linalg.norm(images, axis=1)[:, None]) @ (texts / np.linalg.norm(texts, axis=1)[:, None]).T
    text_ranks, image_ranks = ranks_from_features(images, texts, owner, block=block)
    expected_text, expected_image = brute_force(cosines, owner)
    assert text_ranks.tolist() == expected_text
    assert image_ranks.tolist() == expected_image


@given(scored_pairs(), st.integers(1, 3), st.integers(0, 2**32))
@settings(max_examples=100)
def test_ties_count_against_the_model(case, kinds, seed):
    """Features are rows of the identity: a cosine is 0 or 1, and most of them are tied."""
    scores, owner = case
    rng = np.random.default_rng(seed)
    images, texts = (np.eye(3, dtype=np.float32)[rng.integers(0, kinds, count)] for count in scores.shape)
    text_ranks, image_ranks = ranks_from_features(images, texts, owner, block=4)
    expected_text, expected_image = brute_force(images @ texts.T, owner)
    assert text_ranks.tolist() == expected_text
    assert image_ranks.tolist() == expected_image


def test_recalls_equal_the_reference(expected):
    names = {"text": "txt", "image": "img"}
    for case in expected["recall"]:
        images, texts = case["n"], case["n"] * case["per"]
        owner = np.arange(texts) // case["per"]
        scores = np.random.default_rng(case["seed"]).standard_normal((images, texts)).astype(np.float32) * 0.5
        scores[owner, np.arange(texts)] += case["gain"]
        metrics = recall_metrics(*counted_ranks(scores, owner))
        for side, name in names.items():
            for k in (1, 5, 10):
                assert metrics[f"{side}_recall@{k}"] == pytest.approx(case["expected"][f"{name}_r{k}"])
            assert metrics[f"{side}_recall_mean"] == pytest.approx(case["expected"][f"{name}_r_mean"])
        assert metrics["recall_mean"] == pytest.approx(case["expected"]["r_mean"])


def test_recall_counts_ranks_below_k():
    metrics = recall_metrics(np.array([0, 1, 4, 5]), np.array([9, 10, 10, 0]))
    assert [metrics[f"text_recall@{k}"] for k in (1, 5, 10)] == [25.0, 75.0, 100.0]
    assert [metrics[f"image_recall@{k}"] for k in (1, 5, 10)] == [25.0, 25.0, 50.0]
    assert metrics["recall_mean"] == pytest.approx((200 / 3 + 100 / 3) / 2)


def test_a_collapsed_model_finds_nothing():
    rng = np.random.default_rng(0)
    owner = np.arange(505) // 5
    same = np.tile(rng.standard_normal(100).astype(np.float32), (606, 1))
    ranks = ranks_from_features(same[:101], same[101:], owner, block=37)
    assert (set(ranks[0]), set(ranks[1])) == ({500}, {100})
    assert recall_metrics(*ranks)["recall_mean"] == 0.0


def test_perfect_features_find_everything():
    images = np.eye(12, dtype=np.float32)
    owner = np.arange(36) % 12
    assert recall_metrics(*ranks_from_features(images, images[owner], owner))["recall_mean"] == 100.0


@pytest.mark.parametrize(("side", "row"), [("image", 0), ("text", 1)])
@pytest.mark.parametrize(("value", "problem"), [(np.nan, "not finite"), (np.inf, "not finite"), (0.0, "all zero")])
def test_bad_features_are_refused_with_side_and_count(side, row, value, problem):
    features = [np.ones((4, 3), np.float32), np.ones((4, 3), np.float32)]
    features[row][1:3] = value
    with pytest.raises(CaseFailedError, match=f"{side} features: 2 of 4 are {problem}"):
        ranks_from_features(*features, np.arange(4))
    with pytest.raises(CaseFailedError, match=f"{side} features: 2 of 4 are {problem}"):
        contrastive_loss(*features, 0.0, "sum")


def test_an_image_without_captions_is_refused():
    with pytest.raises(CaseFailedError, match=r"1 of 3 images have none \(the first is image 1\)"):
        ranks_from_features(np.ones((3, 2)), np.ones((4, 2)), [0, 0, 2, 2])


@pytest.mark.parametrize("owner", [[0, 1, 2], [0, 1, 1, 3], [0, 1, 2, -1]])
def test_owners_that_do_not_fit_are_refused(owner):
    with pytest.raises(CaseFailedError, match="expected the image, 0 to 2, of each of 4 captions"):
        ranks_from_features(np.ones((3, 2)), np.ones((4, 2)), owner)


def test_huge_and_tiny_features_do_not_overflow():
    images = np.eye(3, dtype=np.float32) * np.array([1e30, 1e-30, 1.0], dtype=np.float32)[:, None]
    text_ranks, image_ranks = ranks_from_features(images, images, np.arange(3))
    assert not text_ranks.any()
    assert not image_ranks.any()


def test_loss_equals_cross_entropy_written_out():
    rng = np.random.default_rng(1)
    images, texts = rng.standard_normal((2, 6, 5))
    cosines = [[a @ b / math.sqrt((a @ a) * (b @ b)) for b in texts] for a in images]
    logits = math.exp(2.0) * np.array(cosines)
    rows = sum(-math.log(math.exp(logits[i, i]) / sum(map(math.exp, logits[i]))) for i in range(6)) / 6
    columns = sum(-math.log(math.exp(logits[i, i]) / sum(map(math.exp, logits[:, i]))) for i in range(6)) / 6
    assert contrastive_loss(images, texts, 2.0, "sum") == pytest.approx(rows + columns)
    assert contrastive_loss(images, texts, 2.0, "mean") == pytest.approx((rows + columns) / 2)


def test_loss_of_a_collapsed_model_is_that_of_chance():
    same = np.ones((32, 4), np.float32)
    assert contrastive_loss(same, same, math.log(100), "sum") == pytest.approx(2 * math.log(32))


def test_validation_loss_drops_the_remainder():
    images, texts = np.random.default_rng(2).standard_normal((2, 11, 4)).astype(np.float32)
    batches = [contrastive_loss(images[k : k + 4], texts[k : k + 4], 1.0, "mean") for k in (0, 4)]
    got = validation_loss(images, texts, 1.0, batch_size=4, reduction="mean")
    assert got == pytest.approx(sum(batches) / 2)
    assert validation_loss(images, texts, 1.0, batch_size=12, reduction="mean") is None

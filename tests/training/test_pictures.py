"""What an evaluation retrieved: answers as brute force finds them, bounded, and small pictures that tell no more."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from clipbench.api.result import QueryRanks
from clipbench.errors import CaseFailedError
from clipbench.results.retrieved import RetrievedReader
from clipbench.training.evaluating import pictures
from clipbench.training.evaluating.pictures import small_picture
from clipbench.training.evaluating.retrieval import ranks_from_features
from clipbench.training.stop import Stopped
from tests.support.made_retrieved import FlatSplit, keep

IMAGES, TEXTS, WIDTH = 230, 5, 8
OWNER = np.repeat(np.arange(IMAGES), TEXTS)


def features(seed=0, images=IMAGES):
    """The features that ``keep`` draws."""
    draws = np.random.default_rng(seed)
    found = [draws.standard_normal((count, WIDTH)) for count in (images, images * TEXTS)]
    found[1] += found[0][np.repeat(np.arange(images), TEXTS)]
    return [side / np.linalg.norm(side, axis=1, keepdims=True) for side in found]


def kept(folder, images=IMAGES, **more):
    unit = features(images=images)
    owner = np.repeat(np.arange(images), TEXTS)
    ranks = QueryRanks(1, *(side.tolist() for side in ranks_from_features(*unit, owner)), owner.tolist())
    path = folder / "retrieved.zip"
    named = keep(path, ranks, FlatSplit(images), **more)
    return RetrievedReader.open(path, named), ranks


def test_the_answers_are_those_that_brute_force_finds(tmp_path):
    reader, ranks = kept(tmp_path)
    data, (images, texts) = reader.retrieved, features()
    scores, is_own = images @ texts.T, np.arange(IMAGES)[:, None] == OWNER
    for side, all_scores, own in ((data.text, scores, is_own), (data.image, scores.T, is_own.T)):
        assert list(side.query) == list(range(len(all_scores)))
        assert np.array_equal(side.top, np.argsort(-all_scores, axis=1)[:, :5])
        assert np.allclose(side.scores, -np.sort(-all_scores, axis=1)[:, :5], atol=1e-4)
        assert np.allclose(side.own_score, np.where(own, all_scores, -2).max(axis=1), atol=1e-4)
        assert np.allclose(side.other_score, np.where(own, -2, all_scores).max(axis=1), atol=1e-4)
        assert np.array_equal(side.own, np.where(own, all_scores, -2).argmax(axis=1))
    first = [rank == 0 for rank in ranks.image]
    assert first == [top[0] == OWNER[query] for query, top in zip(data.image.query, data.image.top, strict=True)]


def test_every_pair_is_counted_once(tmp_path):
    data = kept(tmp_path)[0].retrieved
    assert sum(data.histogram.true) == IMAGES * TEXTS
    assert sum(data.histogram.false) == IMAGES * IMAGES * TEXTS - IMAGES * TEXTS
    images, texts = features()
    true = np.histogram((images[OWNER] * texts).sum(axis=1), bins=400, range=(-1, 1))[0]
    assert np.abs(np.asarray(data.histogram.true) - true).sum() <= 2  # float32 at the edge of a bin


def test_the_matrix_has_the_means_of_blocks(tmp_path):
    matrix = np.asarray(kept(tmp_path)[0].retrieved.matrix)
    images, texts = features()
    assert matrix.shape == (100, 100)
    blocks = np.arange(IMAGES) * 100 // IMAGES
    expected = (images @ texts.T)[blocks == 7][:, blocks[OWNER] == 42].mean()
    assert matrix[7, 42] == pytest.approx(expected, abs=1e-4)


def test_a_tie_counts_against_the_model(tmp_path):
    owner, same = np.arange(4), np.ones((4, WIDTH))
    answered = pictures._answered(same.astype(np.float32), owner, same.astype(np.float32), owner)
    assert [top[-1] for top in answered.top] == [0, 1, 2, 3]  # the true answer is the last of the four


def test_of_a_large_split_a_choice_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_QUERIES", 100)
    monkeypatch.setattr(pictures, "MOST_PICTURES", 100)
    monkeypatch.setattr(pictures, "CHOSEN", 4)
    reader, _ = kept(tmp_path)
    data = reader.retrieved
    assert 4 <= len(data.text.query) <= 12 and 4 <= len(data.image.query) <= 12
    shown = {*data.text.query, *data.image.own, *(index for top in data.image.top for index in top)}
    assert all(reader.picture(index) for index in shown)
    assert len(zipfile.ZipFile(reader.path).namelist()) < 100
    assert {str(index) for index in (*data.image.query, *data.text.own)} <= data.captions.keys()
    assert len(data.captions) < 100


def test_the_random_queries_are_the_same_in_every_result(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_QUERIES", 100)
    reader, ranks = kept(tmp_path)
    queries = reader.retrieved.image
    chosen = pictures.groups(queries, ranks.image, OWNER.tolist(), 6)["random"]
    other = pictures.groups(queries, ranks.image[::-1], OWNER.tolist(), 6)["random"]
    assert [queries.query[at] for at in chosen] == [queries.query[at] for at in other]


def test_what_is_too_large_is_refused_before_it_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_SCORES", 1000)
    with pytest.raises(CaseFailedError, match="too many"):
        kept(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_evaluation_that_is_interrupted_leaves_no_half_file(tmp_path):
    def stop(stage, done, total):
        if done == 3:
            raise Stopped(None)

    with pytest.raises(Stopped):
        kept(tmp_path, images=20, tell=stop)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("size", [(5000, 40), (10, 3000), (64, 64), (1, 1)])
def test_a_small_picture_is_small_and_has_nothing_else_of_its_file(size):
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "where it was taken"
    Image.new("RGB", size, "red").save(file, "JPEG", comment=b"who is on it", exif=exif)
    small = small_picture(Image.open(file))
    with Image.open(io.BytesIO(small)) as image:
        assert max(image.size) <= 96 and max(image.size) <= max(size) and image.format == "JPEG"
    assert b"who is on it" not in small and b"where it was taken" not in small and len(small) < 2000

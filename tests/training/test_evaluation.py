"""Evaluation by several ranks is evaluation by one, to the last query; images are transformed once for all."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from clipbench.api import Classes, EvaluatedSplit, EvaluationSpec, Measurement, World
from clipbench.errors import CaseFailedError, ClipbenchError, PluginError
from clipbench.training.batches import CaptionTokens
from clipbench.training.collectives import SingleRank
from clipbench.training.evaluating import encoding, evaluation
from clipbench.training.evaluating.classification import Classification
from clipbench.training.evaluating.evaluation import Asked, Evaluator, check_not_collapsed
from clipbench.training.evaluating.image_cache import ImageCache
from clipbench.training.evaluating.retrieval import Retrieval, contrastive_loss
from clipbench.training.sampling import Stream, draw_caption
from tests.support.empty_record import HARDWARE

IMAGES, WIDTH, PIXELS = 23, 12, 4
RNG = np.random.default_rng(0)
PER_IMAGE = RNG.integers(1, 6, IMAGES)
TOKENS = np.zeros((PER_IMAGE.sum(), 9), np.int32)
for row in TOKENS:
    row[: RNG.integers(1, 9)] = RNG.integers(1, 50)
CAPTIONS = CaptionTokens(TOKENS, np.concatenate([[0], np.cumsum(PER_IMAGE)]))
CLASSES = Classes([f"class {n}" for n in range(6)], ["a {}", "the {}"], [n % 6 for n in range(IMAGES)])
SPLIT = EvaluatedSplit("data", IMAGES, ["a caption"] * len(TOKENS), CAPTIONS.image_of_text, CLASSES)
OF_CLASSES = RNG.integers(1, 50, (12, 9)).astype(np.int32)
PERCENT = ("percent", "higher")
ASKED = (
    Asked(EvaluationSpec("retrieval", "", "", {}), Retrieval(), None),
    Asked(
        EvaluationSpec("classification", "", "", dict.fromkeys(("acc1", "acc5", "mean_per_class_recall"), PERCENT)),
        Classification(),
        OF_CLASSES,
    ),
)


CASE = SimpleNamespace(
    seed=0,
    world_size=4,
    eval=SimpleNamespace(image_batch=4, text_batch=7, loss_pairs="all"),
    train=SimpleNamespace(batch_size=5, workers=0, loss=SimpleNamespace(reduction="mean")),
)


class Fetch:
    size = PIXELS
    split = range(IMAGES)

    def __init__(self):
        self.fetched = []

    def __call__(self, index):
        self.fetched.append(index)
        return (np.full((PIXELS, PIXELS, 3), index, np.uint8),)


class Engine:
    def loader(self, fetch, workers, device):
        class Loader:
            def batches(self, keys):
                for batch in keys:
                    yield (np.stack([fetch(key)[0] for key in batch]),)

            def close(self):
                pass

        return Loader()


class Learner:
    """Features that are a fixed function of what is encoded."""

    def encode_images(self, pixels):
        seeds = np.asarray(pixels)[:, 0, 0, 0]
        return np.stack([np.random.default_rng(int(seed)).standard_normal(WIDTH) for seed in seeds]).astype(np.float32)

    def encode_texts(self, tokens):
        return np.stack([np.random.default_rng(row).standard_normal(WIDTH) for row in tokens]).astype(np.float32)

    def gather(self, features):
        return np.concatenate(features)

    def logit_scale(self):
        return 2.0


class Threads:
    """A group of ranks that are threads of this process."""

    def __init__(self, size):
        self.barrier, self.given, self.largest = threading.Barrier(size, timeout=30), [None] * size, 0

    def of(self, rank):
        group = self

        class Group:
            def all_gather(self, array):
                group.largest = max(group.largest, array.nbytes)
                group.given[rank] = array
                group.barrier.wait()
                every = list(group.given)
                group.barrier.wait()
                return every

        return Group()


def evaluate(ranks, cache_bytes=1 << 20, rounds=1, folder=None, case=CASE):
    threads, found, fetches = Threads(ranks), [[] for _ in range(ranks)], [Fetch() for _ in range(ranks)]

    def run(rank):
        group = threads.of(rank) if ranks > 1 else SingleRank()
        hardware = replace(HARDWARE, engine=Engine(), world=World(rank, rank, ranks), group=group)
        evaluator = Evaluator(hardware, fetches[rank], CAPTIONS, SPLIT, ASKED, case, ImageCache(cache_bytes, folder))
        for _ in range(rounds):
            found[rank].append(evaluator(Learner(), 1))
        evaluator.cache.drop()

    started = [threading.Thread(target=run, args=(rank,)) for rank in range(ranks)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    return found, fetches, threads


@pytest.mark.parametrize("ranks", [2, 3, 4, 9])
def test_ranks_share_the_work_and_find_what_one_finds(ranks, monkeypatch):
    ((alone,),), _, _ = evaluate(1)
    # Pieces of two rows, so that gathering takes many.
    monkeypatch.setattr(encoding, "GATHER_BYTES", 2 * 4 * WIDTH)
    found, fetches, threads = evaluate(ranks)
    (first,) = found[0]
    assert replace(first, seconds=0) == replace(alone, seconds=0)
    assert np.array_equal(first.images, alone.images) and np.array_equal(first.captions, alone.captions)
    assert all(evaluations == [None] for evaluations in found[1:])
    assert sorted(index for fetch in fetches for index in fetch.fetched) == list(range(IMAGES))
    # No more than a piece crosses at a time.
    assert threads.largest <= 2 * 4 * WIDTH


def test_the_published_loss_of_four_ranks_is_of_every_fourth_pair_in_batches_of_a_fourth():
    train = SimpleNamespace(batch_size=8, workers=0, loss=SimpleNamespace(reduction="sum"))
    published = SimpleNamespace(**vars(CASE) | {"train": train, "eval": SimpleNamespace(**vars(CASE.eval))})
    published.eval.loss_pairs = "rank"
    losses = [found[0][0].loss for found, _, _ in (evaluate(ranks, case=published) for ranks in (1, 4))]
    every_fourth = [0, 4, 8, 12, 16, 20]  # three batches of two; nothing is left over
    images = Learner().encode_images(np.array(every_fourth)[:, None, None, None])
    drawn = [
        CAPTIONS.offsets[i] + draw_caption(0, 0, i, CAPTIONS.count(i), Stream.VALIDATION_CAPTION) for i in every_fourth
    ]
    texts = Learner().encode_texts(TOKENS[drawn])
    expected = np.mean([contrastive_loss(images[k : k + 2], texts[k : k + 2], 2.0, "sum") for k in (0, 2, 4)])
    assert losses == [pytest.approx(expected, rel=1e-12)] * 2
    published.eval.loss_pairs = "all"
    assert evaluate(1, case=published)[0][0][0].loss != pytest.approx(expected)


@pytest.mark.parametrize("budget", [1 << 20, 10 * PIXELS * PIXELS * 3, 1])
def test_images_are_transformed_once_whether_kept_in_memory_or_in_a_file(budget, tmp_path):
    ((first, second, third),), (fetch,), _ = evaluate(1, budget, rounds=3, folder=tmp_path)
    assert sorted(fetch.fetched) == list(range(IMAGES))
    assert first.query_ranks == second.query_ranks == third.query_ranks
    assert not list(tmp_path.iterdir())  # the file has no name to be left behind under


@pytest.mark.parametrize("budget, folder", [(0, "there"), (1, None), (1, "gone")])
def test_images_are_transformed_anew_where_there_is_no_room(budget, folder, tmp_path):
    place = {"there": tmp_path, "gone": tmp_path / "gone", None: None}[folder]
    ((first, second),), (fetch,), _ = evaluate(1, budget, rounds=2, folder=place)
    assert len(fetch.fetched) == 2 * IMAGES
    assert first.query_ranks == second.query_ranks


def test_a_cache_in_a_full_file_system_gives_up_and_the_run_continues(tmp_path, monkeypatch):
    cache = ImageCache(1, tmp_path)
    monkeypatch.setattr(cache, "_spill", lambda pixels: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    cache.add(np.zeros((2, 4, 4, 3), np.uint8))
    cache.finish()
    assert not cache.complete and not list(cache.batches())


def test_collapsed_features_are_told_from_others():
    row = np.arange(1, 9, dtype=np.float32)
    with pytest.raises(CaseFailedError, match="all 30 images have the same feature"):
        check_not_collapsed("image", np.tile(row, (30, 1)) * np.linspace(1, 9, 30, dtype=np.float32)[:, None])
    other = np.tile(row, (30, 1))
    other[29, 0] += 1e-2
    check_not_collapsed("image", other)
    check_not_collapsed("image", row[None])


class Order:
    """An evaluation of a plugin: texts of its own, and one metric."""

    own_texts = ("one", "two")

    def texts(self, split):
        return list(self.own_texts)

    def measure(self, split, images, texts):
        return Measurement({"order": float("nan")})


class Offered:
    """A registry with evaluations by name: what is made, and the metrics of its spec."""

    def __init__(self, **offered):
        self.offered = offered
        self.evaluations = self

    def get(self, name, key):
        return EvaluationSpec(name, "", "", dict.fromkeys(self.offered[name][1], PERCENT))

    def open_evaluation(self, name):
        return self.offered[name][0]


def encode(texts):
    return np.ones((len(texts), 3), np.int32)


def test_texts_are_encoded_for_each_evaluation_that_has_its_own():
    registry = Offered(retrieval=(Retrieval(), ["text_recall@1"]), order=(Order(), ["order"]))
    retrieval, order = evaluation.ask(registry, ["retrieval", "order"], SPLIT, encode)
    assert retrieval.tokens is None and order.tokens.shape == (2, 3)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["order", "again"], "the metric 'order' of again is also one of order"),
        (["speed"], "the metric 'throughput' of speed is also one of clipbench itself"),
        (["mute"], r"evaluation 'mute': texts\(\) returned none"),
    ],
)
def test_evaluations_that_cannot_be_asked_for(names, said):
    mute = Order()
    mute.own_texts = ()
    registry = Offered(
        order=(Order(), ["order"]), again=(Order(), ["order"]), speed=(Order(), ["throughput"]), mute=(mute, ["sound"])
    )
    with pytest.raises(ClipbenchError, match=said):
        evaluation.ask(registry, names, SPLIT, encode)


def test_a_metric_that_is_not_finite_is_null_with_its_reason_and_another_name_is_the_plugins_fault():
    spec = EvaluationSpec("order", "", "", {"order": PERCENT})
    assert evaluation.metrics_of(spec, Order().measure(None, None, None))["order"].reason == "not finite (nan)"
    with pytest.raises(PluginError, match=r"measure\(\) returned the metrics sense; its spec has order"):
        evaluation.metrics_of(spec, Measurement({"sense": 1.0}))

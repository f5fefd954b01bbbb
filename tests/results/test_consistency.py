"""A result that does not agree with itself is refused, wherever it is read, and both figures are named."""

import copy
import json
import re
from pathlib import Path

import pytest

from clipbench.results.consistency import disagreements
from clipbench.results.document import digest_of, results_digest
from clipbench.results.measures.metrics import RECALL_NAMES
from clipbench.results.result import read_result, result_data
from tests.support.made_results import failed, made_result
from tests.support.stored_results import run, signed, stored

GOOD = result_data(made_result("mine"))


def set_at(document, path, value):
    *parents, last = path.split(".")
    inner = document
    for part in parents:
        inner = inner[int(part) if isinstance(inner, list) else part]
    if value is None:
        del inner[int(last) if isinstance(inner, list) else last]
    else:
        inner[int(last) if isinstance(inner, list) else last] = value


def recalls_of(document, *values):
    """Set every stored recall, of epochs and of metrics."""
    (value,) = values
    for record in document["epochs"]:
        record["recall"] = dict.fromkeys(RECALL_NAMES, value)
    metrics_of(document, value)


def metrics_of(document, value):
    for at in document["metrics"].values():
        for name in RECALL_NAMES:
            at["values"][name]["value"] = value


def claimed_images(document):
    document["dataset"]["val"]["images"] = 1000
    document["dataset"]["val"]["captions"] = 5000


def only_fast_windows(document):
    for record in document["epochs"]:
        record["windows"] = sorted(record["windows"], key=lambda window: window[1])[:1]
    document["config"]["timing"]["warmup_steps"] = 10


def without_a_caption(document):
    document["query_ranks"]["image_of_text"][:5] = [1] * 5


def at_an_epoch(number):
    def change(document):
        document["query_ranks"]["epoch"] = number

    return change


def at(path, value):
    return lambda document: set_at(document, path, value)


def of_all(*changes):
    def change(document):
        for one in changes:
            one(document)

    return change


SEEN = {
    "recalls of 5 % beside good ranks": (
        lambda document: recalls_of(document, 5.0),
        "epochs.1.recall.text_recall@1 is 5, expected 80, by query_ranks",
    ),
    "metrics of 93 % beside epochs of 1 %": (
        lambda document: metrics_of(document, 93.0),
        "metrics.last.values.text_recall@1.value is 93, expected 80, by the epochs",
    ),
    "ranks without their images": (at("query_ranks.image_of_text", None), "query_ranks.image_of_text: missing"),
    "ranks of another epoch": (at_an_epoch(1), "query_ranks.epoch is 1, expected 2, that of metrics.last"),
    "ranks that are all misses": (
        at("query_ranks.text", [20] * 300),
        "text_recall@1 is 80, expected 0, by query_ranks",
    ),
    "no ranks": (at("query_ranks.text", []), "query_ranks.text is 0 numbers, expected 300, by dataset.val"),
    "a rank that there is not": (at("query_ranks.text.0", 1500), "query_ranks.text is 1500, expected less than 1500"),
    "an image without a caption": (without_a_caption, "query_ranks.image_of_text is 1 images without a caption"),
    "300 queries as 1,000 images": (claimed_images, "query_ranks.text is 300 numbers, expected 1000, by dataset.val"),
    "a recall above 100": (lambda document: recalls_of(document, 9999), "expected at most 100, got 9999"),
    "a recall below 0": (lambda document: recalls_of(document, -1), "expected at least 0, got -1"),
    "a mean of other recalls": (
        at("epochs.0.recall.recall_mean", 99.0),
        "epochs.0.recall.recall_mean is 99, expected 93.3",
    ),
    "a recall that is not there": (at("epochs.0.recall.recall_mean", None), "epochs.0.recall is"),
    "an epoch beyond the run": (at("epochs.1.epoch", 3), "epochs.1.epoch is 3, expected 2"),
    "an epoch left out": (at("epochs.0", None), "epochs is 1 records, expected 2, by config.train and dataset.train"),
    "steps that the data do not give": (at("epochs.0.steps", 401), "epochs.0.steps is 401, expected 400"),
    "a window of a thousand steps": (
        at("epochs.0.windows.0", [1000, 0.001, 0]),
        "epochs.0.windows is 1190 steps, expected at most the epoch's 400",
    ),
    "a window in no time": (at("epochs.0.windows.0.1", 0), "epochs.0.windows.0 is [10, 0, 0.0], expected whole steps"),
    "a window that waits longer than it is": (at("epochs.0.windows.0.2", 5.0), "epochs.0.windows.0 is [10, "),
    "a window of half a step": (at("epochs.0.windows.0.0", 9.5), "epochs.0.windows.0 is [9.5, "),
    "a faster window": (at("epochs.0.windows.0.1", 0.01), ", by its windows"),
    "windows left out": (only_fast_windows, "epochs.0.throughput is"),
    "a throughput that was not measured": (
        of_all(*(at(f"metrics.{one}.values.throughput.value", 1e6) for one in ("last", "best"))),
        "metrics.last.values.throughput.value is 1e+06, expected 500",
    ),
    "a loss that no epoch had": (
        at("metrics.last.values.train_loss.value", 0.1),
        "train_loss.value is 0.1, expected 0.25",
    ),
    "a metric that is better when it falls": (
        at("metrics.last.values.recall_mean.direction", "lower"),
        "recall_mean is in percent, lower is better, expected in percent, higher is better",
    ),
    "a best epoch that was not": (at("metrics.best.epoch", 2), "metrics.best: the epoch is 2, expected 1"),
    "an endless epoch": (
        at("epochs.0.seconds.train", 1e308),
        "epochs: seconds in all is 1e+308, expected at most the 300",
    ),
    "an epoch that took no time": (at("epochs.0.seconds.eval", 0), "epochs.0.seconds.eval is 0, expected the seconds"),
    "windows longer than their epoch": (
        at("epochs.0.seconds.train", 3.0),
        "expected at most the 3 s of the",
    ),
    "an end before the start": (at("ended", "2025-01-01T00:00:00Z"), "ended is 2025-01-01T00:00:00Z, expected later"),
    "a run without a duration": (at("ended", "2026-01-01T00:00:00Z"), "ended is 2026-01-01T00:00:00Z, expected later"),
    "a month of 13": (at("ended", "2026-13-01T00:00:00Z"), "ended is 2026-13-01T00:00:00Z, expected a time in UTC"),
    "a year of 0": (at("started", "0000-01-01T00:00:00Z"), "started is 0000-01-01T00:00:00Z, expected a time in UTC"),
    "an integer of 400 digits": (at("epochs.0.windows.0.1", 10**400), "a number in it is too large"),
    "another seed than its configuration's": (at("seed", 7), "seed is 7, expected 0, as in config.seed"),
    "another reference than its configuration's": (
        at("reference", "flickr8k-sdaa-amp"),
        "reference is flickr8k-sdaa-amp, expected quickstart, as in config.reference",
    ),
    "a batch of no size": (at("config.train.batch_size", 0), "config.train.batch_size is 0, expected a whole number"),
    "no batch size": (at("config.train.batch_size", None), "config.train.batch_size is None, expected a whole number"),
    "an engine that is no name": (at("config.engine", {"value": 1}), "config.engine is {'value': 1}, expected a text"),
}


def words(text):
    return re.sub(r"\s+", " ", text)


@pytest.mark.parametrize("name", SEEN)
def test_what_does_not_agree_is_refused_with_both_figures(place, name):
    change, said = SEEN[name]
    document = copy.deepcopy(GOOD)
    change(document)
    path = signed(document, "bad/mine.json")
    stored(made_result("old", draw=1), "earlier")
    for words_of in (["compare", path], ["compare", path, "--baseline", "earlier"], ["validate", path]):
        output = words(run(*words_of, code=3))
        assert "mine.json: " in output and said in output, output


def test_fast_windows_alone_are_no_run(place):
    """Even where every figure is made of them: no more steps may lie outside than the warm-up has."""
    made = made_result("mine", slower=0.5)
    document = result_data(made)
    document["config"]["timing"]["warmup_steps"] = 10
    assert "epochs: steps outside the timed windows is 400, expected at most 10" in words(
        run("compare", signed(document, "mine.json"), code=3)
    )


def test_a_result_without_its_digest_is_refused(place):
    document = {key: value for key, value in GOOD.items() if key != "digest"}
    (place / "mine.json").write_text(json.dumps(document))
    assert "mine.json: not a valid result: digest: missing" in words(run("compare", "mine.json", code=3))


def rewritten(document):
    """A baseline's document whose hash is that of its results."""
    return json.dumps({**document, "results_sha256": results_digest(document["results"])})


@pytest.mark.parametrize("sign", [False, True])
def test_a_result_in_a_baseline_is_checked_too(place, sign):
    run("baseline", "set", stored(made_result("old")), "--reason", "good", "--name", "nightly")
    path = Path("results", "baseline", "nightly.json")
    document = json.loads(path.read_text())
    (inner,) = document["results"]
    recalls_of(inner, 5.0)
    inner["digest"] = digest_of(inner) if sign else inner["digest"]
    path.write_text(rewritten(document))
    output = words(run("compare", stored(made_result("new"), "new"), "--baseline", "adopted", code=3))
    assert "nightly.json: " in output
    assert ("text_recall@1 is 5, expected 80" if sign else "the result old in it was edited or damaged") in output


def test_a_run_that_ended_early_is_read(place):
    broken = result_data(failed(made_result("broken")))
    for key in ("query_ranks",):
        broken[key] = None
    broken["epochs"] = broken["epochs"][:1]
    broken["metrics"] = {"last": {**broken["metrics"]["last"], "epoch": 1}, "best": broken["metrics"]["best"]}
    for at_epoch in broken["metrics"].values():
        for name in ("train_loss", "val_loss"):
            at_epoch["values"][name]["value"] = broken["epochs"][0][name]
        at_epoch["values"]["throughput"]["value"] = broken["epochs"][0]["throughput"]
    assert "broken" in run("compare", signed(broken, "broken.json"), code=4)


@pytest.mark.parametrize("name", ["completed", "interrupted"])
def test_measured_results_agree_with_themselves(name):
    assert list(disagreements(read_result(Path(__file__).parent / "version_1" / f"{name}.json"))) == []

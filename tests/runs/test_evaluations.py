"""Evaluations from the shell: what a suite asks for is measured on shared features, stored, checked and compared."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from PIL import Image

from clipbench.results.document import digest_of
from tests.support.make_vocabulary import train_vocabulary, write_vocabulary
from tests.support.numpy_runs import COLOURS, ENGINE, clipbench, flat_suite, results, write_pictures
from tests.support.plugin_folder import install_plugin

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def flat(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("flat"))


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """A data root with flat pictures in a folder for each of six colours."""
    root = tmp_path_factory.mktemp("classes")
    colours = {**COLOURS, "black": (5, 5, 5), "grey": (120, 120, 120)}
    for name, colour in colours.items():
        (root / "val" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (40 + number, 40), colour).save(root / "val" / name / f"{number}.jpg")
    write_vocabulary(root / "words.txt.gz", train_vocabulary([f"a photo of a {name}" for name in colours], 60))
    return root


def run(folder, suite, *words, **environment):
    path = folder / "suite.yaml"
    path.write_text(yaml.safe_dump(suite), encoding="utf-8")
    return clipbench("run", path, *words, cwd=folder, **environment)


def classifying(root, **dataset):
    return {
        "name": "colours",
        "engine": "numpy",
        "model": {"name": "linear"},
        "dataset": {"name": "imagefolder", "root": str(root), "val": "val", **dataset},
        "train": {"epochs": 0},
        "eval": {"evaluations": ["classification"]},
    }


def test_folders_of_classes_are_classified_and_nothing_is_trained(classes, tmp_path):
    done = run(tmp_path, classifying(classes))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "acc1 50.00  acc5 83.33  mean per class 50.00" in done.stdout
    (result,) = results(tmp_path)
    assert {name: metric.unit for name, metric in result.metrics.last.values.items() if metric.value is not None} == {
        **dict.fromkeys(("acc1", "acc5", "mean_per_class_recall"), "percent")
    }
    (record,) = result.epochs
    assert (record.recall, result.query_ranks) == (None, None)
    assert record.reasons["val_loss"] == "the evaluated split has no captions"
    kept = result.per_query.values["classification"]
    assert list(kept["label"]) == [n // 3 for n in range(18)] and sum(rank < 1 for rank in kept["rank"]) == 9
    shown = clipbench("compare", "results", cwd=tmp_path)
    assert shown.returncode == 3 and "acc1 50.00 %, acc5 83.33 %, mean per class 50.00 %" in shown.stdout


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda data: data["per_query"]["values"]["classification"].update(rank=[0] * 18), "epochs.0.metrics.acc"),
        (lambda data: data["per_query"]["values"]["classification"]["label"].pop(), "classification.label"),
        (lambda data: data["metrics"]["last"]["values"]["acc1"].update(value=99.0), "metrics.last.values.acc1"),
        (lambda data: data["epochs"][0].update(metrics={}), "epochs.0.metrics"),
    ],
    ids=["a rank", "a label", "a figure", "no figures"],
)
def test_a_result_whose_accuracies_do_not_follow_from_its_ranks_is_refused(classes, tmp_path, change, key):
    assert run(tmp_path, classifying(classes)).returncode == 0
    (path,) = (tmp_path / "results").glob("*.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps({**data, "digest": digest_of(data)}), encoding="utf-8")
    done = clipbench("validate", path, cwd=tmp_path)
    assert done.returncode == 3 and key in done.stdout, done.stdout


def test_few_classes_have_no_acc5_and_the_result_says_why(classes, tmp_path):
    few = tmp_path / "data"
    for name in ("red", "green"):
        (few / "val" / name).mkdir(parents=True)
        (few / "val" / name / "0.jpg").write_bytes((classes / "val" / name / "0.jpg").read_bytes())
    (few / "words.txt.gz").write_bytes((classes / "words.txt.gz").read_bytes())
    assert run(tmp_path, classifying(few)).returncode == 0
    (result,) = results(tmp_path)
    metric = result.metric("acc5")
    assert (metric.value, metric.reason) == (None, "fewer than 5 classes have pictures")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["eval.evaluations=[retrieval]"], "retrieval needs captions, and dataset 'imagefolder' has none"),
        (["eval.evaluations=[classificatoin]"], "did you mean 'classification'?"),
        (["eval.evaluations=[]"], "eval.evaluations"),
        (["train.epochs=1", "dataset.train=val", "train.batch_size=4"], "the dataset has no captions to learn from"),
        (["dataset.name=flickr8k"], None),
    ],
)
def test_what_a_dataset_lacks_is_a_sentence(classes, flat, tmp_path, words, said):
    suite = classifying(classes)
    if said is None:
        suite["dataset"] = {"name": "flickr8k", "root": str(flat)}
        words, said = [], "classification needs pictures of classes, and dataset 'flickr8k' has none"
    done = run(tmp_path, suite, *(word for change in words for word in ("--set", change)))
    assert done.returncode == 2 and said in done.stdout + done.stderr, done.stdout + done.stderr


def test_a_third_evaluation_from_the_page_for_authors(flat, tmp_path):
    """It shares the captions' features with none, retrieval measures what it does alone, and a reference gates it."""
    section = PAGE.partition("\n## An evaluation\n")[2].partition("\n## ")[0]
    modules = dict(re.findall(r"^`order/(clipbench_order\w*)\.py`.*?\n+```python\n(.*?)^```", section, re.M | re.S))
    assert list(modules) == ["clipbench_order", "clipbench_order_evaluation"]
    site = install_plugin(tmp_path / "site", "clipbench_order", **modules)
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    found = {}
    for names in (["retrieval"], ["order", "retrieval"]):
        folder = tmp_path / names[0]
        folder.mkdir()
        suite = flat_suite(flat) | {"eval": {"evaluations": names}, "reference": "order"}
        done = run(folder, suite, PYTHONPATH=os.pathsep.join([str(ENGINE), path]))
        assert done.returncode == 0, done.stdout + done.stderr
        (found[names[0]],) = results(folder)
    alone, both = found["retrieval"], found["order"]
    assert [record.recall for record in both.epochs] == [record.recall for record in alone.epochs]
    assert both.query_ranks == alone.query_ranks
    assert [record.val_loss for record in both.epochs] == [record.val_loss for record in alone.epochs]
    # A bag of words cannot tell a caption from its reverse.
    assert both.value("order_accuracy") == 0.0 and set(both.per_query.values["order"]["won"]) == {0}
    assert all(record.metrics["order_accuracy"].direction == "higher" for record in both.epochs)

    half = {"value": 50.0, "unit": "percent", "direction": "higher", "tolerance": {"absolute": 5}}
    reference = {
        **{"kind": "clipbench.reference", "schema_version": 1, "name": "order", "summary": "-", "source": "-"},
        **dict.fromkeys(("date", "device", "precision", "batch_size", "epochs")),
        "metrics": {"order_accuracy": half},
    }
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "order.json").write_text(json.dumps(reference))
    # The plugin need not be there to judge what it has measured.
    judged = clipbench("compare", "order/results", "--references", "own", cwd=tmp_path)
    assert judged.returncode == 1 and "order accuracy" in judged.stdout, judged.stdout + judged.stderr
    missing = clipbench("compare", "retrieval/results", "--references", "own", cwd=tmp_path)
    assert missing.returncode == 1 and "order accuracy" in missing.stdout, missing.stdout + missing.stderr


def test_the_weights_and_the_split_of_a_published_figure_are_told_from_others(flat, tmp_path):
    """The dev split under its own name, a model of another size, weights that are not OpenAI's: each a reason."""
    suite = flat_suite(flat) | {"train": {"epochs": 0}, "reference": "flickr8k-zeroshot-b16"}
    assert run(tmp_path, suite).returncode == 0
    done = clipbench("compare", "results", "--format", "json", cwd=tmp_path)
    answer = json.loads(done.stdout)
    (one,) = answer["comparisons"]
    assert (done.returncode, one["status"]) == (3, "not comparable")
    differs = {difference["path"]: (difference["ours"], difference["theirs"]) for difference in one["differences"]}
    assert differs["dataset.val.split"] == ("own en_val", "en_test")
    assert differs["weights.published"] == ("none", "OpenAI ViT-B/16")
    assert differs["config.model.name"] == ("linear", "clip-vit-b16")
    allowed = clipbench("compare", "results", "--allow", "weights", "--format", "json", cwd=tmp_path)
    accepted = {one["path"]: one["allowed"] for one in json.loads(allowed.stdout)["comparisons"][0]["differences"]}
    assert accepted["weights.published"] and not accepted["dataset.val.split"]

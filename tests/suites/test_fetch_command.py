"""The command that gets what cases lack, and where a user reads it."""

import json
from pathlib import Path

import pytest

from clipbench.api.registry import load_registry
from clipbench.clip.config import OPENAI_VOCABULARY
from clipbench.clip.openai_weights import FETCHED
from clipbench.commands.fetch import fetch
from clipbench.fetch.catalogue import load_catalogue
from clipbench.suites.fetch_command import fetch_command
from clipbench.suites.loading import find_suite, load_suite
from clipbench.suites.plan import make_plan
from tests.support.numpy_runs import clipbench


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    monkeypatch.delenv("CLIPBENCH_DATA", raising=False)


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture
def command(registry, tmp_path, monkeypatch):
    """The command for a suite, with ``tmp_path`` as working folder and its ``data`` as data root."""
    monkeypatch.chdir(tmp_path)

    def make(suite, *changes, cases=()):
        loaded = load_suite(find_suite(suite), changes).select(cases)
        return fetch_command([make_plan(case, registry) for case in loaded.cases])

    return make


def test_a_suite_that_ships_is_one_word(command):
    assert command("flickr8k_amp") == "clipbench fetch flickr8k_amp"
    assert command("flickr8k_zeroshot") == "clipbench fetch flickr8k_zeroshot"
    assert command("flickr8k_amp", "train.epochs=1") == "clipbench fetch flickr8k_amp"


def test_nothing_to_fetch_is_no_command(command):
    assert command("quickstart") == ""
    assert command("quickstart", "model.weights=mine.pth") == ""


def test_another_data_root_is_named(command, tmp_path):
    root = tmp_path / "my data"
    assert command("flickr8k_amp", f"dataset.root={root}") == f"clipbench fetch flickr8k_amp --root '{root}'"


def test_other_files_than_the_suites_are_named_one_by_one(command, tmp_path):
    weights = "model.weights=checkpoints/ViT-B-32.pt"
    expected = "clipbench fetch flickr8k clip-vocabulary clip-vit-b32"
    assert command("flickr8k_amp", "model.name=clip-vit-b32", weights) == expected
    (tmp_path / "flickr8k_amp.yaml").write_text(
        "name: flickr8k_amp\nmodel: {name: clip-vit-b16}\ndataset: {name: shapes}\n"
    )
    assert command("flickr8k_amp.yaml") == "clipbench fetch clip-vocabulary"


def test_every_name_is_in_the_catalogue_and_goes_where_the_plan_looks(registry, tmp_path):
    catalogue = load_catalogue()
    for file, name in FETCHED.items():
        assert Path(file).name in [one.name for one in catalogue[name].files]
    for suite in ("flickr8k_amp", "flickr8k_cn"):
        plan = make_plan(load_suite(find_suite(suite), [f"dataset.root={tmp_path}"]).cases[0], registry)
        for missing in plan.missing:
            if missing.fetch and not missing.fetch.startswith("flickr8k"):
                (file,) = catalogue[missing.fetch].files
                assert str(file.place(tmp_path)) in missing.looked_in


@pytest.mark.parametrize("words", [["run", "--dry-run"], ["run"], ["doctor"]])
def test_run_and_doctor_name_the_command(words, tmp_path):
    done = clipbench(*words, "flickr8k_amp", cwd=tmp_path)
    assert done.returncode == 5
    text = " ".join((done.stderr + done.stdout).split())
    assert text.count("clipbench fetch flickr8k_amp") == 1, text
    if words[0] == "run":
        assert "get them with: clipbench fetch flickr8k_amp" in text
    assert fetch.make_context("fetch", ["flickr8k_amp"]).params["what"] == ("flickr8k_amp",)


def test_what_cannot_be_fetched_is_told_apart(tmp_path):
    changes = ["--set", "model.weights=mine.pth"]
    done = clipbench("run", "flickr8k_amp", *changes, "--dry-run", cwd=tmp_path)
    assert done.stderr.rstrip().endswith("get what can be fetched with: clipbench fetch flickr8k clip-vocabulary")
    done = clipbench("doctor", "flickr8k_amp", *changes, "--format", "json", cwd=tmp_path)
    (note,) = [
        one for one in json.loads(done.stdout)["findings"] if one["level"] == "note" and one["subject"] == "missing"
    ]
    assert note["fix"] == "clipbench fetch flickr8k clip-vocabulary"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / OPENAI_VOCABULARY).touch()
    done = clipbench("run", "flickr8k_amp", *changes, "--dry-run", cwd=tmp_path)
    assert done.stderr.rstrip().endswith("clipbench fetch flickr8k")

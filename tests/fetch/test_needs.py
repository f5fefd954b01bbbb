"""What a suite still needs."""

import json

import pytest
from PIL import Image

from clipbench.api.registry import load_registry
from clipbench.clip.config import OPENAI_VOCABULARY
from clipbench.errors import UsageError
from clipbench.fetch.catalogue import load_catalogue
from clipbench.fetch.fetching import make_jobs
from clipbench.fetch.needs import find_wanted, still_missing


@pytest.fixture(scope="module")
def registry():
    return load_registry()


@pytest.fixture
def needs(registry, tmp_path):
    """Names of what has to be downloaded for words, in order, with the data root in ``tmp_path``."""

    def find(*words):
        items, _ = find_wanted(words, tmp_path, registry, load_catalogue())
        assert all(root == tmp_path for _, root in items)
        return list(dict.fromkeys(job.item.name for job in make_jobs(items, None) if job.to_download()))

    return find


def test_a_suite_needs_everything_at_first(needs):
    weights = ["clip-vit-b16", "clip-vit-b32", "clip-vit-l14", "clip-vit-l14-336"]
    assert needs("flickr8k_amp") == ["flickr8k", "clip-vocabulary", "clip-vit-b16"]
    assert sorted(needs("flickr8k_zeroshot")) == sorted(["flickr8k", "clip-vocabulary", *weights])
    assert needs("flickr8k_amp", "flickr8k_zeroshot", "clip-vocabulary")[:3] == [
        "clip-vocabulary",
        "flickr8k",
        "clip-vit-b16",
    ]


def test_of_other_photographs_the_lists_can_be_had(needs):
    """The publisher of Flickr30k gives its photographs on application, and COCO's have no published hash."""
    for suite in ("flickr30k_zeroshot", "coco_zeroshot"):
        assert {"karpathy-splits", "clip-vocabulary", "clip-vit-b16"} <= set(needs(suite))
    # open_clip's weights have no whole hash that is known here.
    assert sorted(needs("laion_zeroshot")) == ["clip-vocabulary", "flickr8k", "karpathy-splits"]


def test_a_suite_without_files_needs_nothing(needs):
    assert needs("quickstart") == []


def test_weights_that_a_suite_can_do_without_are_left_out(needs):
    assert needs("flickr8k_smoke") == ["flickr8k", "clip-vocabulary"]


@pytest.mark.parametrize("weights", ["ViT-B-16-OpenAI.pth", "ViT-B-16.pt"])
def test_what_is_there_is_not_needed_but_checked(needs, registry, tmp_path, weights):
    (tmp_path / OPENAI_VOCABULARY).touch()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / weights).touch()
    assert needs("flickr8k_amp") == ["flickr8k"]
    to_check = {item.name for item, _ in find_wanted(["flickr8k_amp"], tmp_path, registry, load_catalogue())[0]}
    assert to_check - {"flickr8k"} == {"clip-vocabulary"} | ({"clip-vit-b16"} if weights == "ViT-B-16.pt" else set())
    pictures = tmp_path / "datasets" / "flickr8k-images"
    pictures.mkdir(parents=True)
    names = [f"{number}.jpg" for number in range(32)]  # a batch
    for name in names:
        Image.new("RGB", (8, 8)).save(pictures / name)
    entries = [{"image": f"flickr8k-images/{name}", "caption": ["a black square"]} for name in names]
    for split in ("train", "val"):
        (tmp_path / "datasets" / f"en_{split}.json").write_text(json.dumps(entries))
    assert needs("flickr8k_amp") == []


def test_a_file_in_the_working_folder_is_enough(needs, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here" / OPENAI_VOCABULARY).touch()
    assert needs("flickr8k_smoke") == ["flickr8k"]


def test_files_of_the_users_own_cannot_be_had(needs, registry, tmp_path):
    suite = tmp_path / "own.yaml"
    suite.write_text(
        "name: own\nmodel: {name: clip-vit-b16, weights: mine.pth, vocabulary: mine.gz}\ndataset: {name: shapes}\n"
    )
    assert needs(str(suite)) == []
    _, plans = find_wanted([str(suite)], tmp_path, registry, load_catalogue())
    assert [missing.what for missing in still_missing(plans, registry)] == [
        "BPE vocabulary mine.gz",
        "weights mine.pth for clip-vit-b16",
    ]


def test_the_suites_own_root_holds_where_none_is_given(registry, tmp_path, monkeypatch):
    suite = tmp_path / "own.yaml"
    suite.write_text(
        f"name: own\nmodel: {{name: clip-vit-b16}}\ndataset: {{name: shapes, root: {tmp_path / 'mine'}}}\n"
    )
    monkeypatch.setenv("CLIPBENCH_DATA", str(tmp_path / "everyones"))
    items, _ = find_wanted([str(suite), "clip-vit-b32"], None, registry, load_catalogue())
    assert {item.name: root.name for item, root in items} == {"clip-vocabulary": "mine", "clip-vit-b32": "everyones"}


@pytest.mark.parametrize("root", ["a folder: with # signs", "~", "-1", "null", "Ä\"'"])
def test_a_root_of_any_name(registry, tmp_path, monkeypatch, root):
    monkeypatch.chdir(tmp_path)
    items, _ = find_wanted(["flickr8k_zeroshot"], tmp_path / root, registry, load_catalogue())
    assert {place for _, place in items} == {tmp_path / root}


@pytest.mark.parametrize(("word", "nearest"), [("flickr8", "flickr8k"), ("flickr8k_zeroshoot", "flickr8k_zeroshot")])
def test_a_word_that_is_neither(needs, word, nearest):
    with pytest.raises(UsageError, match=rf"{word}: .*clipbench fetch --list\); did you mean '{nearest}'\?"):
        needs(word)

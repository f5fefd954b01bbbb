"""``clipbench validate`` on data roots: which layout, which splits, and whether they are the official ones."""

import json

import pytest
from click.testing import CliRunner

from clipbench.cli import main
from tests.support.layouts import LAYOUTS, write_layout
from tests.support.official_splits import RECORDED, captions_of, names_of

NAMES = {
    "published": "the published layout",
    "original": "the original release",
    "kaggle": "Kaggle's layout",
    "kaggle unquoted": "Kaggle's layout",
    "karpathy": "Karpathy's JSON",
    "laion": "LAION's lists",
}


@pytest.fixture(scope="module")
def splits(data_root):
    captions = captions_of(data_root / "original")
    return {split: {name: captions[name] for name in names_of(data_root / "original", split)} for split in RECORDED}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, splits):
    """A folder with a picture of one pixel for each image of the official splits."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    Image.new("RGB", (1, 1)).save(folder / "first.jpg")
    content = (folder / "first.jpg").read_bytes()
    for pairs in splits.values():
        for name in pairs:
            (folder / name).write_bytes(content)
    return folder


def validate(*words):
    done = CliRunner().invoke(main, ["validate", *map(str, words), "--format", "json"])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, json.loads(done.stdout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_says_layout_counts_and_that_splits_are_official(tmp_path, splits, pictures, layout):
    write_layout(tmp_path, layout, splits, pictures)
    code, verdicts = validate(tmp_path)
    assert code == 0 and len(verdicts) == 3
    for split, pairs in splits.items():
        images, captions = len(pairs), sum(map(len, pairs.values()))
        counts = f"{images:,} pictures, {captions:,} captions; {NAMES[layout]}; the official {split} split"
        assert sum(counts in verdict["detail"] for verdict in verdicts) == 1
    assert all(verdict["ok"] and verdict["warnings"] == [] for verdict in verdicts)


def test_a_refused_split_has_its_counts_and_the_others_their_verdict(tmp_path, splits):
    mixed = {**splits, "dev": dict(list(splits["dev"].items())[1:] + list(splits["test"].items())[:1])}
    write_layout(tmp_path, "original", mixed)
    code, verdicts = validate(tmp_path)
    (dev,) = [verdict for verdict in verdicts if verdict["path"].endswith("devImages.txt")]
    assert "1 are missing; of the 1,000 listed, 0 are in no official split, 1 are in test" in dev["problem"]
    assert code == 5
    assert "6,000 of 6,000 pictures are missing" in verdicts[0]["problem"]


def test_layouts_beside_one_another_are_all_checked(tmp_path, splits):
    write_layout(tmp_path, "published", {"dev": splits["dev"]})
    write_layout(tmp_path, "laion", {"test": splits["test"]})
    _, verdicts = validate(tmp_path)
    assert [verdict["detail"].split("; ")[1] for verdict in verdicts] == [NAMES["published"], NAMES["laion"]]


def test_a_part_of_a_split_is_a_warning(data_root):
    code, verdicts = validate(data_root / "datasets" / "..")
    told = "96 of the 1,000 images of Flickr8k's official dev split"
    assert code == 0 and told in verdicts[1]["detail"] and told in verdicts[1]["warnings"][0]


def test_captions_of_other_photographs_say_so(tmp_path):
    (tmp_path / "Images").mkdir()
    (tmp_path / "captions.txt").write_text("image,caption\na.jpg,one\n")
    code, (verdict,) = validate(tmp_path)
    assert code == 5 and "has no image of an official split of Flickr8k" in verdict["problem"]
    (tmp_path / "captions.txt").write_text("hello\n")
    code, (verdict,) = validate(tmp_path)
    assert code == 5 and "captions.txt, line 1: 'hello'" in verdict["problem"]


def test_a_folder_that_only_looks_like_a_data_root_is_searched_for_files(tmp_path):
    (tmp_path / "captions.txt").write_text("subtitles of a film")
    (tmp_path / "s.yaml").write_text("{name: s, model: {name: clip-tiny}, dataset: {name: shapes}}")
    code, (verdict,) = validate(tmp_path)
    assert code == 0 and verdict["kind"] == "suite"

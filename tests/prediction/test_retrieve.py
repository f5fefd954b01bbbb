"""`clipbench retrieve`: captions for pictures, pictures for texts, of a split or of files."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.prediction.test_predict import flat

QUERY = "the left is green , the right is green ."


def answers(done, code=0):
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)["answers"]


def test_a_text_finds_pictures_of_the_split(run, command):
    (answer,) = answers(command("retrieve", "--text", QUERY, "--run", run, "--top", "3", "--format", "json"))
    assert (answer["query"], answer["kind"], len(answer["hits"])) == (QUERY, "text", 3)
    best = answer["hits"][0]
    assert best["captions"] == ["green beside green", QUERY]
    assert best["found"] == f"picture {best['index']} of val"
    cosines = [hit["cosine"] for hit in answer["hits"]]
    assert cosines == sorted(cosines, reverse=True)


def test_a_picture_of_the_split_finds_captions_and_its_own_are_marked(run, command):
    words = ["--index", "0", "--index", "5", "--run", run]
    found = answers(command("retrieve", *words, "--top", "24", "--format", "json"))
    assert [answer["query"] for answer in found] == ["picture 0 of val", "picture 5 of val"]
    for answer, index in zip(found, (0, 5), strict=True):
        assert sum(hit["is_own"] for hit in answer["hits"]) == 2
        assert all(hit["is_own"] == (hit["index"] == index) for hit in answer["hits"])
    table = command("retrieve", *words)
    assert table.exit_code == 0 and table.stdout.count("(its own)") >= 2
    assert "searched 12 pictures and 24 captions" in table.stdout


def test_the_training_split_is_searched_where_that_is_asked_for(run, command):
    done = command("retrieve", "--index", "39", "--run", run, "--split", "train", "--format", "json")
    assert answers(done)[0]["query"] == "picture 39 of train"


def test_files_are_searched_instead_of_a_dataset(run, tmp_path, command):
    pictures = [str(flat(tmp_path / f"{left}.png", left, left)) for left in ("red", "green", "blue")]
    (tmp_path / "captions.txt").write_text("red beside red\nblue beside blue\n")
    (tmp_path / "broken.png").write_bytes(b"no")
    words = ["--pictures", tmp_path, "--captions", tmp_path / "captions.txt", "--run", run, "--format", "json"]
    done = command("retrieve", "--text", "green beside green", "--image", pictures[2], *words)
    by_text, by_picture = answers(done, code=3)
    assert by_text["hits"][0]["found"] == pictures[1] and len(by_text["hits"]) == 3
    assert by_picture["hits"][0] == {
        "found": "blue beside blue", "cosine": pytest.approx(by_picture["hits"][0]["cosine"]), "index": None,
        "captions": [], "is_own": None,
    }  # fmt: skip
    assert "broken.png: not a picture" in done.stderr


def test_a_picture_of_the_split_that_cannot_be_read_is_named_and_the_rest_done(run, pictures, tmp_path, command):
    root = tmp_path / "root"
    folder = root / "datasets" / "flickr8k-images"
    folder.mkdir(parents=True)
    for name in ("en_train.json", "en_val.json"):
        (root / "datasets" / name).write_text((pictures / "datasets" / name).read_text())
    (root / "words.txt.gz").write_bytes((pictures / "words.txt.gz").read_bytes())
    for path in (pictures / "datasets" / "flickr8k-images").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    bad = folder / "val-7.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(noise).save(bad)
    bad.write_bytes(bad.read_bytes()[:-400])  # its header is whole
    words = ["--text", QUERY, "--run", run, "--set", f"dataset.root={root}", "--top", "12", "--format", "json"]
    done = command("retrieve", *words)
    (answer,) = answers(done, code=3)
    assert len(answer["hits"]) == 11 and 7 not in {hit["index"] for hit in answer["hits"]}
    assert "picture 7 of val" in done.stderr and "val-7.jpg" in done.stderr


@pytest.mark.parametrize(
    "words, said",
    [
        ([], "nothing to search by; give --text, --texts, --image or --index"),
        (["--index", "12"], "--index 12: the split has no such picture; expected 0 to 11"),
        (["--index", "-1"], "--index -1: the split has no such picture"),
        (["--index", "0", "--captions", "c.txt"], "--index: counts the pictures of a split"),
        (["--text", "x", "--captions", "c.txt"], "a text finds pictures, and none are searched"),
        (["--image", "p.png", "--pictures", "p.png"], "a picture finds captions, and none are searched"),
    ],
)
def test_what_cannot_be_searched_is_said(words, said, run, learnt, command):
    Path("c.txt").write_text("a caption")
    flat(learnt / "p.png", "red", "red")
    done = command("retrieve", *words, "--run", run)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert said in done.stderr


def test_a_dataset_that_is_not_there_is_missing(run, tmp_path, command):
    done = command("retrieve", "--text", "x", "--run", run, "--set", f"dataset.root={tmp_path}")
    assert done.exit_code == 5 and "en_val.json" in done.stderr

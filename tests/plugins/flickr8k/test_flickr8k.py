"""Dataset flickr8k: pictures and captions found, missing files told, splits sent to other processes."""

import json
import os
import pickle
from pathlib import Path

import pytest
from PIL import Image

from clipbench.api import DatasetRequest, Fingerprint
from clipbench.errors import CaseFailedError, NotReadyError, UsageError
from clipbench_flickr8k.flickr8k import Flickr8k

COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]


def request(root, train="datasets/en_train.json", **more):
    return DatasetRequest(root=root, train=train, val="datasets/en_val.json", cache=root / "cache", **more)


@pytest.fixture
def layout(tmp_path):
    """Three training and two validation pictures of one colour each, in the published layout."""
    pictures = tmp_path / "datasets" / "flickr8k-images"
    pictures.mkdir(parents=True)
    for split, count in (("train", 3), ("val", 2)):
        entries = []
        for number in range(count):
            Image.new("RGB", (8, 6), COLOURS[number]).save(pictures / f"{split}{number}.png")
            captions = [f"{split} {number}", "another"] if number else "only one"
            entries.append({"image": f"flickr8k-images\\{split}{number}.png", "caption": captions})
        (tmp_path / "datasets" / f"en_{split}.json").write_text(json.dumps(entries))
    return tmp_path


def test_a_bare_name_is_found_where_published_files_lie(data_root, tmp_path):
    request = DatasetRequest(root=data_root, train="", val="en_val.json", cache=tmp_path)
    assert Flickr8k(request).sizes() == (0, 96)


def test_gives_pictures_captions_and_fingerprints(layout):
    data = Flickr8k(request(layout))
    data.prepare()
    assert data.missing() == [] and data.sizes() == (3, 2)
    train = data.train()
    assert len(train) == 3
    assert [list(train.captions(index)) for index in range(2)] == [["only one"], ["train 1", "another"]]
    assert [train.image(index).getpixel((0, 0)) for index in range(3)] == COLOURS
    fingerprint = data.val().fingerprint
    assert fingerprint == Fingerprint("own en_val", 2, 3, fingerprint.annotation_sha256)
    assert fingerprint.annotation_sha256 != train.fingerprint.annotation_sha256


def test_a_split_survives_pickling(layout):
    train = pickle.loads(pickle.dumps(Flickr8k(request(layout)).train()))
    assert train.captions(2) == ("train 2", "another") and train.image(2).getpixel((0, 0)) == COLOURS[2]


def test_all_that_is_missing_is_told_at_once(layout):
    pictures = layout / "datasets" / "flickr8k-images"
    (layout / "datasets" / "en_train.json").unlink()
    (pictures / "val1.png").unlink()
    annotation, images = Flickr8k(request(layout)).missing()
    assert annotation.what == "annotation file en_train.json"
    assert Path(annotation.looked_in) == layout / "datasets" / "en_train.json"
    assert images.what == "1 of 2 pictures (val1.png)" and Path(images.looked_in) == pictures
    assert "Hodosh" in images.source and "dataset.root" in annotation.source


def test_thousands_of_missing_pictures_make_one_entry(layout):
    entries = [{"image": f"flickr8k-images\\{number}.jpg", "caption": "x"} for number in range(2000)]
    (layout / "datasets" / "en_train.json").write_text(json.dumps(entries))
    (images,) = Flickr8k(request(layout)).missing()
    assert images.what == "2,000 of 2,002 pictures (0.jpg, 1.jpg, 2.jpg, ...)"


def test_a_missing_picture_folder_is_told(layout):
    (layout / "datasets" / "flickr8k-images").rename(layout / "elsewhere")
    (images,) = Flickr8k(request(layout)).missing()
    assert images.what.startswith("5 of 5 pictures")


def test_pictures_are_looked_for_by_one_listing(layout, monkeypatch):
    looked_at = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked_at.append(Path(path)) or scandir(path))
    assert Flickr8k(request(layout)).missing() == []
    assert looked_at == [layout / "datasets" / "flickr8k-images"]


def test_an_unusable_annotation_file_stops_the_check(layout):
    (layout / "datasets" / "en_val.json").write_text("[]")
    with pytest.raises(NotReadyError, match=r"en_val\.json: holds an empty list"):
        Flickr8k(request(layout)).missing()


@pytest.mark.parametrize("damage", ["no picture", "half a picture", "gone"])
def test_a_picture_that_cannot_be_opened_is_named(layout, damage):
    path = layout / "datasets" / "flickr8k-images" / "train1.png"
    if damage == "gone":
        path.unlink()
    elif damage == "no picture":
        path.write_text("no picture")
    else:
        Image.effect_noise((64, 64), 50).save(path)
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CaseFailedError, match=r"train1\.png: image 1 of en_train\.json cannot be used"):
        Flickr8k(request(layout)).train().image(1)


def test_evaluation_needs_no_training_split(layout):
    (layout / "datasets" / "en_train.json").unlink()
    data = Flickr8k(request(layout, train=""))
    assert data.missing() == [] and data.sizes() == (0, 2) and len(data.val()) == 2
    with pytest.raises(UsageError, match=r"dataset\.train"):
        data.train()


def test_options_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"dataset\.options\.seed"):
        Flickr8k(request(tmp_path, options={"seed": 1}))


def test_reads_the_photographs(data_root):
    data = Flickr8k(request(data_root))
    assert data.missing() == []
    assert data.sizes() == (256, 96)
    val = data.val()
    assert val.fingerprint.captions == sum(len(val.captions(index)) for index in range(len(val))) == 480
    picture = val.image(95)
    assert picture.mode == "RGB" and max(picture.size) <= 500

"""Datasets flickr30k and coco by Karpathy's JSON."""

import json

import pytest
from PIL import Image

from clipbench.api import DatasetRequest
from clipbench.api.registry import load_object
from clipbench.errors import NotReadyError
from clipbench_flickr8k import clipbench_datasets, official
from clipbench_flickr8k.official import OfficialSplit

SIZES = {"train": 4, "dev": 2, "test": 2}


@pytest.fixture(params=["flickr30k", "coco"])
def collection(request, monkeypatch, tmp_path):
    """A small collection in Karpathy's JSON, and how many images the plugin is told that it has."""
    name = request.param
    known = {
        split: OfficialSplit(split, f"{name}_{'val' if split == 'dev' else split}", size)
        for split, size in SIZES.items()
    }
    monkeypatch.setattr(official, "_sized_splits", lambda collection, **sizes: known)
    for function in (official.flickr30k, official.coco):
        function.cache_clear()
    yield name, tmp_path
    for function in (official.flickr30k, official.coco):
        function.cache_clear()


def write(root, name, splits=("train", "restval", "train", "train", "val", "val", "test", "test"), captions=5):
    images = []
    for number, split in enumerate(splits):
        image = {"filename": f"{number}.jpg", "split": split}
        place = root / "flickr30k-images"
        if name == "coco":
            image["filepath"] = "train2014" if split == "train" else "val2014"
            place = root / image["filepath"]
        image["sentences"] = [{"raw": f"caption {caption} of {number}\n"} for caption in range(captions + number % 2)]
        place.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6), (number * 10, 0, 0)).save(place / image["filename"], quality=100)
        images.append(image)
    (root / f"dataset_{name}.json").write_text(json.dumps({"images": images, "dataset": name}))


def dataset(name, root, **more):
    spec = next(spec for spec in clipbench_datasets() if spec.name == name)
    names = {"train": "datasets/en_train.json", "val": "datasets/en_val.json"}
    return load_object(spec.load)(DatasetRequest(root=root, cache=root / "cache", **{**names, **more}))


def test_reads_splits_with_restval_in_training_and_five_captions(collection):
    name, root = collection
    write(root, name)
    data = dataset(name, root)
    assert data.missing() == [] and data.sizes() == (4, 2)
    train, val = data.train(), data.val()
    assert (train.fingerprint.split, val.fingerprint.split) == (f"{name}_train", f"{name}_val")
    assert (train.fingerprint.captions, val.fingerprint.captions) == (20, 10)
    assert train.captions(1) == tuple(f"caption {number} of 1" for number in range(5))
    assert abs(train.image(1).getpixel((0, 0))[0] - 10) < 4
    assert data.warnings() == [
        f"dataset_{name}.json (train): 2 captions beyond the first 5 of an image left out, as in published evaluations",
        f"dataset_{name}.json (dev): 1 caption beyond the first 5 of an image left out, as in published evaluations",
    ]
    test = dataset(name, root, train="", val="test")
    assert test.sizes() == (0, 2) and test.val().fingerprint.split == f"{name}_test"


def test_a_split_of_another_size_is_refused(collection):
    name, root = collection
    write(root, name, splits=("val", "val", "val", "test", "mine"))
    with pytest.raises(NotReadyError, match="official dev split: 3 images are listed; the split has 2; restore"):
        dataset(name, root, train="").missing()
    assert dataset(name, root, train="", val="mine").sizes() == (0, 1)


def test_validate_counts_the_splits(collection):
    name, root = collection
    write(root, name)
    spec = next(spec for spec in clipbench_datasets() if spec.name == name)
    findings = load_object(spec.check)(root, False)
    assert [finding.summary for finding in findings] == [
        f"{split}: {size} pictures, {5 * size} captions; Karpathy's JSON; "
        f"{size} images, as many as the official {split} split has"
        for split, size in SIZES.items()
    ]
    assert not any(finding.problems for finding in findings)


def test_the_captions_of_another_collection_are_refused(collection):
    name, root = collection
    write(root, name)
    path = root / f"dataset_{name}.json"
    path.write_text(path.read_text().replace(f'"dataset": "{name}"', '"dataset": "flickr8k"'))
    with pytest.raises(NotReadyError, match=f"dataset: 'flickr8k'; expected '{name}'"):
        dataset(name, root).missing()

"""Official splits: what is known of them is what was published."""

import json
from pathlib import Path

import pytest

import clipbench_flickr8k
from clipbench_flickr8k.official import coco, compare_names, flickr8k, flickr30k, name_hash
from tests.support.official_splits import RECORDED, known_splits, names_of


def test_the_known_splits_are_made_of_the_published_lists(data_root):
    path = Path(clipbench_flickr8k.__file__).with_name("official.json")
    assert json.loads(path.read_text()) == known_splits(data_root / "original")


def test_every_image_has_its_place_and_no_two_share_a_hash(data_root):
    collection = flickr8k()
    lists = {split: names_of(data_root / "original", split) for split in RECORDED}
    for split, names in lists.items():
        assert collection.splits[split].images == len(names)
        assert [collection.splits[split].place(name) for name in names] == list(range(len(names)))
        assert {collection.split_of(name).name for name in names} == {split}
    assert len({name_hash(name) for names in lists.values() for name in names}) == 8000


@pytest.mark.parametrize(
    ("name", "split"),
    [("en_val", "dev"), ("val", "dev"), ("dev", "dev"), ("en_train", "train"), ("test", "test"), ("cn_val", None)],
)
def test_names_of_official_splits(name, split):
    official = flickr8k().official(name)
    assert (official and official.name) == split


def test_names_are_compared_without_folder_and_ending(data_root):
    names = names_of(data_root / "original", "dev")
    collection = flickr8k()
    for form in ("{}", "images/{}"):
        listed = [form.format(name).removesuffix(".jpg") for name in names]
        assert compare_names(listed, collection.splits["dev"], collection).is_official


def test_where_only_the_size_is_known_the_number_decides():
    for collection, sizes in ((flickr30k(), (29_000, 1_014, 1_000)), (coco(), (113_287, 5_000, 5_000))):
        assert tuple(split.images for split in collection.splits.values()) == sizes
        dev = collection.splits["dev"]
        for count in (dev.images - 1, dev.images, dev.images + 1):
            comparison = compare_names([str(number) for number in range(count)], dev, collection)
            assert comparison.is_official == (count == dev.images)
            assert not comparison.is_part and not comparison.is_own

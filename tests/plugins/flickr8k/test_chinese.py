"""Captions in Chinese: Flickr8k-CN's file, the published layout and Chinese-CLIP's format."""

import base64
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from clipbench.api import DatasetRequest, NotReadyError
from clipbench_flickr8k.annotations import pairs_sha256
from clipbench_flickr8k.caption_files import read_tagged
from clipbench_flickr8k.data_root import DataRoot
from clipbench_flickr8k.flickr8k import Flickr8kCn
from clipbench_flickr8k.official import flickr8k, flickr8k_cn
from clipbench_flickr8k.packed import read_packed
from clipbench_flickr8k.validating import check_flickr8k, check_flickr8k_cn
from tests.support.chinese import jpeg, write_chinese_clip, write_published
from tests.support.numpy_runs import clipbench, flat_suite, results
from tests.support.official_splits import names_of

OFFICIAL = (("train", "train", 6000), ("val", "dev", 1000), ("test", "test", 1000))


def dataset(root, train="datasets/cn_train.json", val="datasets/cn_val.json", **changes):
    return Flickr8kCn(DatasetRequest(root=root, train=train, val=val, cache=root / "cache", trusted=True, **changes))


def content(split):
    return [(list(split.captions(index)), np.asarray(split.image(index)).mean().round()) for index in range(len(split))]


# --- Flickr8k-CN -------------------------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "split", "images"), [("train", "train", 6000), ("val", "dev", 1000), ("test", "test", 1000)]
)
def test_the_file_has_the_official_splits(data_root, name, split, images):
    """By the names in the original release, in their order, with the captions as they stand in the file."""
    file = data_root / "chinese" / "flickr8kzhc.caption.txt"
    annotations = DataRoot(file.parent, flickr8k_cn()).read(f"datasets/cn_{name}.json")
    assert annotations.standing == f"the official {split} split" and annotations.split == f"cn_{name}"
    captions = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        key, _, text = line.partition(" ")
        captions.setdefault(key.split("#")[0], []).append(text.strip())
    expected = [(image, captions[image]) for image in names_of(data_root / "original", split)]
    assert [(entry.name, list(entry.captions)) for entry in annotations.entries] == expected
    assert len(expected) == images and not annotations.notes
    assert annotations.sha256 == pairs_sha256(expected) == flickr8k_cn().splits[split].pairs_sha256


def test_lines_are_ordered_by_number_and_a_bad_one_is_named(tmp_path):
    path = tmp_path / "flickr8kzhc.caption.txt"
    path.write_text("b.jpg#zhc#1 二 号\nb.jpg#zhc#0 一号\na.jpg#zhc#0 三\n", encoding="utf-8")
    assert {name: entry.captions for name, entry in read_tagged(path).items()} == {
        "b.jpg": ("一号", "二 号"),
        "a.jpg": ("三",),
    }
    path.write_text("b.jpg#zhc#0 一\nb.jpg 二\n", encoding="utf-8")
    with pytest.raises(NotReadyError, match=r"line 2: 'b.jpg 二': expected NAME.jpg#zhc#0, a space and the caption"):
        read_tagged(path)
    path.write_text("b.jpg#zhc#0 一\nb.jpg#zhc#0 二\n", encoding="utf-8")
    with pytest.raises(NotReadyError, match=r"line 2: .*given twice"):
        read_tagged(path)


def test_a_translation_of_the_test_split_is_named_by_its_file(tmp_path):
    (tmp_path / "flickr8kzhmtest.captions.txt").write_text("x.jpg#zhm#0 一\n", encoding="utf-8")
    annotations = DataRoot(tmp_path, flickr8k_cn()).read("flickr8kzhmtest.captions.txt")
    assert (annotations.split, annotations.entries[0].captions) == ("flickr8kzhmtest.captions", ("一",))


def test_what_is_missing_is_fetched_by_two_names(tmp_path):
    missing = dataset(tmp_path).missing()
    assert {item.fetch for item in missing} == {"flickr8k-cn", "flickr8k"}
    assert "flickr8kzhc.caption.txt" in missing[0].source
    (tmp_path / "Images").mkdir()
    assert {item.fetch for item in dataset(tmp_path).missing()} == {"flickr8k-cn"}


# --- the published layout ----------------------------------------------------------------------------------------


def test_the_published_layout_is_of_one_language(tmp_path):
    root = write_published(tmp_path)
    (root / "datasets" / "my_train.json").write_text((root / "datasets" / "cn_train.json").read_text())
    assert [finding.path.name for finding in check_flickr8k_cn(root, deep=True)] == ["cn_train.json", "cn_val.json"]
    assert [finding.path.name for finding in check_flickr8k(root, deep=False)] == ["my_train.json"]
    found = dataset(root)
    assert not found.missing() and found.sizes() == (3, 2)
    assert found.val().fingerprint.split == "own cn_val"


def test_another_language_has_other_hashes():
    english, chinese = flickr8k().splits, flickr8k_cn().splits
    assert [split.recorded for split in chinese.values()] == ["cn_train", "cn_val", "cn_test"]
    assert all(chinese[name].places == english[name].places for name in english)
    assert not {one.pairs_sha256 for one in chinese.values()} & {one.pairs_sha256 for one in english.values()}


# --- Chinese-CLIP's format ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_the_same_pairs_as_in_the_published_layout(tmp_path, encode):
    (tmp_path / "packed").mkdir()
    packed = dataset(write_chinese_clip(tmp_path / "packed", encode=encode))
    published = dataset(write_published(tmp_path / "published"))
    assert not packed.missing() and not packed.warnings() and packed.sizes() == (3, 2)
    for one, other in ((packed.train(), published.train()), (packed.val(), published.val())):
        assert content(one) == content(other)
        # It is sent to loader processes.
        assert content(pickle.loads(pickle.dumps(one))) == content(one)
    assert packed.val().fingerprint.split == "own valid"
    named = dataset(tmp_path / "packed", "train", "valid_texts.jsonl")
    assert content(named.val()) == content(packed.val())


def test_validate_looks_into_the_file(tmp_path):
    write_chinese_clip(tmp_path)
    findings = check_flickr8k_cn(tmp_path, deep=True)
    assert [(finding.path.name, finding.problems) for finding in findings] == [
        ("train_texts.jsonl", ()),
        ("valid_texts.jsonl", ()),
    ]
    assert "3 pictures, 5 captions; Chinese-CLIP's format" in findings[0].summary
    lines = (tmp_path / "train_imgs.tsv").read_bytes().splitlines(keepends=True)
    (tmp_path / "train_imgs.tsv").write_bytes(
        b"11\t!!!!\n" + b"12\t" + base64.b64encode(b"no picture") + b"\n" + lines[2]
    )
    (finding, _) = check_flickr8k_cn(tmp_path, deep=False)
    assert "2 of 3 pictures cannot be used (11: its base64 is damaged" in finding.problems[0]
    assert "12: not a picture" in finding.problems[0]
    (tmp_path / "train_imgs.tsv").write_bytes(lines[2])
    (finding, _) = check_flickr8k_cn(tmp_path, deep=False)
    assert "2 of 3 pictures are missing (11, 12)" in finding.problems[0]


def test_pictures_that_cannot_be_used_are_left_out_until_the_file_changes(tmp_path):
    write_chinese_clip(tmp_path)
    whole = (tmp_path / "train_imgs.tsv").read_bytes()
    (tmp_path / "train_imgs.tsv").write_bytes(whole.replace(b"11\t", b"11\t!"))
    assert dataset(tmp_path, on_bad_image="skip").train().skipped == 1
    (tmp_path / "train_imgs.tsv").write_bytes(whole)
    assert dataset(tmp_path, on_bad_image="skip").train().skipped == 0


def test_texts_of_several_images_and_of_none(tmp_path):
    write_chinese_clip(tmp_path, extra=[("共同的", [11, 21, 12]), ("没有图", [])])
    found = dataset(tmp_path, "train", "train")
    assert ["共同的" in captions for captions, _ in content_of(found, ("11", "12", "13"))] == [True, True, False]
    notes = DataRoot(tmp_path, flickr8k_cn()).read("train").notes
    assert "1 texts belong to several images" in notes[0] and "1 texts without an image are left out" in notes[1]
    assert [item.what for item in found.missing()] == ["1 of 4 pictures (21)"]
    (tmp_path / "test_imgs.tsv").write_bytes(b"")
    (tmp_path / "test_texts.jsonl").write_text('{"text_id": 1, "text": "没有图", "image_ids": []}\n')
    with pytest.raises(NotReadyError, match=r"test_texts.jsonl: none of its 1 texts has an image"):
        DataRoot(tmp_path, flickr8k_cn()).read("test")


def content_of(found, images):
    split = found.train()
    names = [entry.name for entry in split.annotations.entries]
    return [(split.captions(names.index(image)), image) for image in images]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON"),
        ("[1]", "is a JSON list; expected"),
        ('{"text": "一", "image_ids": 3}', "image_ids: 3; expected a list of ids"),
        ('{"text": "一", "image_ids": [1.5]}', "image_ids: [1.5]; expected a list of ids"),
        ('{"image_ids": [3]}', "text: None is a JSON null; expected text"),
        ('{"text": "一", "image_ids": ["../3"]}', "leads out of the folder"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, told):
    write_chinese_clip(tmp_path)
    path = tmp_path / "valid_texts.jsonl"
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(NotReadyError) as refusal:
        DataRoot(tmp_path, flickr8k_cn()).read("valid")
    assert f"{path}, line 4" in str(refusal.value) and told in str(refusal.value)


def test_an_id_that_is_not_there(tmp_path):
    write_chinese_clip(tmp_path)
    assert read_packed(f"{tmp_path}/valid_imgs.tsv/21") == jpeg(21)
    with pytest.raises(FileNotFoundError):
        read_packed(str(Path(tmp_path, "valid_imgs.tsv", "99")))


def test_a_run_in_both_layouts_is_the_same_run(tmp_path, pictures):
    found = []
    for write in (write_published, write_chinese_clip):
        place = tmp_path / write.__name__
        (place / "data").mkdir(parents=True)
        suite = flat_suite(write(place / "data"))
        suite["dataset"] |= {"name": "flickr8k_cn", "train": "datasets/cn_train.json", "val": "datasets/cn_val.json"}
        suite["model"]["vocabulary"] = str(pictures / "words.txt.gz")
        suite["train"] |= {"batch_size": 2, "workers": 1}
        (place / "s.yaml").write_text(json.dumps(suite))
        done = clipbench("run", place / "s.yaml", cwd=place)
        assert done.returncode == 0, done.stdout + done.stderr
        found += results(place)
    published, packed = found
    assert (published.dataset.val.split, packed.dataset.val.split) == ("own cn_val", "own valid")
    assert [record.train_loss for record in packed.epochs] == [record.train_loss for record in published.epochs]
    assert packed.query_ranks == published.query_ranks

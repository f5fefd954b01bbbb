"""Dataset imagefolder: which class each picture is of, what the classes are called, and what is said of odd folders."""

import json
import pickle

import pytest
from PIL import Image

from clipbench.api import DatasetRequest
from clipbench.errors import NotReadyError, UsageError
from clipbench_flickr8k.imagefolder import ImageFolder

PICTURES = ("cat/b.jpg", "cat/a.png", "dog/c.jpg", "fox/deep/d.jpg")


@pytest.fixture
def root(tmp_path):
    for name in PICTURES:
        path = tmp_path / "val" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 8), (len(name), 20, 30)).save(path)
    (tmp_path / "val" / "cat" / "notes.txt").write_text("no picture")
    return tmp_path


def opened(root, **changes):
    request = {"train": "", "val": "val", "cache": root / "cache", "options": {}, "trusted": True, **changes}
    return ImageFolder(DatasetRequest(root=root, **request))


def test_a_picture_is_of_the_class_in_whose_folder_it_lies(root):
    data = opened(root)
    assert data.missing() == [] and data.sizes() == (0, 4) and data.warnings() == []
    split = pickle.loads(pickle.dumps(data.val()))
    classes = split.classes()
    assert (list(classes.names), list(classes.labels)) == (["cat", "dog", "fox"], [0, 0, 1, 2])
    assert list(classes.templates) == ["a photo of a {}."]
    assert [split.image(index).size for index in range(4)] == [(9, 8)] * 4
    assert not any(split.captions(index) for index in range(4))
    assert (split.fingerprint.images, split.fingerprint.captions, split.fingerprint.split) == (4, 0, "val")


def test_names_and_templates_come_from_the_suite_or_from_files(root):
    """CLIP_benchmark's files are lists under the name of a dataset, with ``{c}`` in the place of a name."""
    (root / "names.json").write_text(json.dumps({"animals": ["house cat", "dog", "red fox"]}))
    (root / "templates.json").write_text(json.dumps({"animals": ["a photo of a {c}.", "a bad photo of a {c}."]}))
    (root / "names.txt").write_text("house cat\n\ndog\nred fox\n")
    for names in ("names.json", "names.txt", ["house cat", "dog", "red fox"], {"cat": "house cat", "fox": "red fox"}):
        classes = opened(root, options={"classes": names, "templates": "templates.json"}).val().classes()
        assert list(classes.names) == ["house cat", "dog", "red fox"]
        assert list(classes.templates) == ["a photo of a {}.", "a bad photo of a {}."]


def test_what_a_class_is_called_is_part_of_what_identifies_the_data(root):
    prints = [
        opened(root, options=options).val().fingerprint.annotation_sha256
        for options in ({}, {}, {"classes": ["a", "b", "c"]}, {"templates": ["{}"]})
    ]
    assert prints[0] == prints[1] and len(set(prints)) == 3
    (root / "val" / "cat" / "b.jpg").rename(root / "val" / "dog" / "b.jpg")
    assert opened(root).val().fingerprint.annotation_sha256 not in prints


def test_classes_without_pictures_stay_among_the_answers_and_are_warned_of(root):
    (root / "val" / "bird").mkdir()
    data = opened(root, options={"classes": {"cat": "cat", "wolf": "wolf"}})
    classes = data.val().classes()
    assert list(classes.names) == ["bird", "cat", "dog", "fox", "wolf"] and list(classes.labels) == [1, 1, 2, 3]
    (line,) = data.warnings()
    assert "2 (bird, wolf) of 5 classes have no pictures: they stay among the answers" in line


def test_a_name_for_two_classes_is_warned_of(root):
    (line,) = opened(root, options={"classes": ["cat", "dog", "dog"]}).warnings()
    assert line.startswith("1 (dog) names stand for several classes")


def test_a_picture_that_cannot_be_read_is_named_or_left_out(root):
    (root / "val" / "dog" / "e.jpg").write_bytes(b"not a picture")
    (missing,) = opened(root).missing()
    assert "e.jpg" in missing.what and missing.looked_in.endswith("val/dog") and "on_bad_image=skip" in missing.source
    data = opened(root, on_bad_image="skip")
    split = data.val()
    assert data.missing() == [] and split.skipped == 1 and list(split.classes().labels) == [0, 0, 1, 2]
    assert "e.jpg" in data.warnings()[0]


def test_a_folder_that_is_not_there_or_has_no_classes(root):
    (missing,) = opened(root, val="nowhere").missing()
    assert missing.what == "folder nowhere" and "one folder of pictures for each class" in missing.source
    with pytest.raises(NotReadyError, match="has no pictures in folders of its own"):
        opened(root, val="val/cat").missing()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"klasses": []}, "klasses: not an option of dataset imagefolder; did you mean 'classes'"),
        ({"classes": ["cat", "dog"]}, r"has 2 names for the 3 folders in .*val \(cat, dog, fox\)"),
        ({"classes": {"n01": "cat"}}, r"names none of the 3 folders in .*val \(cat, dog, fox\)"),
        ({"classes": 3}, "is a JSON number; expected a list of names"),
        ({"classes": ["cat", "dog", ""]}, "dataset.options.classes: '' is empty"),
        ({"templates": []}, "dataset.options.templates: expected a list of texts"),
        ({"templates": ["a photo"]}, "templates: 'a photo'; expected a list of texts with one {} each"),
        ({"templates": ["{} and {}"]}, "templates: '{} and {}'"),
    ],
)
def test_options_that_mean_nothing(root, options, said):
    with pytest.raises(UsageError, match=said.replace("{}", r"\{\}")):
        opened(root, options=options).val()


def test_a_file_of_names_that_is_not_there(root):
    with pytest.raises(NotReadyError, match=r"names.txt: cannot be read"):
        opened(root, options={"classes": "names.txt"}).val()

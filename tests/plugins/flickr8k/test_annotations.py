"""Annotation files: what is read, and what each fault is called."""

import hashlib
import json

import pytest

from clipbench.errors import ExitCode, NotReadyError
from clipbench_flickr8k.annotations import read_annotations
from clipbench_flickr8k.checking import find_pictures


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "en_train.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


GOOD = {"image": "pictures/a.jpg", "caption": ["one"]}


def test_reads_both_separators_and_both_forms_of_caption(write):
    path = write(
        [
            {"image": "pictures\\a.jpg", "caption": ["one ", "two"]},
            {"image": "pictures/sub\\b.jpg", "caption": "only one", "source": "unused"},
        ]
    )
    annotations = read_annotations(path)
    assert [entry.image for entry in annotations.entries] == ["pictures/a.jpg", "pictures/sub/b.jpg"]
    assert [entry.captions for entry in annotations.entries] == [("one ", "two"), ("only one",)]
    assert (annotations.folder, annotations.split, annotations.title) == (path.parent, "en_train", "en_train.json")


def test_the_hash_is_of_the_pairs_as_the_publisher_writes_them(write):
    entries = [
        {"image": "flickr8k-images\\a.jpg", "caption": ['a "dog" runs', "ein Hündchen 🐕"]},
        {"image": "flickr8k-images\\b.jpg", "caption": ["\u2028 \\"]},
    ]
    published = json.dumps(entries, indent=2, ensure_ascii=False).encode()
    expected = hashlib.sha256(published).hexdigest()
    assert read_annotations(write(published)).sha256 == expected
    other = [{**entry, "image": entry["image"].replace("flickr8k-images\\", "elsewhere/")} for entry in entries]
    assert read_annotations(write(other)).sha256 == expected
    assert read_annotations(write(entries[::-1])).sha256 != expected


def test_reads_a_byte_order_mark_and_any_script(write):
    path = write("\ufeff".encode() + json.dumps([{"image": "é.jpg", "caption": "ein Hündchen 🐕"}]).encode())
    assert read_annotations(path).entries[0].captions == ("ein Hündchen 🐕",)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[{'image'", ["line 1, column 3", "not JSON", "expected a list of"]),
        (b"", ["not JSON"]),
        (b'[{"image": "a.jpg", "caption": "caf\xe9"}]', ["not UTF-8", "byte 35"]),
        (b"[" * 100_000, ["not usable JSON"]),
        ({"images": []}, ["JSON object", "expected a list of"]),
        ("text", ["JSON string"]),
        (None, ["JSON null"]),
        ([], ["empty list"]),
        ([GOOD, "a.jpg"], ["entry 2 of 2", "JSON string", "image and caption"]),
        ([GOOD, {"image": "a.jpg", "captions": ["x"]}], ["entry 2 of 2", "caption: missing", "captions"]),
        ([{"caption": "x"}], ["entry 1 of 1", "image: missing"]),
        ([{"image": "a.jpg", "caption": 7}], ["caption: 7", "JSON number"]),
        ([{"image": "a.jpg", "caption": True}], ["caption: True", "JSON boolean"]),
        ([{"image": "a.jpg", "caption": ["x", None]}], ["caption: None", "JSON null", "expected text"]),
        ([{"image": "a.jpg", "caption": []}], ["caption", "empty list"]),
        ([{"image": "a.jpg", "caption": ["x", " \t"]}], ["caption: ' \\t'", "is empty"]),
        ([{"image": "a.jpg", "caption": ""}], ["caption: ''", "is empty"]),
        (b'[{"image": "a.jpg", "caption": "\\ud800"}]', ["caption", "surrogate"]),
        ([{"image": "", "caption": "x"}], ["image: ''", "is empty"]),
        ([{"image": ["a.jpg"], "caption": "x"}], ["image: ['a.jpg']", "JSON list"]),
        ([{"image": "/etc/a.jpg", "caption": "x"}], ["image: '/etc/a.jpg'", "absolute"]),
        ([{"image": "\\\\host\\a.jpg", "caption": "x"}], ["absolute"]),
        ([{"image": "C:\\a.jpg", "caption": "x"}], ["absolute"]),
        ([{"image": "pictures\\..\\..\\a.jpg", "caption": "x"}], ["'..'"]),
        ([{"image": "pictures/", "caption": "x"}], ["names no file"]),
        ([{"image": "a\0.jpg", "caption": "x"}], ["names no file"]),
    ],
)
def test_each_fault_is_named(write, content, told):
    path = write(content)
    with pytest.raises(NotReadyError) as caught:
        read_annotations(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    for part in told:
        assert part in message
    assert caught.value.exit_code is ExitCode.NOT_READY


def test_one_picture_has_one_spelling(write):
    entries = [
        {"image": image, "caption": "x"} for image in ("a/b.jpg", "a\\b.jpg", "./a//b.jpg", "a/./b.jpg", "b.jpg")
    ]
    annotations = read_annotations(write(entries))
    assert [entry.image for entry in annotations.entries] == ["a/b.jpg"] * 4 + ["b.jpg"]
    assert annotations.repeated() == [(2, 1), (3, 1), (4, 1)]


def test_leaving_out_is_by_image_and_changes_the_hash(write):
    annotations = read_annotations(write([{"image": f"{n}.jpg", "caption": f"{n}"} for n in range(4)]))
    left = annotations.without({"1.jpg", "3.jpg", "5.jpg"})
    assert [entry.captions for entry in left.entries] == [("0",), ("2",)]
    assert len({annotations.sha256, left.sha256, annotations.without({"0.jpg"}).sha256}) == 3


def test_a_file_beyond_the_limit_is_not_read(write, monkeypatch):
    path = write([GOOD])
    monkeypatch.setattr("clipbench_flickr8k.annotations.MAX_BYTES", 10)
    with pytest.raises(NotReadyError, match="at most 10"):
        read_annotations(path)


def test_a_fault_in_a_huge_value_makes_a_short_message(write):
    path = write([{"image": "a.jpg", "caption": [["x" * 1_000_000]]}])
    with pytest.raises(NotReadyError) as caught:
        read_annotations(path)
    assert len(str(caught.value)) < 300 + len(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotReadyError, match=r"none\.json: cannot be read"):
        read_annotations(tmp_path / "none.json")


@pytest.mark.campaign
@pytest.mark.slow
def test_a_million_entries_are_read_and_looked_for(write):
    entry = b'{"image": "pictures\\\\%d.jpg", "caption": ["a dog runs", "a brown dog"]}'
    path = write(b"[" + b",".join(entry % number for number in range(1_000_000)) + b"]")
    annotations = read_annotations(path)
    assert len(annotations.entries) == 1_000_000
    # A set of the pictures, not every pair of them: or this would not end.
    assert annotations.repeated() == []
    assert len(find_pictures(path.parent, [annotations]).absent) == 1_000_000

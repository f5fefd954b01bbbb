"""Files of captions: what is read, and what each fault is called."""

import json

import pytest

from clipbench.errors import NotReadyError
from clipbench_flickr8k.caption_files import has_captions, read_karpathy, read_names, read_rows, read_tokens


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "captions.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def captions(entries):
    return {name: list(entry.captions) for name, entry in entries.items()}


def test_tokens_are_ordered_by_number(write):
    path = write("\ufeffb.jpg#1\ttwo \r\nb.jpg#0\tone\r\n\r\na.jpg#0\tthree\n")
    assert captions(read_tokens(path)) == {"b.jpg": ["one", "two"], "a.jpg": ["three"]}


def test_the_name_of_no_image_is_dropped(write):
    path = write("2258277193_586949ec62.jpg.1#0\tx\n2258277193_586949ec62.jpg#1\ty\n")
    assert captions(read_tokens(path)) == {"2258277193_586949ec62.jpg": ["y"]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("image,caption\na.jpg,one .\na.jpg,two\n", {"a.jpg": ["one .", "two"]}),
        ("a.jpg,one, two .\na.jpg,three\n", {"a.jpg": ["one, two .", "three"]}),
        ('image, caption\na.jpg,"one, two ."\na.jpg,three\n', {"a.jpg": ["one, two .", "three"]}),
        ('a.jpg,"the ""x"" sign"\n', {"a.jpg": ['the "x" sign']}),
        # Not as CSV would have it, so as it stands.
        ('a.jpg,the "x" sign\na.jpg,"y"\n', {"a.jpg": ['the "x" sign', '"y"']}),
        ('a.jpg,one, two\na.jpg,"three"\n', {"a.jpg": ["one, two", '"three"']}),
        ("b/a.JPEG,one\nc.png,two,three.jpg,four\n", {"b/a.JPEG": ["one"], "c.png": ["two,three.jpg,four"]}),
    ],
)
def test_rows_are_read_with_and_without_quotes(write, content, expected):
    assert captions(read_rows(write(content))) == expected


def test_names_are_read_in_order(write):
    path = write("b.jpg\r\n\na\n")
    assert read_names(path) == ["b.jpg", "a"] and not has_captions(path)
    assert has_captions(write("image,caption\nb.jpg,x\n"))


@pytest.mark.parametrize(
    ("read", "content", "told"),
    [
        (read_tokens, "a.jpg#0\tx\na.jpg x\n", ["line 2", "'a.jpg x'", "expected NAME.jpg#0, a tab"]),
        (read_tokens, "a.jpg#0\tx\na.jpg#0\ty\n", ["line 2", "a.jpg#0 is given twice"]),
        (read_tokens, "a.jpg#0\t\n", ["line 1", "caption: '' is empty"]),
        (read_tokens, "../a.jpg#0\tx\n", ["line 1", "'..'"]),
        (read_tokens, "a.jpg#²\tx\n", ["line 1", "expected NAME.jpg#0"]),
        (read_tokens, "\n", ["is empty", "expected NAME.jpg#0"]),
        (read_tokens, b"a.jpg#0\t\xe9\n", ["not UTF-8", "byte 8"]),
        (read_rows, "image,caption\nhello\n", ["line 2", "'hello'", "expected NAME.jpg,caption"]),
        (read_rows, "a.jpg,x\nimage,caption\n", ["line 2", "expected NAME.jpg,caption"]),
        (read_rows, "/a.jpg,x\n", ["line 1", "absolute"]),
        (read_rows, "a.jpg,\n", ["line 1", "is empty"]),
        (read_names, "", ["is empty", "expected the name of one image on each line"]),
    ],
)
def test_each_fault_is_named(write, read, content, told):
    path = write(content)
    with pytest.raises(NotReadyError) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))
    for part in told:
        assert part in str(caught.value)


IMAGE = {"filename": "a.jpg", "split": "test", "sentences": [{"raw": "one\n"}]}


def test_karpathy_gives_splits_their_usual_names(write):
    images = [IMAGE | {"filename": f"{split}.jpg", "split": split} for split in ("train", "restval", "val", "own")]
    splits = read_karpathy(write(json.dumps({"images": images, "dataset": "coco"})), "coco")
    assert {split: list(entries) for split, entries in splits.items()} == {
        "train": ["train.jpg", "restval.jpg"],
        "dev": ["val.jpg"],
        "own": ["own.jpg"],
    }


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([], "holds no list 'images'"),
        ({"images": [], "dataset": "coco"}, "dataset: 'coco'; expected 'flickr8k'"),
        ({"images": [IMAGE, 5]}, "image 2 of 2: is a JSON number"),
        ({"images": [IMAGE | {"filename": None}]}, "image 1 of 1: filename: None is a JSON null"),
        ({"images": [IMAGE | {"split": 1}]}, "split: 1 is a JSON number"),
        ({"images": [IMAGE | {"sentences": []}]}, "sentences: expected a list of one or more"),
        ({"images": [IMAGE | {"sentences": [{"tokens": []}]}]}, "raw: None is a JSON null"),
        ({"images": [IMAGE | {"filepath": "../x"}]}, "'..'"),
        ({"images": [IMAGE | {"filepath": 3}]}, "filepath: 3 is a JSON number"),
        ({"images": [IMAGE, IMAGE]}, "image 2 of 2: filename: 'a.jpg' is listed before in split test"),
    ],
)
def test_each_fault_of_karpathys_json_is_named(write, content, told):
    path = write(json.dumps(content))
    with pytest.raises(NotReadyError) as caught:
        read_karpathy(path, "flickr8k")
    assert str(caught.value).startswith(str(path)) and told in str(caught.value)

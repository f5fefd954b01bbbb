"""JSON on disk: whole or not at all, and nothing but JSON."""

import math
import os

import pytest

from clipbench.files.json_file import JsonError, read_json, write_json


@pytest.mark.parametrize(
    ("content", "phrase"),
    [
        (b"", "not valid JSON"),
        (b"{", "line 1"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "Infinity"),
        (b'{"a": 1e999}', "finite"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 100_000, "nested"),
    ],
)
def test_what_is_not_json_is_refused(tmp_path, content, phrase):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(JsonError, match=phrase):
        read_json(path)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": math.nan})
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, phrase in ((tmp_path / "pipe", "not a regular file"), (tmp_path, "not a file")):
        with pytest.raises(JsonError, match=phrase):
            read_json(path)

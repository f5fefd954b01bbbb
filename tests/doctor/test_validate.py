"""Files on disk: whole or not at all, and nothing but JSON in what claims to be JSON."""

import json
import math
import os

import pytest

from clipbench.errors import InvalidFileError
from clipbench.files.json_file import JsonError, read_json, write_json
from clipbench.results.events import EventReader, EventWriter
from clipbench.results.result import build_result, digest_of, read_result, write_result
from clipbench.suites.loading import find_suite, load_suite


@pytest.mark.parametrize(
    ("content", "said"),
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
def test_what_is_not_json_is_refused(tmp_path, content, said):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(JsonError, match=said):
        read_json(path)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": math.nan})
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "not a file of clipbench"),
        ('{"kind": "clipbench.result"}', "missing"),
        ('{"kind": "clipbench.result", "schema_version": 999}', "newer"),
        ('{"kind": "something.else"}', "not a file of clipbench"),
    ],
)
def test_a_foreign_or_newer_result_is_refused_by_name(tmp_path, content, said):
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(InvalidFileError, match=said) as caught:
        read_result(path)
    assert str(path) in str(caught.value)


def test_a_result_that_was_edited_is_refused(tmp_path):
    case = load_suite(find_suite("quickstart")).cases[0]
    error = {"type": "Error", "message": "half a pair: \udc80", "exit_code": 4, "traceback": None}
    made = build_result(case, "mine-1", "2026-01-01T00:00:00Z", [], "failed", error)
    path = write_result(tmp_path, made)
    assert digest_of(read_result(path)) == read_result(path)["digest"]
    # Another order of keys, or other white space, is the same result.
    path.write_text(json.dumps(dict(sorted(read_result(path).items()))))
    assert read_result(path)["run_id"] == "mine-1"
    path.write_text(path.read_text().replace('"exit_code": 4', '"exit_code": 0'))
    with pytest.raises(InvalidFileError, match=r"mine-1\.json: edited or damaged"):
        read_result(path)


def test_a_result_of_before_digests_is_taken(tmp_path):
    case = load_suite(find_suite("quickstart")).cases[0]
    error = {"type": "Error", "message": "", "exit_code": 4, "traceback": None}
    write_json(tmp_path / "r.json", build_result(case, "mine-1", "2026-01-01T00:00:00Z", [], "failed", error))
    assert "digest" not in read_result(tmp_path / "r.json")


def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, said in ((tmp_path / "pipe", "not a regular file"), (tmp_path, "not a file")):
        with pytest.raises(JsonError, match=said):
            read_json(path)


def test_events_arrive_whole_and_once(tmp_path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.new() == []
    write = EventWriter(path)
    write("one", value=1)
    assert reader.new() == [{"event": "one", "value": 1}]
    with path.open("a") as file:
        file.write('{"event": "ha')
    assert reader.new() == []
    with path.open("a") as file:
        file.write('lf"}\n')
    assert reader.new() == [{"event": "half"}]


def test_an_event_never_holds_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        EventWriter(tmp_path / "e")("bad", value=math.nan)

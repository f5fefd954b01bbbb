"""The file of what was retrieved: equal content, equal bytes; and nothing else is taken for one."""

import hashlib
import io
import json
import random
import zipfile
from contextlib import suppress
from dataclasses import replace

import pytest
from PIL import Image

from clipbench.api.result import RetrievedFile
from clipbench.errors import InvalidFileError
from clipbench.results.result import read_result, retrieved_path
from clipbench.results.retrieved import RetrievedReader, check_retrieved
from tests.support.made_retrieved import write_with_retrieved
from tests.support.report_results import make_result


@pytest.fixture
def result(tmp_path):
    return write_with_retrieved(tmp_path, make_result(images=12))


@pytest.fixture
def path(tmp_path, result):
    return retrieved_path(tmp_path / "x.json", result.run_id)


def repacked(path, change=lambda data: None, pictures=None, compression=zipfile.ZIP_DEFLATED):
    """The file at ``path`` with other data, or other pictures, put in its place."""
    with zipfile.ZipFile(path) as packed:
        entries = {name: packed.read(name) for name in packed.namelist()}
    data = json.loads(entries["retrieved.json"])
    change(data)
    entries |= {"retrieved.json": json.dumps(data).encode(), **(pictures or {})}
    with zipfile.ZipFile(path, "w", compression) as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
    return path


def test_a_result_names_its_file_by_its_hash(tmp_path, result, path):
    stored = read_result(tmp_path / f"{result.run_id}.json")
    content = path.read_bytes()
    assert stored.retrieved == RetrievedFile(hashlib.sha256(content).hexdigest(), len(content))
    reader = check_retrieved(stored, tmp_path / f"{result.run_id}.json")
    assert reader.retrieved.images == 12 and reader.retrieved.texts == 60
    with Image.open(io.BytesIO(reader.picture(11))) as image:
        assert image.size == (96, 72)
    assert reader.picture(12) is None


def test_equal_content_makes_equal_bytes(tmp_path, result, path):
    again = write_with_retrieved(tmp_path / "again", make_result(images=12))
    assert again.retrieved == result.retrieved


def test_a_result_without_it_is_whole(tmp_path, result, path):
    path.unlink()
    assert check_retrieved(result, tmp_path / "x.json") is None
    assert check_retrieved(replace(result, retrieved=None), tmp_path / "x.json") is None


def test_another_file_is_refused(tmp_path, result, path):
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(InvalidFileError, match="not the file that its result names"):
        check_retrieved(result, tmp_path / "x.json")


def test_a_file_of_another_evaluation_is_refused(tmp_path, result, path):
    content = repacked(path, lambda data: data.update(epoch=3)).read_bytes()
    named = RetrievedFile(hashlib.sha256(content).hexdigest(), len(content))
    with pytest.raises(InvalidFileError, match="of another evaluation"):
        check_retrieved(replace(result, retrieved=named), tmp_path / "x.json")


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        (lambda data: data.pop("matrix"), "matrix: missing"),
        (lambda data: data.update(images=0), "at least 1"),
        (lambda data: data["text"]["top"][0].__setitem__(0, 60), "text does not agree"),
        (lambda data: data["image"]["own"].pop(), "image does not agree"),
        (lambda data: data["image"]["query"].__setitem__(0, 1.0), "image does not agree|expected integer"),
        (lambda data: data["matrix"][0].pop(), "rows of one length"),
        (lambda data: data["captions"].update({"0": 3}), "expected string"),
    ],
)
def test_data_that_cannot_be_is_refused(path, change, phrase):
    with pytest.raises(InvalidFileError, match=phrase):
        RetrievedReader.open(repacked(path, change))


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + b"\0" * 18, b"GIF89a", b"\0" * 1000])
def test_what_is_no_such_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(InvalidFileError, match="not a file of what a run retrieved"):
        RetrievedReader.open(path)


def test_a_zip_that_unpacks_to_too_much_is_refused(path, monkeypatch):
    monkeypatch.setattr("clipbench.results.retrieved.MOST_DATA_BYTES", 1000)
    with pytest.raises(InvalidFileError, match="larger than 1,000 bytes"):
        RetrievedReader.open(path)


def drawn(form, size):
    file = io.BytesIO()
    Image.new("RGB", size).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"<svg onload='alert(1)'/>", drawn("PNG", (9, 9)), drawn("JPEG", (300, 9)), b"\xff\xd8\xff" + b"\0" * 70_000],
)
def test_what_is_no_small_picture_is_refused(path, content):
    reader = RetrievedReader.open(repacked(path, pictures={"pictures/0.jpg": content}))
    with pytest.raises(InvalidFileError, match=r"pictures/0.jpg: not a small picture"):
        reader.picture(0)
    with pytest.raises(InvalidFileError, match=r"pictures/0.jpg: not a small picture"):
        reader.check_pictures()


def test_a_file_damaged_anywhere_is_refused_or_read_and_never_anything_else(path):
    content, draws = path.read_bytes(), random.Random(0)
    for _ in range(150):
        damaged = bytearray(content)
        at = draws.randrange(len(content))
        damaged[at : at + draws.randrange(1, 9)] = draws.randbytes(draws.randrange(9))
        path.write_bytes(damaged)
        with suppress(InvalidFileError):
            RetrievedReader.open(path).check_pictures()

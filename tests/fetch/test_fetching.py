"""Several files at once: what is there is used, what is not comes from where it is to be had, nothing is harmed."""

import dataclasses
import signal
import subprocess
import sys
import threading
import time

import pytest

from clipbench.errors import NotReadyError, UsageError
from clipbench.fetch.fetching import fetch, make_jobs
from clipbench.files.disk import DiskError
from tests.fetch.conftest import CONTENT, IMAGES_ZIP, PHOTOGRAPHS, TEXT_ZIP, TEXTS, made_file, made_item
from tests.support.file_server import serve, slow, stall, status


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def run(root, session):
    def fetch_them(*items, mirror=None):
        fetch(make_jobs([(item, root) for item in items], mirror), session)

    return fetch_them


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.name != ".fetch.lock")


def whole(root):
    """Whether the data is there, and nothing else."""
    assert names(root) == ["Flicker8k_Dataset", "Flickr8k.token.txt", "Flickr_8k.testImages.txt"]
    assert all((root / name).read_bytes() == content for name, content in PHOTOGRAPHS + TEXTS)
    return True


def test_archives_are_unpacked_and_what_was_downloaded_for_it_is_removed(run, server, flickr8k, root):
    run(flickr8k)
    assert whole(root)
    run(flickr8k)
    assert len(server.requests) == 2  # nothing is asked for twice


def test_weights_lie_where_suites_look_for_them(run, server, weights, root, shown):
    run(weights)
    assert (root / "checkpoints" / "weights.pt").read_bytes() == CONTENT and names(root) == ["checkpoints"]
    run(weights)
    assert len(server.requests) == 1 and "there already, and the right file" in shown.notices[-1]


def test_four_files_are_fetched_at_once(run, server, root):
    items = [made_item(str(number), made_file(f"{server.url}/{number}", b"%d" % number)) for number in range(8)]
    server.files |= {f"/{number}": b"%d" % number for number in range(8)}
    four = threading.Barrier(4, timeout=20)

    def together(*asked):
        four.wait()
        serve(*asked)

    server.default = together
    run(*items)
    assert names(root) == list("01234567")


def test_one_that_fails_does_not_keep_the_others(run, server, flickr8k, weights, root):
    server.faults["/weights.pt"] = [status(404)]
    del server.files["/Flickr8k_text.zip"]
    with pytest.raises(NotReadyError) as caught:
        run(flickr8k, weights)
    assert str(caught.value).count("the server says 404") == 2
    assert "Flicker8k_Dataset" in names(root) and "Flickr8k.token.txt" not in names(root)


@pytest.mark.parametrize("by_url", [True, False])
def test_a_mirror_has_the_files_under_their_names(run, server, flickr8k, weights, root, tmp_path, by_url):
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, content in {
        "weights.pt": CONTENT,
        "Flickr8k_Dataset.zip": IMAGES_ZIP,
        "Flickr8k_text.zip": TEXT_ZIP,
    }.items():
        (folder / name).write_bytes(content)
        server.files[f"/site/files/{name}"] = content
        server.files.pop(f"/{name}")
    run(flickr8k, weights, mirror=f"{server.url}/site/files/" if by_url else str(folder))
    assert (root / "checkpoints" / "weights.pt").read_bytes() == CONTENT and len(names(root)) == 4
    assert len(server.requests) == (3 if by_url else 0)
    assert names(folder) == ["Flickr8k_Dataset.zip", "Flickr8k_text.zip", "weights.pt"]


@pytest.mark.parametrize("mirror", ["/no/such/folder", "ftp://example.invalid/x", "example.invalid"])
def test_a_mirror_that_is_none_is_a_usage_error(weights, root, mirror):
    with pytest.raises(UsageError, match=f"--mirror {mirror}: no such folder; expected a folder, or an http"):
        make_jobs([(weights, root)], mirror)


def test_files_brought_by_hand_are_taken_where_they_lie(run, server, flickr8k, weights, root):
    (root / "checkpoints").mkdir(parents=True)
    (root / "checkpoints" / "weights.pt").write_bytes(CONTENT)
    (root / "Flickr8k_Dataset.zip").write_bytes(IMAGES_ZIP)
    run(flickr8k, weights)
    assert [path for path, _ in server.requests] == ["/Flickr8k_text.zip"]
    (root / "Flickr8k_Dataset.zip").unlink()  # it is the user's, and still there
    (root / "checkpoints" / "weights.pt").unlink()
    (root / "checkpoints").rmdir()
    assert whole(root)


@pytest.mark.parametrize("wrong", [CONTENT[:-1], b"<html>", b""])
def test_a_wrong_file_brought_by_hand_is_named_and_left_alone(run, server, weights, root, wrong):
    mine = root / "checkpoints" / "weights.pt"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(wrong)
    with pytest.raises(
        NotReadyError, match=r"weights.pt: not the right file: its sha256 is \w+, expected .*; move it away"
    ):
        run(weights)
    assert mine.read_bytes() == wrong and not server.requests


def test_a_folder_where_the_file_should_be(run, weights, root):
    (root / "checkpoints" / "weights.pt").mkdir(parents=True)
    with pytest.raises(NotReadyError, match="for it is not a file"):
        run(weights)


def test_a_wrong_archive_brought_by_hand_is_not_unpacked(run, flickr8k, root):
    root.mkdir()
    (root / "Flickr8k_text.zip").write_bytes(IMAGES_ZIP)
    with pytest.raises(NotReadyError, match=r"Flickr8k_text.zip: not the right file: its md5 is"):
        run(flickr8k)
    assert names(root) == ["Flicker8k_Dataset", "Flickr8k_text.zip"]


def test_data_unpacked_by_hand_is_enough_and_half_of_it_is_completed(run, server, flickr8k, root):
    for name, content in PHOTOGRAPHS[:17] + TEXTS:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    run(flickr8k)
    assert [path for path, _ in server.requests] == ["/Flickr8k_Dataset.zip"] and whole(root)


def test_another_edition_is_said(run, server, flickr8k, root):
    images, _ = flickr8k.files
    other = dataclasses.replace(images, archive=dataclasses.replace(images.archive, creates={"Images": 40}))
    with pytest.raises(NotReadyError, match="is unpacked, but was expected to make all of Images"):
        run(made_item("other", other))


def test_a_disk_too_small_is_said_before_the_first_byte(run, server, flickr8k, monkeypatch, root):
    monkeypatch.setattr("clipbench.fetch.fetching.free_bytes", lambda path: 1000)
    with pytest.raises(DiskError, match=r"data: 4\d\.\d kB are needed .* 1\.0 kB are free there; .*--root"):
        run(flickr8k)
    assert not server.requests


def test_a_root_that_cannot_be_made(weights, session, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(DiskError, match=r"a file stands where a folder should be: .*--root"):
        fetch(make_jobs([(weights, tmp_path / "file" / "data")], None), session)


def test_what_nobody_thought_of_is_not_called_something_else(run, weights, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr("clipbench.fetch.fetching.download", fail)
    with pytest.raises(ZeroDivisionError):
        run(weights)


# What follows needs processes of its own.

FETCH = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts tests in the background ignores it
from clipbench.fetch import catalogue
from pathlib import Path
catalogue.SHIPPED = Path(sys.argv.pop(1))
from clipbench.cli import main
main()
"""


@pytest.fixture
def start(catalogue_file, root):
    """Start a ``clipbench fetch`` that knows the made files."""
    running = []

    def start_it(*words):
        command = [sys.executable, "-c", FETCH, catalogue_file, "fetch", *words, "--accept-terms", "--root", root]
        process = subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield start_it
    for process in running:
        process.kill()
        process.communicate()


def wait_for_bytes(path, least):
    deadline = time.monotonic() + 20
    while not path.exists() or path.stat().st_size < least:
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_ended_in_the_middle_and_again(start, server, root, sent):
    server.faults["/weights.pt"] = [stall(200_000)]
    first = start("weights")
    part = root / "checkpoints" / ".weights.pt.part"
    wait_for_bytes(part, 150_000)
    first.send_signal(sent)
    _, errors = first.communicate(timeout=20)
    assert names(root / "checkpoints") == [".weights.pt.part"]
    kept = part.stat().st_size
    if sent == signal.SIGINT:
        assert first.returncode == 130
        assert f"interrupted; kept unfinished: weights.pt ({kept / 1000:.1f} kB of 300.0 kB)" in errors
        assert "Traceback" not in errors
    again = start("weights")
    _, errors = again.communicate(timeout=20)
    assert again.returncode == 0, errors
    assert server.requests[-1] == ("/weights.pt", f"bytes={kept}-")
    assert names(root / "checkpoints") == ["weights.pt"]
    assert (root / "checkpoints" / "weights.pt").read_bytes() == CONTENT


def test_two_at_once_do_not_harm_each_other(start, server, root):
    server.default = slow(1)
    both = [start("weights", "flickr8k") for _ in range(2)]
    outputs = [process.communicate(timeout=30) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("another fetch is at work there; waiting for its end" in output for output, _ in outputs) == 1
    assert len(server.requests) == 3
    assert (root / "checkpoints" / "weights.pt").read_bytes() == CONTENT and len(names(root)) == 4

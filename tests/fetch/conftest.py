"""A server that can misbehave, files with their true hashes, and a session that waits for nothing."""

import hashlib
import io
import json
import random
import zipfile

import pytest

from clipbench.api.plain import to_plain
from clipbench.fetch.catalogue import Archive, File, Item
from clipbench.fetch.session import Session
from tests.support.file_server import FileServer

CONTENT = random.Random(0).randbytes(300_007)


class Shown:
    """Progress that is kept."""

    def __init__(self):
        self.notices, self.moves, self.waits = [], [], []

    def moved(self, name, done, total):
        self.moves.append((name, done, total))

    def notice(self, text):
        self.notices.append(text)

    def pause(self, stop, seconds):
        if seconds:
            self.waits.append(seconds)
        return stop.is_set()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("CLIPBENCH_MIRROR", "CLIPBENCH_DATA", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server():
    server = FileServer()
    server.files["/weights.pt"] = CONTENT
    yield server
    server.stop()


@pytest.fixture
def shown():
    return Shown()


@pytest.fixture
def session(shown):
    return Session(shown, silence=0.3, connect=2, pause=shown.pause)


def made_file(url, content, algorithm="sha256", **more):
    return File(url, len(content), f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}", **more)


def made_item(name, *files):
    return Item(name, f"made {name}", "a test", "none", "Do as you like.", files)


def made_zip(members, compression=zipfile.ZIP_DEFLATED):
    """Members are names or ZipInfos, with their content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members:
            file.writestr(name, content)
    return buffer.getvalue()


PHOTOGRAPHS = [(f"Flicker8k_Dataset/{number}_ab.jpg", random.Random(number).randbytes(500)) for number in range(40)]
TEXTS = [("Flickr8k.token.txt", b"0_ab.jpg#0\tA dog .\n"), ("Flickr_8k.testImages.txt", b"0_ab.jpg\n")]
IMAGES_ZIP = made_zip([*PHOTOGRAPHS, ("__MACOSX/Flicker8k_Dataset/._0_ab.jpg", b"of macOS")])
TEXT_ZIP = made_zip(TEXTS)
IMAGES_ARCHIVE = Archive(bytes=20_000, files=41, creates={"Flicker8k_Dataset": 40})
TEXT_ARCHIVE = Archive(bytes=100, files=3, creates={"Flickr8k.token.txt": 1, "Flickr_8k.testImages.txt": 1})


@pytest.fixture
def flickr8k(server):
    """The two zips, on the server, of the true structure."""
    server.files |= {"/Flickr8k_Dataset.zip": IMAGES_ZIP, "/Flickr8k_text.zip": TEXT_ZIP}
    return made_item(
        "flickr8k",
        made_file(f"{server.url}/Flickr8k_Dataset.zip", IMAGES_ZIP, "md5", archive=IMAGES_ARCHIVE),
        made_file(f"{server.url}/Flickr8k_text.zip", TEXT_ZIP, "md5", archive=TEXT_ARCHIVE),
    )


@pytest.fixture
def weights(server):
    return made_item("weights", made_file(f"{server.url}/weights.pt", CONTENT, folder="checkpoints"))


@pytest.fixture
def catalogue_file(tmp_path, flickr8k, weights):
    """A catalogue of the made items; JSON is YAML."""
    path = tmp_path / "catalogue.yaml"
    path.write_text(json.dumps(to_plain([flickr8k, weights])))
    return path

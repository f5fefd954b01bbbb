"""Archives never leave their folder, never grow beyond bounds, and never replace a file."""

import os
import struct
import zipfile

import pytest

from clipbench.errors import NotReadyError, StoppedError
from clipbench.fetch.catalogue import Archive
from clipbench.fetch.unpack import unpack
from clipbench.files.disk import DiskError
from tests.fetch.conftest import IMAGES_ARCHIVE, IMAGES_ZIP, PHOTOGRAPHS, TEXTS, made_zip

ROOMY = Archive(bytes=1_000_000, files=10, creates={})


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    (tmp_path / "secret.txt").write_text("untouched")
    return root


@pytest.fixture
def attempt(root, session, tmp_path):
    def unpack_it(content, archive=ROOMY):
        path = tmp_path / "made.zip"
        path.write_bytes(content)
        unpack(path, root, archive, session)
        assert path.exists()

    return unpack_it


def entry(name, mode=0):
    info = zipfile.ZipInfo("name")
    info.filename = info.orig_filename = name  # the constructor would mend it
    info.external_attr = mode << 16
    return info


def test_everything_but_what_macos_adds(attempt, root, shown):
    attempt(IMAGES_ZIP, IMAGES_ARCHIVE)
    assert {path.name: path.read_bytes() for path in (root / "Flicker8k_Dataset").iterdir()} == {
        name.rpartition("/")[2]: content for name, content in PHOTOGRAPHS
    }
    assert [path.name for path in root.iterdir()] == ["Flicker8k_Dataset"]
    assert shown.moves[-1] == ("unpacking made.zip", 20_000, 20_000)


@pytest.mark.parametrize(
    "name",
    ["../secret.txt", "a/../../secret.txt", "/etc/clipbench", "C:/x", "C:x", "..\\secret.txt", "a\\b", "a\x00b", "a\nb",
     "..", ".", "/"],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused_and_nothing_is_unpacked(attempt, root, tmp_path, name):
    with pytest.raises(NotReadyError, match=r"leads out of the folder, or is no name.*nothing was unpacked"):
        attempt(made_zip([("first.txt", b"good"), (entry(name), b"evil")]))
    assert not list(root.iterdir()) and (tmp_path / "secret.txt").read_text() == "untouched"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "made.zip", "secret.txt"]


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666, 0o140777])
def test_links_and_devices_are_refused(attempt, root, mode):
    with pytest.raises(NotReadyError, match=r"'link' is a link or a device"):
        attempt(made_zip([(entry("link", mode), b"../secret.txt"), ("link/secret.txt", b"evil")]))
    assert not list(root.iterdir())


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a.txt", "a.txt"), ("a.txt", "A.TXT")])
def test_a_name_that_comes_twice_is_refused(attempt, names):
    with pytest.raises(NotReadyError, match="is there twice"):
        attempt(made_zip([(name, b"x") for name in names]))


def test_a_file_where_a_folder_should_be(attempt, root):
    with pytest.raises(DiskError):
        attempt(made_zip([("a", b"x"), ("a/b", b"x")]))
    assert not list(root.iterdir())


@pytest.mark.parametrize(
    "members",
    [
        [(f"{number}.txt", b"") for number in range(21)],  # more than twice the files
        [("big.txt", os.urandom(2_000_001))],  # more than twice the bytes
        [("bomb.txt", bytes(100 * 65536 + 1))],  # a ratio that no data has
    ],
    ids=["files", "bytes", "ratio"],
)
def test_what_is_too_much_is_refused_before_anything_is_written(attempt, root, members):
    archive = Archive(bytes=1_000_000 if len(members[0][1]) < 3_000_000 else 10**9, files=10, creates={})
    with pytest.raises(NotReadyError, match=r"holds [\d,]+ files and .* in an archive of .*; expected about"):
        attempt(made_zip(members), archive)
    assert not list(root.iterdir())


def test_entries_that_share_their_bytes_are_refused(attempt, root):
    """The bomb without nesting: many entries of the directory point to one and the same content."""
    content = made_zip([("0.txt", os.urandom(5000))], zipfile.ZIP_STORED)
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    directory = b"".join(content[start:end].replace(b"0.txt", f"{number}.txt".encode()) for number in range(9))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 9, 9, len(directory), start, 0)
    with pytest.raises(NotReadyError, match=r"holds 9 files and 45.0 kB in an archive of 5"):
        attempt(content[:start] + directory + tail)
    assert not list(root.iterdir())


def test_a_size_that_the_archive_understates_is_noticed(attempt, root):
    content = made_zip([("a.txt", b"x" * 1000)])
    start = content.index(b"PK\x01\x02")
    lied = content[: start + 24] + struct.pack("<L", 10) + content[start + 28 :]
    with pytest.raises(NotReadyError, match="not a zip that can be read"):
        attempt(lied)
    assert not list(root.iterdir())


@pytest.mark.parametrize("content", [b"", b"no zip", IMAGES_ZIP[:-30], IMAGES_ZIP[:5000] + b"x" + IMAGES_ZIP[5001:]])
def test_what_is_no_whole_zip_is_refused(attempt, root, content):
    with pytest.raises(NotReadyError, match="not a zip that can be read"):
        attempt(content, IMAGES_ARCHIVE)
    assert not list(root.iterdir())


def test_an_encrypted_entry_is_named(attempt):
    content = bytearray(made_zip([("a.txt", b"x")]))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(NotReadyError, match=r"'a.txt' is encrypted"):
        attempt(bytes(content))


def test_files_that_are_there_must_be_equal_and_are_left_alone(attempt, root):
    (root / TEXTS[0][0]).write_bytes(TEXTS[0][1])
    attempt(made_zip(TEXTS))
    mine = root / TEXTS[1][0]
    assert mine.read_bytes() == TEXTS[1][1]
    mine.write_bytes(b"my own split")
    (root / TEXTS[0][0]).unlink()
    with pytest.raises(NotReadyError, match=r"other files have the names of 1 in made.zip, such as Flickr_8k"):
        attempt(made_zip(TEXTS))
    assert mine.read_bytes() == b"my own split" and [path.name for path in root.iterdir()] == [mine.name]


def test_a_link_in_the_root_to_another_disk_is_used(attempt, root, tmp_path):
    (tmp_path / "other_disk").mkdir()
    (root / "Flicker8k_Dataset").symlink_to(tmp_path / "other_disk")
    attempt(IMAGES_ZIP, IMAGES_ARCHIVE)
    assert len(list((tmp_path / "other_disk").iterdir())) == 40


def test_a_full_disk_leaves_nothing(attempt, root):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    content = made_zip([("a.txt", b"x"), ("b.txt", b"x" * 90_000)])
    (root.parent / "made.zip").write_bytes(content)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(DiskError, match=r"the contents of made.zip cannot be written .*--root"):
            attempt(content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(root.iterdir())


def test_a_stop_leaves_nothing(attempt, root, session):
    session.stop.set()
    with pytest.raises(StoppedError):
        attempt(IMAGES_ZIP, IMAGES_ARCHIVE)
    assert not list(root.iterdir())


def test_what_a_killed_one_left_is_cleared_away(attempt, root):
    stale = root / ".made.zip.unpacking"
    stale.mkdir()
    (stale / "old.txt").write_text("x")
    attempt(made_zip(TEXTS))
    assert sorted(path.name for path in root.iterdir()) == sorted(name for name, _ in TEXTS)

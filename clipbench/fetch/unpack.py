"""A zip unpacked into a data root: never outside of it, within bounds, each file whole or not at all."""

import filecmp
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path, PurePosixPath

from clipbench.errors import NotReadyError
from clipbench.fetch.catalogue import Archive
from clipbench.fetch.session import CHUNK, Session
from clipbench.files.disk import size_text, writing

# Limits, as multiples of what the archive is known to hold, and of its own size.
SLACK = 2
RATIO = 100
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\:]")
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def unpack(path: Path, root: Path, archive: Archive, session: Session) -> None:
    """Unpack the zip at ``path`` into ``root``.

    Files that are there already must be equal; nothing is ever replaced. Raises NotReadyError where a name, a link or
    a size in the archive is not as it should be, DiskError where the disk refuses, StoppedError; the archive is kept.
    """
    name = path.name.lstrip(".")
    staging = root / f".{name}.unpacking"
    with writing(f"the contents of {name}", root, archive.bytes, "--root"):
        shutil.rmtree(staging, ignore_errors=True)
        try:
            with zipfile.ZipFile(path) as opened:
                members = _members(opened, archive, path)
                sizes = list(accumulate(member.file_size for member in members))
                for member, done in zip(members, sizes, strict=True):
                    session.moved(f"unpacking {name}", done, sizes[-1])
                    _extract(opened, member, staging / member.filename)
            _settle([member.filename for member in members], staging, root, name)
        except _UNREADABLE as error:
            raise _refusal(path, f"not a zip that can be read ({error})") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _refusal(path: Path, problem: str) -> NotReadyError:
    return NotReadyError(f"{path}: {problem}; nothing was unpacked; check where the archive comes from")


def _members(opened: zipfile.ZipFile, archive: Archive, path: Path) -> list[zipfile.ZipInfo]:
    """Return the files to unpack, after a look at all that the archive says of itself."""
    entries = opened.infolist()
    _check_bounds(entries, archive, path)
    names: set[str] = set()
    for entry in entries:
        problem = "is there twice" if entry.filename.casefold() in names else _problem(entry)
        if problem:
            raise _refusal(path, f"the entry {entry.orig_filename!r} {problem}")
        names.add(entry.filename.casefold())
    # What macOS adds to a zip is no data.
    return [entry for entry in entries if not entry.is_dir() and not entry.filename.startswith("__MACOSX/")]


def _check_bounds(entries: Sequence[zipfile.ZipInfo], archive: Archive, path: Path) -> None:
    """Raise NotReadyError for too many files, too much in them, or entries that share their bytes."""
    size, packed = (sum(getattr(entry, key) for entry in entries) for key in ("file_size", "compress_size"))
    held, allowed = path.stat().st_size, archive.bytes * SLACK
    if len(entries) > archive.files * SLACK or size > min(allowed, max(held, CHUNK) * RATIO) or packed > held:
        got = f"{len(entries):,} files and {size_text(size)} in an archive of {size_text(held)}"
        raise _refusal(path, f"holds {got}; expected about {archive.files:,} files and {size_text(archive.bytes)}")


def _problem(entry: zipfile.ZipInfo) -> str | None:
    """Return why an entry is not to be unpacked, or None."""
    name = PurePosixPath(entry.filename)
    if name.is_absolute() or ".." in name.parts or not name.parts or _UNSAFE.search(entry.orig_filename):
        return "leads out of the folder, or is no name of a file"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    return "is encrypted" if entry.flag_bits & 1 else None


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # zipfile reads no more than the size that was checked, and compares the checksum at the end.
    with opened.open(member) as packed, target.open("xb") as file:
        shutil.copyfileobj(packed, file)


def _settle(names: Sequence[str], staging: Path, root: Path, archive: str) -> None:
    """Give every file its name in ``root``; NotReadyError, before any has it, where another file has such a name."""
    present = [name for name in names if (root / name).exists()]
    different = [name for name in present if not filecmp.cmp(staging / name, root / name, shallow=False)]
    if different:
        problem = f"other files have the names of {len(different):,} in {archive}, such as {different[0]}"
        advice = "move them away and run the same command again, or choose another folder with --root"
        raise NotReadyError(f"{root}: {problem}; {advice}")
    for name in set(names) - set(present):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(staging / name, root / name)

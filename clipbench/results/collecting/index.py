"""The index of a folder of results: what was read before, so that it need not be read, checked and computed again.

The files are the truth, and the index may be deleted at any time. It is one SQLite file for each folder, in the user's
cache. It is never changed: whoever has read something new writes another one and renames it over the old one. So no
lock is needed, and a reader always has a whole one; of two that write at once, the later one's is kept, and what only
the other had read is read again. It is only believed where size, times and inode of a file are what they were, and
where the very same code of clipbench has accepted that file.
"""

import functools
import hashlib
import marshal
import os
import sqlite3
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from clipbench import __version__
from clipbench.files.cache import cache_folder

FOLDER = "index"
# A file that was changed so shortly before it was read could be changed again without its times showing it.
UNSURE_NANOSECONDS = 2 * 10**9
_TABLES = """
CREATE TABLE about (version TEXT, folder TEXT, checksum INTEGER);
CREATE TABLE setup (id INTEGER PRIMARY KEY, text TEXT);
CREATE TABLE file (path TEXT, stamp TEXT, setup INTEGER, own BLOB);
"""


class Known(NamedTuple):
    """What an index knows of a file, as ``row_of`` has it; ``stamp`` tells it from itself at other times."""

    stamp: str
    setup: str
    own: bytes


Index = Mapping[str, Known]


def stamp_of(status: os.stat_result) -> str:
    """Return a text that changes with the file: its size, its times, its inode. Nobody can set the second time."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"


def is_sure(status: os.stat_result) -> bool:
    """Return whether a change of the file after this moment is sure to change its stamp."""
    return time.time_ns() - status.st_mtime_ns > UNSURE_NANOSECONDS


def index_file(folder: str) -> Path:
    """Return where the index of a folder, given by its real path, is kept."""
    return cache_folder() / FOLDER / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:32]}.sqlite"


def read_index(folder: str) -> Index:
    """Return what is known of the files in ``folder``, by path from there.

    Nothing where there is no index, or one that is damaged or of other code.
    """
    path = index_file(folder)
    try:
        # Nobody changes it, so nothing is locked; that also works where locks do not.
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as connection:
            written, where, checksum = connection.execute("SELECT version, folder, checksum FROM about").fetchone()
            if (written, where) != (version(), os.fsencode(folder).hex()):
                return {}
            setups = connection.execute("SELECT id, text FROM setup ORDER BY rowid").fetchall()
            rows = connection.execute("SELECT path, stamp, setup, own FROM file ORDER BY rowid").fetchall()
            if checksum != _checksum(setups, rows):
                return {}
            texts = dict(setups)
            return {path: Known(stamp, texts[setup], own) for path, stamp, setup, own in rows}
    except (sqlite3.Error, OSError, KeyError, TypeError, ValueError):
        return {}


def write_index(folder: str, index: Index) -> None:
    """Write the index of ``folder`` in place of the last one; where that cannot be, there is none."""
    path = index_file(folder)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{time.time_ns()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(temporary)) as connection:
                connection.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;{_TABLES}")
                _insert(connection, folder, index)
                connection.commit()
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except (sqlite3.Error, OSError):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _insert(connection: sqlite3.Connection, folder: str, index: Index) -> None:
    numbers: dict[str, int] = {}
    rows = [
        (path, stamp, numbers.setdefault(setup, len(numbers)), own)
        for path, (stamp, setup, own) in sorted(index.items())
    ]
    setups = [(number, text) for text, number in numbers.items()]
    connection.executemany("INSERT INTO setup VALUES (?, ?)", setups)
    connection.executemany("INSERT INTO file VALUES (?, ?, ?, ?)", rows)
    about = version(), os.fsencode(folder).hex(), _checksum(setups, rows)
    connection.execute("INSERT INTO about VALUES (?, ?, ?)", about)


def _checksum(setups: Sequence[Any], rows: Sequence[Any]) -> int:
    """Return a checksum of what an index holds, in its order: a damaged one is not believed."""
    return zlib.crc32(marshal.dumps([*setups, *rows], 0))  # later formats are not the same for all that is equal


@functools.cache
def version() -> str:
    """Return the versions of Python and clipbench, and a digest of the code and schemas that read and check results."""
    package = Path(__file__).parents[2]
    files = sorted([*package.glob("results/**/*.py"), *package.glob("api/*.py"), *package.glob("files/**/*.*")])
    digest = hashlib.sha256()
    for file in (file for file in files if file.suffix in (".py", ".json")):
        digest.update(file.read_bytes())
    return f"{sys.version} {__version__} {digest.hexdigest()}"

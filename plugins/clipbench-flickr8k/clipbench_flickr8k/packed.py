"""Pictures packed in one file, as Chinese-CLIP has them: on each line of a TSV an id, a tab and the picture in base64.

Such a file is taken for a folder: ``valid_imgs.tsv/1076345`` is the picture with this id in it.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
from functools import lru_cache
from pathlib import PurePath
from typing import BinaryIO

SUFFIX = ".tsv"


def is_packed(path: str) -> bool:
    """Return whether a path leads into such a file, by its name."""
    return PurePath(path).parent.suffix == SUFFIX


def open_file(path: str) -> BinaryIO:
    """Return a picture's own file, opened, or what stands for it in a file of many."""
    try:
        return open(path, "rb")  # noqa: PTH123 -- by the thousand, and Paths are slow to make
    except NotADirectoryError:
        return io.BytesIO(read_packed(path))


def ids_in(file: str) -> list[str]:
    """Return the id of every picture in the file; raise OSError where it cannot be read."""
    return list(_places(file))


def read_packed(path: str) -> bytes:
    """Return the picture that ``path`` leads to, as its own file would be.

    Raises FileNotFoundError where the file has no such id, ValueError for base64 that is damaged.
    """
    file, _, name = path.rpartition("/")
    place = _places(file).get(name)
    if place is None:
        raise FileNotFoundError(2, "no such id in the file", path)
    with open(file, "rb") as opened:  # noqa: PTH123 -- by the thousand, and Paths are slow to make
        opened.seek(place[0])
        text = opened.read(place[1])
    try:
        # Chinese-CLIP reads both alphabets of base64.
        return base64.b64decode(text.strip().translate(_STANDARD), validate=True)
    except binascii.Error as error:
        raise ValueError(f"its base64 is damaged: {error}") from error


_STANDARD = bytes.maketrans(b"-_", b"+/")


def _places(file: str) -> dict[str, tuple[int, int]]:
    status = os.stat(file)  # noqa: PTH116
    return _index(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _index(file: str, changed: int, size: int) -> dict[str, tuple[int, int]]:
    """Return where the base64 of each id begins and how long it is; the whole file is read once in each process."""
    places: dict[str, tuple[int, int]] = {}
    start = 0
    with open(file, "rb") as lines:  # noqa: PTH123
        for line in lines:
            tab = line.find(b"\t")
            if tab > 0:
                places[line[:tab].decode("utf-8", "replace")] = (start + tab + 1, len(line) - tab - 1)
            start += len(line)
    return places

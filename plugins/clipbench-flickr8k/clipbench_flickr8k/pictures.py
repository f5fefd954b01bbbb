"""Picture files of a data root, checked by the thousand."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from clipbench.api import PICTURE_SUFFIXES, PictureError, read_picture, strict_pictures
from clipbench_flickr8k.packed import is_packed, open_file

ANIMATED, MISNAMED = "animated", "misnamed"

_THREADS = 4
# The largest picture that is read takes 240 MB, in each of them.
_MOST_THREADS = 16
_CHUNK = 64


@dataclass(frozen=True, slots=True)
class Look:
    """The outcome of checking one file: a ``problem`` that keeps it from being used, or an ``oddity`` that does not.

    ``oddity`` is ANIMATED (its first frame is used) or MISNAMED (its content is of another format than its name says).
    """

    problem: str | None = None
    oddity: str | None = None


def look_at(paths: Sequence[str], *, deep: bool, advance: Callable[[int], object] = lambda count: None) -> list[Look]:
    """Check every file, in order: its header only or, if ``deep``, all of it decoded.

    In threads: headers wait for the disk, and decoding releases Python's lock. ``advance`` is called with the number of
    files that have been checked since the last call.
    """
    threads = min(_MOST_THREADS, max(_THREADS, os.cpu_count() or 1)) if deep else _THREADS
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    looks: list[Look] = []
    with strict_pictures(), ThreadPoolExecutor(threads) as executor:
        running = [executor.submit(_look_at_chunk, chunk, deep) for chunk in chunks]
        try:
            for future in running:
                checked = future.result()
                looks += checked
                advance(len(checked))
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    return looks


def _look_at_chunk(paths: Sequence[str], deep: bool) -> list[Look]:
    return [_look(path, deep) for path in paths]


def _look(path: str, deep: bool) -> Look:
    try:
        image, animated = read_picture(path, deep, open_file)
    except PictureError as error:
        return Look(problem=str(error))
    if animated:
        return Look(oddity=ANIMATED)
    named_so = is_packed(path) or path.lower().endswith(PICTURE_SUFFIXES.get(image.format or "", ()))
    return Look(oddity=None if named_so else MISNAMED)

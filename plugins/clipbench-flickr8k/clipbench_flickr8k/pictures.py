"""Picture files: opened within limits, and checked by the thousand."""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from clipbench_flickr8k.packed import is_packed, read_packed

# Pillow reads more formats, some of them with other programs (EPS); photographs have these.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "MPO": (".jpg", ".jpeg", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
MAX_PIXELS = 80_000_000
# Resized to a short side of 224, a picture of this shape still fits into some 30 MB.
MAX_ASPECT = 200
ANIMATED, MISNAMED = "animated", "misnamed"

_THREADS = 4
# The largest picture that is read takes 240 MB, in each of them.
_MOST_THREADS = 16
_CHUNK = 64


class PictureError(ValueError):
    """A picture cannot be used; the message says why, without the file's name."""


@dataclass(frozen=True, slots=True)
class Look:
    """The outcome of checking one file: a ``problem`` that keeps it from being used, or an ``oddity`` that does not.

    ``oddity`` is ANIMATED (its first frame is used) or MISNAMED (its content is of another format than its name says).
    """

    problem: str | None = None
    oddity: str | None = None


def open_picture(path: Path) -> Image.Image:
    """Return the picture, decoded, in the mode its file has; raise PictureError for every reason not to."""
    with _strict():
        return _read(str(path), deep=True)[0]


def look_at(paths: Sequence[str], *, deep: bool, advance: Callable[[int], object] = lambda count: None) -> list[Look]:
    """Check every file, in order: its header only or, if ``deep``, all of it decoded.

    In threads: headers wait for the disk, and decoding releases Python's lock. ``advance`` is called with the number of
    files that have been checked since the last call.
    """
    threads = min(_MOST_THREADS, max(_THREADS, os.cpu_count() or 1)) if deep else _THREADS
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    looks: list[Look] = []
    with _strict(), ThreadPoolExecutor(threads) as executor:
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
        image, animated = _read(path, deep)
    except PictureError as error:
        return Look(problem=str(error))
    if animated:
        return Look(oddity=ANIMATED)
    named_so = is_packed(path) or path.lower().endswith(SUFFIXES.get(image.format or "", ()))
    return Look(oddity=None if named_so else MISNAMED)


def _read(path: str, deep: bool) -> tuple[Image.Image, bool]:
    """Return the picture, decoded if ``deep``, and whether it is animated."""
    try:
        with _open_file(path) as file:
            image = _open(file)
            # A camera's second view (MPO) is no animation. Read before decoding, from the open file.
            animated = image.format not in ("JPEG", "MPO") and bool(getattr(image, "is_animated", False))
            if deep:
                image.load()
                _check(image)
    except PictureError:
        raise
    except Exception as error:  # Pillow's readers raise anything on damaged files
        raise PictureError(_in_words(error)) from error
    return image, animated


def _open_file(path: str) -> BinaryIO:
    try:
        return open(path, "rb")  # noqa: PTH123 -- by the thousand, and Paths are slow to make
    except NotADirectoryError:
        return io.BytesIO(read_packed(path))


def _open(file: BinaryIO) -> Image.Image:
    head = file.read(128)
    if not head:
        raise PictureError("an empty file")
    file.seek(0)
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise PictureError(_not_a_picture(head)) from None
    _check(image)
    return image


def _check(image: Image.Image) -> None:
    width, height = image.size
    if min(width, height) < 1:
        raise PictureError("a picture without pixels")
    if width * height > MAX_PIXELS:
        raise PictureError(f"{width:,} x {height:,} pixels; at most {MAX_PIXELS:,} in all are read")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError(f"{width:,} x {height:,} pixels; one side is more than {MAX_ASPECT} times the other")
    if image.mode == "La":
        raise PictureError("grey with premultiplied transparency, which cannot be converted")


def _not_a_picture(head: bytes) -> str:
    start = head.lstrip().lower()
    if start.startswith((b"<!doc", b"<html", b"<?xml")):
        return "a web page, not a picture; download it again"
    if start.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not the file it points to; run `git lfs pull`"
    return f"not a picture in a format that is read ({', '.join(FORMATS)})"


def _in_words(error: Exception) -> str:
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        pixels = re.search(r"\d+", str(error))
        return f"{int(pixels[0]) if pixels else 0:,} pixels; at most {MAX_PIXELS:,} are read"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return reason.splitlines()[0][:200]


@contextmanager
def _strict() -> Iterator[None]:
    """Ignore Pillow's warnings, but turn the one about decompression bombs into an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield

"""Picture files, opened within limits: whatever a file is, one kind of error says why it cannot be used."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

# Pillow reads more formats, some of them with other programs (EPS); photographs have these.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
PICTURE_SUFFIXES = {
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


class PictureError(ValueError):
    """A picture cannot be used; the message says why, without the file's name."""


def open_file(path: str) -> BinaryIO:
    """Return a file to read bytes from."""
    return open(path, "rb")  # noqa: PTH123 -- by the thousand, and Paths are slow to make


Opened = Callable[[str], BinaryIO]


def open_picture(path: Path, opened: Opened = open_file) -> Image.Image:
    """Return the picture, decoded, in the mode its file has; raise PictureError for every reason not to.

    ``opened`` opens what ``path`` names, where that is no file of its own.
    """
    with strict_pictures():
        return read_picture(str(path), True, opened)[0]


def read_picture(path: str, deep: bool, opened: Opened = open_file) -> tuple[Image.Image, bool]:
    """Return the picture, decoded if ``deep``, and whether it is animated; called within ``strict_pictures``.

    ``opened`` is that of ``open_picture``. Raises PictureError for every reason not to.
    """
    try:
        with opened(path) as file:
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
def strict_pictures() -> Iterator[None]:
    """Have Pillow's warnings ignored inside, but the one about decompression bombs turned into an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield

"""Pictures to encode: found on disk or given, and fetched for a model; one that cannot be read is told, not fatal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from clipbench.clip.pictures import PICTURE_SUFFIXES, PictureError, open_picture
from clipbench.clip.transforms import eval_transform
from clipbench.errors import CaseFailedError, UsageError

if TYPE_CHECKING:  # loader processes import this module and need none of these
    from PIL.Image import Image

    from clipbench.api import ClipConfig

_SUFFIXES = tuple(ending for endings in PICTURE_SUFFIXES.values() for ending in endings)
# Bytes in which a fetch says why a picture cannot be read; arrays of one shape go through shared memory.
_REASON_BYTES = 960


class PictureSource(Protocol):
    """Pictures by their index; it pickles. A split is one."""

    def __len__(self) -> int:
        """Return the number of pictures."""

    def image(self, index: int) -> Image:
        """Return a picture; raise PictureError or CaseFailedError where it cannot be read."""


@dataclass(frozen=True)
class Pictures:
    """Pictures as files, or as images of Pillow.

    ``problems`` name folders without pictures and what cannot be read; ``others`` counts the files of folders that are
    not called like pictures.
    """

    pictures: tuple[Path | Image, ...]
    problems: tuple[str, ...] = ()
    others: int = 0

    def __len__(self) -> int:
        return len(self.pictures)

    def name(self, index: int) -> str:
        """Return the path, or what an image without a file is called by."""
        picture = self.pictures[index]
        return str(picture) if isinstance(picture, Path) else str(getattr(picture, "filename", "") or f"image {index}")

    def image(self, index: int) -> Image:
        """Return a picture; raise PictureError where it cannot be read."""
        picture = self.pictures[index]
        return open_picture(picture) if isinstance(picture, Path) else picture


@dataclass(frozen=True)
class PictureFetch:
    """Fetches pixels uint8 (size, size, 3), and why there are none: uint8, UTF-8 padded with 0, empty where there are.

    Pixels of a picture that cannot be read are black.
    """

    source: PictureSource
    config: ClipConfig

    def __call__(self, index: int) -> tuple[np.ndarray, ...]:
        size, reason = self.config.image_size, np.zeros(_REASON_BYTES, np.uint8)
        try:
            return eval_transform(self.source.image(index), size, self.config.eval_resize), reason
        except (PictureError, CaseFailedError) as error:
            text = str(error).encode()[:_REASON_BYTES]
            reason[: len(text)] = np.frombuffer(text, np.uint8)
            return np.zeros((size, size, 3), np.uint8), reason


def reason_of(reason: np.ndarray) -> str:
    """Return what ``PictureFetch`` has said; empty where the picture could be read."""
    return reason.tobytes().rstrip(b"\0").decode(errors="ignore")


def find_pictures(places: Iterable[str | Path | Image]) -> Pictures:
    """Return the pictures that files and folders name, in their order; those of a folder by name, with its folders'.

    Hidden files are left out. Raises UsageError for what is not there, and where there is no picture at all.
    """
    pictures: list[Path | Image] = []
    problems: list[str] = []
    others = 0
    for place in places:
        if not isinstance(place, str | Path):
            pictures.append(place)
            continue
        path = Path(place)
        if not os.path.isdir(path):  # noqa: PTH112 -- a name may be too long for a file
            if not os.path.isfile(path):  # noqa: PTH113
                what = "not a regular file" if os.path.exists(path) else "no such file or folder"  # noqa: PTH110
                raise UsageError(f"{path}: {what}; expected pictures")
            pictures.append(path)
            continue
        found, refused, left = _in_folder(path)
        pictures += found
        others += left
        problems += refused
        if not found:
            problems.append(f"{path}: no pictures in this folder; looked for files called {', '.join(_usual())}")
    if not pictures:
        raise UsageError("\n".join(problems) or "no pictures; name files or folders")
    return Pictures(tuple(pictures), tuple(problems), others)


def _in_folder(folder: Path) -> tuple[list[Path], list[str], int]:
    """Return the pictures of a folder and its folders, what could not be read, and how many other files there are."""
    found, refused, others = list[Path](), list[OSError](), 0
    for place, inner, names in os.walk(folder, onerror=refused.append):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        shown = sorted(name for name in names if not name.startswith("."))
        pictures = [Path(place, name) for name in shown if name.lower().endswith(_SUFFIXES)]
        found += [path for path in pictures if path.is_file()]
        others += len(shown) - len(pictures)
    return found, [f"{error.filename}: cannot be read: {error.strerror}" for error in refused], others


def _usual() -> Sequence[str]:
    return sorted({f"*{endings[0]}" for endings in PICTURE_SUFFIXES.values()})

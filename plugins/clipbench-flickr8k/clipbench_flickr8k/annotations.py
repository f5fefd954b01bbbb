"""Annotation files: a JSON list of ``{"image": "folder/name.jpg", "caption": ["...", ...]}``."""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from clipbench.api import NotReadyError

# A million pictures of five captions each take a quarter of it.
MAX_BYTES = 1_000_000_000
MAX_CAPTION = 10_000
MAX_PATH = 1_000
_LAYOUT = 'a list of {"image": "folder/name.jpg", "caption": ["...", ...]}'
_quoted = json.JSONEncoder(ensure_ascii=False).encode
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True, slots=True)
class Entry:
    """One picture: ``image`` is its path with forward slashes, relative to ``Annotations.folder``."""

    image: str
    captions: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return the file name of the image, without its folder."""
        return self.image.rpartition("/")[2]


@dataclass(frozen=True)
class Annotations:
    """Checked pairs: ``entries`` in order, read from the file ``path``; images lie relative to ``folder``.

    ``split`` is the name that results record. ``part`` names the split inside a file that holds several. ``standing``
    says in words how the pairs relate to the official splits, ``notes`` what else should be known, a line each.
    ``digest`` replaces the hash of the pairs, for data that has one layout only.
    """

    path: Path
    entries: tuple[Entry, ...]
    folder: Path
    split: str
    part: str = ""
    standing: str = ""
    notes: tuple[str, ...] = ()
    digest: str = ""

    @property
    def title(self) -> str:
        """Return the file's name, with the split where the file holds several."""
        return f"{self.path.name} ({self.part})" if self.part else self.path.name

    @cached_property
    def sha256(self) -> str:
        """Return what identifies the pairs: ``digest``, else ``pairs_sha256``."""
        return self.digest or pairs_sha256((entry.name, entry.captions) for entry in self.entries)

    def picture(self, index: int) -> Path:
        """Return the path of the picture of entry ``index`` (from 0)."""
        return self.folder / self.entries[index].image

    def pictures(self) -> Iterator[str]:
        """Yield what ``picture`` gives for every entry, as text: a million Paths take a minute to make."""
        base = f"{self.folder}/"
        return (base + entry.image for entry in self.entries)

    def without(self, images: Container[str]) -> Annotations:
        """Return these annotations without the entries whose image is in ``images``."""
        kept = tuple(entry for entry in self.entries if entry.image not in images)
        return replace(self, entries=kept, digest="")

    def repeated(self) -> list[tuple[int, int]]:
        """Return (entry, the earlier entry with the same image), counted from 1, for each image listed again."""
        first: dict[str, int] = {}
        numbered = enumerate(self.entries, start=1)
        return [
            (number, earlier)
            for number, entry in numbered
            if (earlier := first.setdefault(entry.image, number)) != number
        ]


class _Repeated:
    """Stands for an object of JSON in which ``key`` is given twice."""

    def __init__(self, key: str) -> None:
        self.key = key


def pairs_sha256(pairs: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return the hash of (file name, captions) in order: SHA-256 in hexadecimal.

    It is taken of the file that the publisher would write for these pairs, so the published files have the hash of
    their own bytes, and the same pairs have it in every other layout.
    """
    digest = hashlib.sha256(b"[")
    separator = "\n"
    for name, captions in pairs:
        lines = ",\n      ".join(_quoted(caption) for caption in captions)
        image = _quoted(f"flickr8k-images\\{name}")
        item = f'{separator}  {{\n    "image": {image},\n    "caption": [\n      {lines}\n    ]\n  }}'
        digest.update(item.encode())
        separator = ",\n"
    digest.update(b"\n]")
    return digest.hexdigest()


def read_text(path: Path, expected: str) -> str:
    """Return the content of a file of annotations; raise NotReadyError that names it, and what was ``expected``."""
    try:
        if path.exists() and not path.is_file():
            raise NotReadyError(f"{path}: no regular file; expected {expected}")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise NotReadyError(f"{path}: {size:,} bytes; an annotation file has at most {MAX_BYTES:,}")
        # Editors on Windows put a byte-order mark first.
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise NotReadyError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from error
    except UnicodeDecodeError as error:
        raise NotReadyError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None


def read_json(path: Path, expected: str) -> object:
    """Return the content of a JSON file; raise NotReadyError that names the place and what was ``expected``."""
    content = read_text(path, expected)
    try:
        return json.loads(content, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise NotReadyError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg}); expected {expected}"
        ) from None
    except (RecursionError, ValueError) as error:
        raise NotReadyError(f"{path}: not usable JSON ({error}); expected {expected}") from None


def read_annotations(path: Path) -> Annotations:
    """Read and check an annotation file; pictures are not looked for.

    Raises NotReadyError that names the file, the entry (counted from 1), the key and the value.
    """
    items = read_json(path, _LAYOUT)
    if not isinstance(items, list):
        raise NotReadyError(f"{path}: holds a JSON {json_kind(items)}; expected {_LAYOUT}")
    if not items:
        raise NotReadyError(f"{path}: holds an empty list; expected {_LAYOUT}")
    entries = []
    for number, item in enumerate(items, start=1):
        try:
            entries.append(_entry(item))
        except ValueError as error:
            raise NotReadyError(f"{path}, entry {number} of {len(items)}: {error}") from None
    return Annotations(path, tuple(entries), folder=path.parent, split=path.stem)


def _object(pairs: list[tuple[str, object]]) -> object:
    content = dict(pairs)
    if len(content) == len(pairs):
        return content
    # Keys keep the order of their first appearance, so the first pair that differs from it is a repeat.
    return _Repeated(next(name for (name, _), first in zip(pairs, [*content, None], strict=False) if name != first))


def _entry(item: object) -> Entry:
    """Return one element of the list, checked; the caller adds file and entry to a ValueError."""
    if isinstance(item, _Repeated):
        raise ValueError(f"{reprlib.repr(item.key)}: is given twice; expected each key once")
    if not isinstance(item, dict):
        raise ValueError(f"is a JSON {json_kind(item)}; expected an object with the keys image and caption")
    for key in ("image", "caption"):
        if key not in item:
            raise ValueError(f"{key}: missing; the keys are {reprlib.repr(list(item))}")
    captions = item["caption"]
    if isinstance(captions, str):
        captions = [captions]
    if not isinstance(captions, list):
        raise ValueError(
            f"caption: {reprlib.repr(captions)} is a JSON {json_kind(captions)}; expected text or a list of it"
        )
    if not captions:
        raise ValueError("caption: is an empty list; expected one caption or more")
    return Entry(relative_path(item["image"]), tuple(checked_text("caption", caption) for caption in captions))


def relative_path(value: object) -> str:
    """Return the path of an image with forward slashes; raise ValueError unless it is relative and stays inside."""
    # The published files were written on Windows, and no picture of Flickr8k has a backslash in its name.
    path = checked_text("image", value).replace("\\", "/")
    if any(ord(character) < 32 or character == "\x7f" for character in path):
        raise ValueError(f"image: {reprlib.repr(value)} names no file; expected a path such as folder/name.jpg")
    if path.startswith("/") or _DRIVE.match(path):
        raise ValueError(f"image: {reprlib.repr(value)} is absolute; expected a path relative to the annotation file")
    if ".." in path.split("/"):
        raise ValueError(f"image: {reprlib.repr(value)} leads out of the folder with '..'; expected a path inside it")
    if len(path) > MAX_PATH:
        raise ValueError(f"image: {reprlib.repr(value)} has {len(path):,} characters; expected at most {MAX_PATH:,}")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or path.endswith(("/", "/.")):
        raise ValueError(f"image: {reprlib.repr(value)} names no file; expected a path such as folder/name.jpg")
    # One spelling for each file, so that a picture listed twice is noticed.
    return "/".join(parts)


def checked_text(key: str, value: object) -> str:
    """Return ``value``; raise ValueError that names ``key`` unless it is text of a sensible length."""
    if not isinstance(value, str):
        raise ValueError(f"{key}: {reprlib.repr(value)} is a JSON {json_kind(value)}; expected text")
    if not value or value.isspace():
        raise ValueError(f"{key}: {reprlib.repr(value)} is empty; expected text")
    if len(value) > MAX_CAPTION:
        raise ValueError(f"{key}: {len(value):,} characters ({reprlib.repr(value)}); expected at most {MAX_CAPTION:,}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{key}: {reprlib.repr(value)} holds half a surrogate pair; expected Unicode text") from None
    return value


def json_kind(value: object) -> str:
    """Return what JSON calls a value."""
    if isinstance(value, _Repeated):
        return "object"
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return {dict: "object", list: "list", str: "string"}.get(type(value), "number")

"""Annotation files: a JSON list of ``{"image": "folder/name.jpg", "caption": ["...", ...]}``."""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from dataclasses import dataclass
from pathlib import Path

from clipbench.errors import NotReadyError

_LAYOUT = 'a list of {"image": "folder/name.jpg", "caption": ["...", ...]}'
_DRIVE = re.compile(r"[A-Za-z]:")


@dataclass(frozen=True)
class Entry:
    """One picture: ``image`` is its path with forward slashes, relative to the annotation file's folder."""

    image: str
    captions: tuple[str, ...]


@dataclass(frozen=True)
class Annotations:
    """A checked annotation file: ``entries`` in file order, ``sha256`` of the file's bytes in hexadecimal."""

    path: Path
    entries: tuple[Entry, ...]
    sha256: str


def read_annotations(path: Path) -> Annotations:
    """Read and check an annotation file; pictures are not looked for.

    Raises NotReadyError that names the file, the entry (counted from 1), the key and the value.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NotReadyError(f"{path}: cannot be read ({error.strerror}); expected {_LAYOUT}") from error
    items = _parse(path, content)
    if not isinstance(items, list):
        raise NotReadyError(f"{path}: holds a JSON {_kind(items)}; expected {_LAYOUT}")
    if not items:
        raise NotReadyError(f"{path}: holds an empty list; expected {_LAYOUT}")
    entries = []
    for number, item in enumerate(items, start=1):
        try:
            entries.append(_entry(item))
        except ValueError as error:
            raise NotReadyError(f"{path}, entry {number} of {len(items)}: {error}") from None
    return Annotations(path, tuple(entries), hashlib.sha256(content).hexdigest())


def _parse(path: Path, content: bytes) -> object:
    try:
        # Editors on Windows put a byte-order mark first.
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise NotReadyError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise NotReadyError(
            f"{path}, line {error.lineno}, column {error.colno}: not JSON ({error.msg}); expected {_LAYOUT}"
        ) from None
    except (RecursionError, ValueError) as error:
        raise NotReadyError(f"{path}: not usable JSON ({error}); expected {_LAYOUT}") from None


def _entry(item: object) -> Entry:
    """Check one element of the list; the caller says where a ValueError comes from."""
    if not isinstance(item, dict):
        raise ValueError(f"is a JSON {_kind(item)}; expected an object with the keys image and caption")
    for key in ("image", "caption"):
        if key not in item:
            raise ValueError(f"{key}: missing; the keys are {reprlib.repr(list(item))}")
    captions = item["caption"]
    if isinstance(captions, str):
        captions = [captions]
    if not isinstance(captions, list):
        raise ValueError(
            f"caption: {reprlib.repr(captions)} is a JSON {_kind(captions)}; expected text or a list of it"
        )
    if not captions:
        raise ValueError("caption: is an empty list; expected one caption or more")
    return Entry(_relative_path(item["image"]), tuple(_text("caption", caption) for caption in captions))


def _relative_path(value: object) -> str:
    # The published files were written on Windows; no picture of Flickr8k has a backslash in its name.
    path = _text("image", value).replace("\\", "/")
    if path.startswith("/") or _DRIVE.match(path):
        raise ValueError(f"image: {reprlib.repr(value)} is absolute; expected a path relative to the annotation file")
    if ".." in path.split("/"):
        raise ValueError(f"image: {reprlib.repr(value)} leads out of the folder with '..'; expected a path inside it")
    if "\0" in path or path.endswith("/"):
        raise ValueError(f"image: {reprlib.repr(value)} names no file; expected a path such as folder/name.jpg")
    return path


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{key}: {reprlib.repr(value)} is a JSON {_kind(value)}; expected text")
    if not value or value.isspace():
        raise ValueError(f"{key}: {value!r} is empty; expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{key}: {reprlib.repr(value)} holds half a surrogate pair; expected Unicode text") from None
    return value


def _kind(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    return {dict: "object", list: "list", str: "string"}.get(type(value), "number")

"""Readers of the files in which captions and splits are given out."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath

from clipbench.api import NotReadyError
from clipbench_flickr8k.annotations import Entry, checked_text, json_kind, read_json, read_text, relative_path

_TOKENS = "NAME.jpg#0, a tab and the caption on each line"
_ROWS = "NAME.jpg,caption on each line"
_TAGGED = "NAME.jpg#zhc#0, a space and the caption on each line"
_TEXTS = '{"text_id": 1, "text": "...", "image_ids": [1, ...]} on each line'
_NAMES = "the name of one image on each line"
_KARPATHY = '{"images": [{"filename": "NAME.jpg", "split": "train", "sentences": [{"raw": "..."}, ...]}, ...]}'
_ROW = re.compile(r"(.+?\.(?:jpg|jpeg|png|webp)),(.*)", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
# One caption of the release stands under the name of no image, 2258277193_586949ec62.jpg.1.
_NO_IMAGE = re.compile(r"\.jpg\.\d+$")

_TAG = re.compile(r"(.+)#zh\w*#(\d+) (.*)")

# The lines of an image follow one another.
_image_path = lru_cache(maxsize=1)(relative_path)


def read_tokens(path: Path) -> dict[str, Entry]:
    """Return the entries of ``Flickr8k.token.txt`` by image, with captions in the order of their numbers."""

    def parse(line: str) -> tuple[str, str, str] | None:
        key, tab, caption = line.partition("\t")
        name, hash_sign, number = key.strip().rpartition("#")
        return (name, number, caption) if tab and hash_sign and number.isdecimal() else None

    return _numbered(path, _TOKENS, parse)


def read_tagged(path: Path) -> dict[str, Entry]:
    """Return the entries of a file of Flickr8k-CN by image, with captions in the order of their numbers."""

    def parse(line: str) -> tuple[str, str, str] | None:
        match = _TAG.fullmatch(line)
        return (match[1], match[2], match[3]) if match else None

    return _numbered(path, _TAGGED, parse)


def has_tags(path: Path) -> bool:
    """Return whether a file is one of Flickr8k-CN, by its first line."""
    first = next((line for line in read_text(path, _TAGGED).splitlines()[:100] if line.strip()), "")
    return _TAG.fullmatch(first.strip()) is not None


def _numbered(path: Path, expected: str, parse: Callable[[str], tuple[str, str, str] | None]) -> dict[str, Entry]:
    """Return the entries of a file with one caption on each line; ``parse`` returns its image, number and text."""
    numbered: dict[str, dict[int, str]] = {}

    def take(line: str) -> None:
        parsed = parse(line)
        if parsed is None:
            raise ValueError(f"expected {expected}")
        name, number, caption = parsed
        captions = numbered.setdefault(_image_path(name), {})
        if int(number) in captions:
            raise ValueError(f"caption {name}#{number} is given twice; expected each number once for an image")
        captions[int(number)] = checked_text("caption", caption).strip()

    _each_line(path, expected, take)
    return {
        name: Entry(name, tuple(captions[number] for number in sorted(captions)))
        for name, captions in numbered.items()
        if not _NO_IMAGE.search(name)
    }


def read_texts(path: Path) -> tuple[dict[str, list[str]], int, int]:
    """Return the texts of each image by its id in Chinese-CLIP's JSON lines; how many have several images, and none.

    A text of several images is a caption of each.
    """
    texts: dict[str, list[str]] = {}
    counts = [0, 0]

    def take(line: str) -> None:
        try:
            item = json.loads(line)
        except ValueError as error:
            raise ValueError(f"not JSON ({error}); expected {_TEXTS}") from None
        if not isinstance(item, Mapping):
            raise ValueError(f"is a JSON {json_kind(item)}; expected {_TEXTS}")
        text, ids = checked_text("text", item.get("text")).strip(), item.get("image_ids")
        if not isinstance(ids, list) or not all(type(one) in (int, str) for one in ids):
            raise ValueError(f"image_ids: {ids!r:.60}; expected a list of ids")
        counts[0] += len(ids) > 1
        counts[1] += not ids
        for one in ids:
            texts.setdefault(relative_path(str(one)), []).append(text)

    _each_line(path, _TEXTS, take)
    return texts, counts[0], counts[1]


def read_rows(path: Path) -> dict[str, Entry]:
    """Return the entries of a list of ``image,caption`` by image, whether or not its captions are quoted as in CSV.

    Captions contain commas. Where each one with a comma or a quotation mark is quoted as CSV demands, the file is CSV.
    Else everything after the first comma is the caption, as it stands.
    """
    rows: list[tuple[str, str]] = []

    def take(line: str) -> None:
        match = _ROW.fullmatch(line)
        if match is None:
            if not rows and line.replace(" ", "").lower() == "image,caption":
                return
            raise ValueError(f"expected {_ROWS}")
        rows.append((_image_path(match[1].strip()), checked_text("caption", match[2].strip())))

    _each_line(path, _ROWS, take)
    special = [caption for _, caption in rows if "," in caption or '"' in caption]
    if all(_QUOTED.fullmatch(caption) for caption in special):
        rows = [(name, next(csv.reader([caption]))[0].strip()) for name, caption in rows]
    captions: dict[str, list[str]] = {}
    for name, caption in rows:
        captions.setdefault(name, []).append(caption)
    return {name: Entry(name, tuple(texts)) for name, texts in captions.items()}


def read_names(path: Path) -> list[str]:
    """Return the names of a list of images, in order."""
    names: list[str] = []
    _each_line(path, _NAMES, lambda line: names.append(relative_path(line.strip())))
    return names


def has_captions(path: Path) -> bool:
    """Return whether a list gives captions too, not only names."""
    return any(_ROW.fullmatch(line.strip()) for line in read_text(path, _NAMES).splitlines()[:100])


def read_karpathy(path: Path, collection: str) -> dict[str, dict[str, Entry]]:
    """Return the entries of Karpathy's JSON by split and image; ``restval`` is of ``train``, and ``val`` is ``dev``."""
    content = read_json(path, _KARPATHY)
    if not isinstance(content, Mapping) or not isinstance(content.get("images"), list):
        raise NotReadyError(f"{path}: holds no list 'images'; expected {_KARPATHY}")
    if content.get("dataset", collection) != collection:
        raise NotReadyError(f"{path}: dataset: {content['dataset']!r}; expected '{collection}'")
    splits: dict[str, dict[str, Entry]] = {}
    images = content["images"]
    for number, image in enumerate(images, start=1):
        try:
            split, entry = _karpathy_entry(image)
            if splits.setdefault(split, {}).setdefault(entry.image, entry) is not entry:
                raise ValueError(f"filename: '{entry.image}' is listed before in split {split}")
        except ValueError as error:
            raise NotReadyError(f"{path}, image {number} of {len(images)}: {error}") from None
    return splits


def _karpathy_entry(image: object) -> tuple[str, Entry]:
    if not isinstance(image, Mapping):
        raise ValueError(f"is a JSON {json_kind(image)}; expected an object with filename, split and sentences")
    name = checked_text("filename", image.get("filename"))
    folder = image.get("filepath") or ""
    split = checked_text("split", image.get("split"))
    sentences = image.get("sentences")
    if not isinstance(sentences, list) or not sentences:
        raise ValueError("sentences: expected a list of one or more")
    captions = tuple(checked_text("raw", _raw(sentence)).strip() for sentence in sentences)
    path = relative_path(str(PurePosixPath(checked_text("filepath", folder), name)) if folder else name)
    return {"restval": "train", "val": "dev"}.get(split, split), Entry(path, captions)


def _raw(sentence: object) -> object:
    return sentence.get("raw") if isinstance(sentence, Mapping) else sentence


def _each_line(path: Path, expected: str, take: Callable[[str], None]) -> None:
    """Call ``take`` with each line that is not empty; raise NotReadyError that names the line where it fails."""
    empty = True
    for number, line in _lines(read_text(path, expected).split("\n")):
        empty = False
        try:
            take(line)
        except ValueError as error:
            raise NotReadyError(f"{path}, line {number}: {line[:80]!r}: {error}") from None
    if empty:
        raise NotReadyError(f"{path}: is empty; expected {expected}")


def _lines(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    stripped = ((number, line.strip("\r ")) for number, line in enumerate(lines, start=1))
    return ((number, line) for number, line in stripped if line)

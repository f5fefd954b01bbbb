"""Dataset ``imagefolder``: pictures in one folder for each class, to classify; it has no captions."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clipbench.api import (
    PICTURE_SUFFIXES,
    Classes,
    DatasetRequest,
    Fingerprint,
    NotReadyError,
    UsageError,
    did_you_mean,
)
from clipbench_flickr8k.annotations import Annotations, Entry, checked_text, json_kind, read_json, read_text
from clipbench_flickr8k.checking import NAMED
from clipbench_flickr8k.flickr8k import Photographs, PictureSplit
from clipbench_flickr8k.official import Collection

TEMPLATES = ("a photo of a {}.",)
_ENDINGS = tuple(ending for endings in PICTURE_SUFFIXES.values() for ending in endings)
_NAMES = "a list of names in the order of the folders, an object of folder: name, or a file with either"
_TEMPLATES = 'a list of texts with one {} each, such as "a photo of a {}.", or a file with one'
_SOURCE = (
    "a folder with one folder of pictures for each class: dataset.val: FOLDER, relative to the data root; "
    "point at that with CLIPBENCH_DATA or --set dataset.root=FOLDER"
)
IMAGEFOLDER = Collection("imagefolder", "ImageFolder", {}, (), _SOURCE)


@dataclass(frozen=True)
class ClassPictures(PictureSplit):
    """Pictures without captions; ``names`` of the classes by their folder, those without pictures too."""

    names: Mapping[str, str] = field(default_factory=dict)
    templates: tuple[str, ...] = TEMPLATES

    @property
    def fingerprint(self) -> Fingerprint:
        """Return what identifies the pictures, their classes, and the texts that these are known by."""
        content = [list(self.names.items()), self.templates, [entry.image for entry in self.annotations.entries]]
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
        return replace(super().fingerprint, annotation_sha256=digest)

    def classes(self) -> Classes:
        """Return the class of every picture: that of the folder in which it lies."""
        index = {folder: number for number, folder in enumerate(self.names)}
        labels = [index[_class_of(entry)] for entry in self.annotations.entries]
        return Classes(tuple(self.names.values()), self.templates, labels)


class ImageFolder(Photographs):
    """Pictures in one folder for each class, at any depth in it."""

    what = "folder"

    def __init__(self, request: DatasetRequest) -> None:
        for key in request.options:
            if key not in ("classes", "templates"):
                near = did_you_mean(key, ["classes", "templates"])
                raise UsageError(f"dataset.options.{key}: not an option of dataset imagefolder; {near}")
        super().__init__(replace(request, options={}), IMAGEFOLDER)
        self._options = request.options
        self._folders: dict[str, tuple[str, ...]] = {}

    def read(self, name: str) -> Annotations | None:
        """Return the pictures of the folder ``name``; raise NotReadyError where it has none in folders of classes."""
        path = self._request.root / name
        if not os.path.isdir(path):  # noqa: PTH112 -- no error on odd names
            return None
        self._folders[str(path)] = folders = tuple(sorted(item.name for item in path.iterdir() if item.is_dir()))
        entries = tuple(Entry(image, ()) for folder in folders for image in _pictures(path, folder))
        if not entries:
            raise NotReadyError(f"{path}: has no pictures in folders of its own; expected {_SOURCE}")
        return Annotations(path, entries, folder=path, split=path.name)

    def warnings(self) -> list[str]:
        """Return what Photographs has, and lines on classes without pictures and on names that two classes share."""
        split = self._split(self._request.val)
        assert isinstance(split, ClassPictures)
        shown = {_class_of(entry) for entry in split.annotations.entries}
        lines = super().warnings()
        if empty := [folder for folder in split.names if folder not in shown]:
            words = "have no pictures: they stay among the answers, and have no part in the mean per class"
            lines.append(f"{split.annotations.path}: {_few(empty)} of {len(split.names):,} classes {words}")
        if twice := [name for name, count in Counter(split.names.values()).items() if count > 1]:
            lines.append(f"{_few(twice)} names stand for several classes: telling these apart is left to chance")
        return lines

    def as_split(self, annotations: Annotations, skipped: int = 0) -> ClassPictures:
        """Return the pictures with their classes."""
        folders = self._folders[str(annotations.path)]
        names = _names_of(self._option("classes", _NAMES), folders, annotations.path)
        given = self._option("templates", _TEMPLATES)
        return ClassPictures(annotations, skipped, names, TEMPLATES if given is None else _templates(given))

    def _option(self, key: str, expected: str) -> Any:  # noqa: ANN401
        """Return the value of an option, read from the file that it names; None where it is not given."""
        value = self._options.get(key)
        if not isinstance(value, str):
            return value
        path = self._request.root / value
        if path.suffix != ".json":
            return [line.strip() for line in read_text(path, expected).splitlines() if line.strip()]
        content = read_json(path, expected)
        if isinstance(content, dict) and len(content) == 1 and isinstance(only := next(iter(content.values())), list):
            return only  # of the dataset that is the key
        return content


def _pictures(root: Path, folder: str) -> list[str]:
    """Return the pictures of a class, relative to ``root``, with forward slashes, sorted."""
    found = []
    for place, _, names in os.walk(root / folder):
        inside = Path(place).relative_to(root).as_posix()
        found += [f"{inside}/{name}" for name in names if name.lower().endswith(_ENDINGS)]
    return sorted(found)


def _class_of(entry: Entry) -> str:
    return entry.image.partition("/")[0]


def _names_of(given: Any, folders: Sequence[str], path: Path) -> dict[str, str]:  # noqa: ANN401
    """Return the name of each class by its folder; raise UsageError for names that do not fit the ``folders``."""
    key = "dataset.options.classes"
    if given is None:
        return {folder: folder for folder in folders}
    if isinstance(given, Mapping):
        names = {str(folder): _text(key, name) for folder, name in given.items()}
        if not set(names) & set(folders):
            raise UsageError(f"{key}: names none of the {len(folders):,} folders in {path} ({_few(folders, False)})")
        # Those with a name and no folder are classes without pictures.
        return {folder: names.get(folder, folder) for folder in sorted({*folders, *names})}
    if not isinstance(given, list):
        raise UsageError(f"{key}: is a JSON {json_kind(given)}; expected {_NAMES}")
    if len(given) != len(folders):
        raise UsageError(
            f"{key}: has {len(given):,} names for the {len(folders):,} folders in {path} ({_few(folders, False)}); "
            f"expected {_NAMES}"
        )
    return {folder: _text(key, name) for folder, name in zip(folders, given, strict=True)}


def _templates(given: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return templates with ``{}``, which files of CLIP_benchmark write ``{c}``."""
    key = "dataset.options.templates"
    if not isinstance(given, list) or not given:
        raise UsageError(f"{key}: expected {_TEMPLATES}")
    texts = tuple(_text(key, text).replace("{c}", "{}") for text in given)
    if wrong := [text for text in texts if text.count("{}") != 1]:
        raise UsageError(f"{key}: '{wrong[0]}'; expected {_TEMPLATES}")
    return texts


def _text(key: str, value: object) -> str:
    try:
        return checked_text(key, value)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _few(names: Sequence[str], counted: bool = True) -> str:
    listed = ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")
    return f"{len(names):,} ({listed})" if counted else listed

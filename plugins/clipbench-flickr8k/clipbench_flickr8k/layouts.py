"""Layouts: the forms in which people have a collection on disk, each recognised by the content of the data root."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from clipbench.api import NotReadyError
from clipbench_flickr8k.annotations import Annotations, Entry, read_annotations
from clipbench_flickr8k.caption_files import (
    read_karpathy,
    read_names,
    read_rows,
    read_tokens,
)
from clipbench_flickr8k.checking import NAMED
from clipbench_flickr8k.official import Collection, compare_names
from clipbench_flickr8k.splits import refuse_mixed

# How many names are tried in each folder where images may lie: a part of the images may be all that is there.
_TRIED = 300
# Files of the published layout that begin so have captions in Chinese, and belong to that collection alone.
_CHINESE = "cn_"


class Layout(Protocol):
    """One layout of a ``collection`` in the data root ``root``."""

    @property
    def root(self) -> Path: ...

    @property
    def collection(self) -> Collection: ...

    @property
    def name(self) -> str:
        """Return what people call it."""

    def where(self, split: str) -> Path:
        """Return the file that lists the images of a split."""

    def splits(self) -> Sequence[str]:
        """Return the names of the splits that it has: train, dev, test, and any of the user's own."""

    def read(self, split: str) -> Annotations:
        """Return the pairs of one of ``splits``, as listed; raise NotReadyError for a file that cannot be used."""

    @property
    def captions(self) -> Mapping[str, Entry]:
        """Return every entry by its image."""


@dataclass(frozen=True)
class Published:
    """The publisher's layout: one JSON file for each split in the folder ``datasets``."""

    root: Path
    collection: Collection
    name = "the published layout"

    def splits(self) -> Sequence[str]:
        chinese = self.collection.prefix == _CHINESE
        stems = sorted(path.stem for path in (self.root / "datasets").glob("*.json"))
        return [stem for stem in stems if stem.startswith(_CHINESE) == chinese]

    def where(self, split: str) -> Path:
        return self.root / "datasets" / f"{split}.json"

    def read(self, split: str) -> Annotations:
        return read_annotations(self.where(split))

    @cached_property
    def captions(self) -> Mapping[str, Entry]:
        found: dict[str, Entry] = {}
        for split in self.splits():
            for entry in self.read(split).entries:
                found.setdefault(entry.name, replace(entry, image=f"datasets/{entry.image}"))
        return found


@dataclass(frozen=True)
class Original:
    """The release of the authors: ``Flickr8k.token.txt`` and one list of names for each split."""

    root: Path
    collection: Collection
    path: Path
    name = "the original release"

    def splits(self) -> Sequence[str]:
        own = sorted(set(self._lists) - set(self.collection.splits))
        return [*official_in(self.captions, self.collection, self._lists), *own]

    def where(self, split: str) -> Path:
        return self._lists.get(split, self.path)

    def read(self, split: str) -> Annotations:
        path = self.where(split)
        return listed(self, path, split) if split in self._lists else official_part(self, path, split)

    @cached_property
    def captions(self) -> Mapping[str, Entry]:
        return read_tokens(self.path)

    @cached_property
    def _lists(self) -> dict[str, Path]:
        start, end = "Flickr_8k.", "Images.txt"
        paths = sorted(self.path.parent.glob(f"{start}*{end}"))
        return {path.name.removeprefix(start).removesuffix(end): path for path in paths}


@dataclass(frozen=True)
class WithoutSplits:
    """One file with the captions of all images, divided by the official splits; a subclass says how it is read."""

    root: Path
    collection: Collection
    path: Path

    def splits(self) -> Sequence[str]:
        return official_in(self.captions, self.collection)

    def where(self, split: str) -> Path:
        return self.path

    def read(self, split: str) -> Annotations:
        return official_part(self, self.path, split)


@dataclass(frozen=True)
class Kaggle(WithoutSplits):
    """The copy on Kaggle: ``captions.txt`` beside the folder ``Images``."""

    name = "Kaggle's layout"

    @cached_property
    def captions(self) -> Mapping[str, Entry]:
        return read_rows(self.path)


@dataclass(frozen=True)
class Karpathy:
    """Karpathy's JSON: one file with all images, captions and splits."""

    root: Path
    collection: Collection
    path: Path
    name = "Karpathy's JSON"

    def splits(self) -> Sequence[str]:
        return _in_order(self._by_split)

    def where(self, split: str) -> Path:
        return self.path

    def read(self, split: str) -> Annotations:
        return _annotations(self, self.path, split, self._by_split[split].values())

    @cached_property
    def captions(self) -> Mapping[str, Entry]:
        return {name: entry for entries in self._by_split.values() for name, entry in entries.items()}

    @cached_property
    def _by_split(self) -> dict[str, dict[str, Entry]]:
        return read_karpathy(self.path, self.collection.name)


@dataclass(frozen=True)
class Lists:
    """The lists of LAION's CLIP_benchmark: one file of ``image,caption`` for each split."""

    root: Path
    collection: Collection
    paths: Mapping[str, Path]
    name = "LAION's lists"

    def splits(self) -> Sequence[str]:
        return _in_order(self.paths)

    def where(self, split: str) -> Path:
        return self.paths[split]

    def read(self, split: str) -> Annotations:
        path = self.where(split)
        return replace(_annotations(self, path, split, read_rows(path).values()), part="")

    @cached_property
    def captions(self) -> Mapping[str, Entry]:
        return {name: entry for path in self.paths.values() for name, entry in read_rows(path).items()}


def listed(layout: Layout, path: Path, split: str) -> Annotations:
    """Return the pairs of a list of names, with the captions that the layout has for them.

    A name may lack the ending .jpg. Raises NotReadyError for a list that is not the official split of its name, and
    for names without captions.
    """
    names, official = read_names(path), layout.collection.official(split)
    if official is not None:
        refuse_mixed(path, compare_names(names, official, layout.collection), layout.collection)
    captions = layout.captions
    found = [captions.get(name) or captions.get(f"{name}.jpg") for name in names]
    lacking = [name for name, entry in zip(names, found, strict=True) if entry is None]
    if lacking:
        examples = ", ".join(lacking[:NAMED])
        raise NotReadyError(
            f"{path}: {len(lacking):,} of {len(names):,} names have no caption in {layout.name} of {layout.root} "
            f"(the first: {examples}); expected names of images with captions"
        )
    return replace(_annotations(layout, path, split, (entry for entry in found if entry)), part="")


def official_part(layout: Layout, path: Path, split: str) -> Annotations:
    """Return the pairs of an official split, by the names that the plugin knows, from a file without splits."""
    official = layout.collection.splits[split]
    entries = [entry for entry in layout.captions.values() if official.place(entry.image) is not None]
    return _annotations(layout, path, split, entries)


def _annotations(layout: Layout, path: Path, split: str, entries: Iterable[Entry]) -> Annotations:
    entries = tuple(entries)
    return Annotations(path, entries, image_folder(layout.root, entries, layout.collection), split, part=split)


def image_folder(root: Path, entries: Sequence[Entry], collection: Collection) -> Path:
    """Return the folder that has an image of these, else the first that is there, else the usual one."""
    folders = [root / name for name in collection.folders if (root / name).is_dir()]
    for folder in folders:
        if any(os.path.isfile(f"{folder}/{entry.image}") for entry in entries[:_TRIED]):  # noqa: PTH113 -- by the hundred
            return folder
    if entries and "/" in entries[0].image:  # names its folder itself
        return root
    return next((folder for folder in folders if folder != root), root / collection.folders[0])


def official_in(captions: Mapping[str, Entry], collection: Collection, lists: Iterable[str] = ()) -> list[str]:
    """Return the official splits of which a list is there or some image has captions."""
    splits = collection.splits
    listed = set(lists)
    return [
        name
        for name, split in splits.items()
        if name in listed or any(split.place(image) is not None for image in captions)
    ]


def _in_order(splits: Iterable[str]) -> list[str]:
    order = {"train": 0, "dev": 1, "test": 2}
    return sorted(splits, key=lambda split: (order.get(split, 3), split))

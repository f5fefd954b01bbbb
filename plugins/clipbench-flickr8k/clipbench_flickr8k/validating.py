"""What ``clipbench validate`` says of a data root: its layouts and their splits, checked with their images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clipbench.api import DataFinding, NotReadyError
from clipbench_flickr8k.annotations import Annotations
from clipbench_flickr8k.checking import find_pictures, in_words, oddities, overlap, repeats_in_words
from clipbench_flickr8k.data_root import DataRoot
from clipbench_flickr8k.layouts import Layout
from clipbench_flickr8k.official import Collection, coco, flickr8k, flickr8k_cn, flickr30k
from clipbench_flickr8k.splits import settle


def check_flickr8k(root: Path, deep: bool) -> list[DataFinding]:
    """Return the findings on every split of Flickr8k in ``root``, in each layout that is there."""
    return check_root(root, deep, flickr8k())


def check_flickr8k_cn(root: Path, deep: bool) -> list[DataFinding]:
    """Return the findings on every split of Flickr8k-CN, or of other data in its layouts, in ``root``."""
    return check_root(root, deep, flickr8k_cn())


def check_flickr30k(root: Path, deep: bool) -> list[DataFinding]:
    """Return the findings on every split of Flickr30k in ``root``."""
    return check_root(root, deep, flickr30k())


def check_coco(root: Path, deep: bool) -> list[DataFinding]:
    """Return the findings on every split of COCO in ``root``."""
    return check_root(root, deep, coco())


def check_root(root: Path, deep: bool, collection: Collection) -> list[DataFinding]:
    """Return the findings on every split in every layout of ``root``; none where it has no layout of the collection."""
    return [finding for layout in DataRoot(root, collection).layouts for finding in _check_layout(layout, deep)]


def _check_layout(layout: Layout, deep: bool) -> list[DataFinding]:
    try:
        splits = layout.splits()
        if not splits:
            raise NotReadyError(f"{layout.where('')}: has no image of an official split of {layout.collection.title}")
    except NotReadyError as error:
        return [DataFinding(layout.where(""), layout.name, (str(error),))]
    read: dict[str, Annotations] = {}
    return [_check_split(layout, split, read, deep) for split in splits]


def _check_split(layout: Layout, split: str, read: dict[str, Annotations], deep: bool) -> DataFinding:
    try:
        annotations = read[split] = settle(layout.read(split), split, layout.collection)
        pictures = find_pictures(layout.root, [annotations])
    except NotReadyError as error:
        return DataFinding(layout.where(split), f"{layout.name}, {split}", (str(error),))
    pictures.look(deep)
    path, count = annotations.path, len(annotations.entries)
    problems = []
    if pictures.absent:
        problems.append(f"{path}: {in_words(pictures.absent, len(pictures.listed), 'are missing')}")
    if pictures.unusable:
        unusable = in_words(list(pictures.unusable), len(pictures.listed), "cannot be used", pictures.unusable)
        problems.append(f"{path}: {unusable}")
    warnings = [*annotations.notes, *(f"{annotations.title}: {line}" for line in oddities(pictures))]
    if pictures.outside:
        warnings.append(f"{pictures.outside}; a run reads it where the data root is named, as by dataset.root")
    if repeats := annotations.repeated():
        repeated = repeats_in_words(annotations, repeats)
        if "train" in split:
            warnings.append(f"{annotations.title}: {repeated}")
        else:
            problems.append(f"{path}, {repeated}; give each picture one entry with all of its captions")
    warnings += _overlap(split, read)
    captions = sum(len(entry.captions) for entry in annotations.entries)
    part = f"{annotations.part}: " if annotations.part else ""
    summary = f"{part}{count:,} pictures, {captions:,} captions; {layout.name}; {annotations.standing}"
    return DataFinding(path, summary, tuple(problems), tuple(warnings))


def _overlap(split: str, read: Mapping[str, Annotations]) -> list[str]:
    """Return a line where images of a split are in the training split that goes with it too."""
    for word in ("val", "dev", "test"):
        train = read.get(split.replace(word, "train"))
        if train is not None and word in split:
            return overlap(train, read[split])
    return []

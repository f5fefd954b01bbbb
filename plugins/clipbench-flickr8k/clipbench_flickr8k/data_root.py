"""A data root: which layouts of a collection lie there, and the splits that they have."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from clipbench.api import NotReadyError
from clipbench_flickr8k.annotations import Annotations, read_annotations
from clipbench_flickr8k.caption_files import has_captions, has_tags, read_rows, read_tagged
from clipbench_flickr8k.chinese_layouts import TAGGED, TEXTS, ChineseClip, Tagged
from clipbench_flickr8k.layouts import Kaggle, Karpathy, Layout, Lists, Original, Published, image_folder, listed
from clipbench_flickr8k.official import Collection
from clipbench_flickr8k.splits import settle


class DataRoot:
    """A data root: the layouts that its content shows, and the splits that they have."""

    def __init__(self, root: Path, collection: Collection) -> None:
        self.root = root
        self.collection = collection

    @cached_property
    def layouts(self) -> list[Layout]:
        """Return the layouts that are there, the one that is used first."""
        # os.path returns False for a name that is too long, where Path raises.
        if not os.path.isdir(self.root):  # noqa: PTH112
            return []
        layouts = _LAYOUTS.get(self.collection.name, _shared_layouts)
        return layouts(self.root, self.collection)

    def read(self, name: str) -> Annotations | None:
        """Return the split that ``dataset.train`` or ``dataset.val`` names, or None where nothing has it.

        A file of this name is read. Else the name is that of a split, as ``datasets/en_val.json``, ``en_val`` and
        ``dev`` all are, and the first layout that has it gives it.
        Raises NotReadyError for a file that cannot be used, and for a list that is not the official split of its name.
        """
        path, stem = locate(self.root, name), Path(name).stem
        if os.path.isfile(path):  # noqa: PTH113
            return settle(self._read_file(path), stem, self.collection)
        official = self.collection.official(stem)
        for layout in self.layouts:
            for split in layout.splits():
                if split == stem or (official and self.collection.official(split) is official):
                    return settle(layout.read(split), split, self.collection)
        return None

    def _read_file(self, path: Path) -> Annotations:
        """Return the pairs of a file that the suite names: annotations in JSON, rows with captions, or names alone."""
        if path.name.endswith(TEXTS):
            return ChineseClip(path.parent, self.collection).read(path.name.removesuffix(TEXTS))
        if path.suffix != ".txt":
            return read_annotations(path)
        if has_tags(path):
            entries = list(read_tagged(path).values())
            return Annotations(path, tuple(entries), image_folder(self.root, entries, self.collection), path.stem)
        if has_captions(path):
            entries = list(read_rows(path).values())
            return Annotations(path, tuple(entries), image_folder(self.root, entries, self.collection), path.stem)
        if not self.layouts:
            raise NotReadyError(
                f"{path}: a list of names, and {self.root} has no captions for them; expected {self.collection.source}"
            )
        return listed(self.layouts[0], path, path.stem)


def _flickr8k_layouts(root: Path, collection: Collection) -> list[Layout]:
    layouts: list[Layout] = _published(root, collection)
    tokens = [folder / "Flickr8k.token.txt" for folder in (root, root / "Flickr8k_text")]
    layouts += [Original(root, collection, path) for path in tokens if path.is_file()]
    captions = root / "captions.txt"
    if captions.is_file() and any((root / name).is_dir() for name in ("Images", "images")):
        layouts.append(Kaggle(root, collection, captions))
    return [*layouts, *_shared_layouts(root, collection)]


def _chinese_layouts(root: Path, collection: Collection) -> list[Layout]:
    tagged = (root / name for name in TAGGED)
    packed = ChineseClip(root, collection)
    return [
        *_published(root, collection),
        *(Tagged(root, collection, path) for path in tagged if path.is_file()),
        *([packed] if packed.splits() else []),
    ]


def _published(root: Path, collection: Collection) -> list[Layout]:
    layout = Published(root, collection)
    return [layout] if layout.splits() else []


def _shared_layouts(root: Path, collection: Collection) -> list[Layout]:
    layouts: list[Layout] = []
    karpathy = root / f"dataset_{collection.name}.json"
    if karpathy.is_file():
        layouts.append(Karpathy(root, collection, karpathy))
    words = {"train": "train", "dev": "val", "test": "test"}
    paths = {split: root / f"{collection.name}_{word}_karpathy.txt" for split, word in words.items()}
    lists = {split: path for split, path in paths.items() if path.is_file()}
    return [*layouts, Lists(root, collection, lists)] if lists else layouts


_LAYOUTS: Mapping[str, Callable[[Path, Collection], list[Layout]]] = {
    "flickr8k": _flickr8k_layouts,
    "flickr8k_cn": _chinese_layouts,
}


def locate(root: Path, name: str) -> Path:
    """Return the path of ``name`` in ``root``; a bare file name may be in the folder ``datasets``, as published."""
    path, published = root / name, root / "datasets" / name
    in_datasets = os.path.exists(published) and not os.path.exists(path)  # noqa: PTH110
    return published if Path(name).name == name and in_datasets else path


def has_folder(root: Path, collection: Collection) -> bool:
    """Return whether a folder that the collection's images may lie in is there, beside the root itself."""
    return any(os.path.isdir(root / name) for name in collection.folders if name != ".")  # noqa: PTH112

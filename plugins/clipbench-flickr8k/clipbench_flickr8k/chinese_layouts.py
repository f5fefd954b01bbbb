"""Layouts of captions in Chinese: Flickr8k-CN's own file, and Chinese-CLIP's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from clipbench.api import NotReadyError
from clipbench_flickr8k.annotations import Annotations, Entry
from clipbench_flickr8k.caption_files import read_tagged, read_texts
from clipbench_flickr8k.layouts import WithoutSplits
from clipbench_flickr8k.official import Collection

TAGGED = ("flickr8kzhc.caption.txt", "flickr8kcn/data/flickr8kzhc.caption.txt")
TEXTS, IMAGES = "_texts.jsonl", "_imgs.tsv"


@dataclass(frozen=True)
class Tagged(WithoutSplits):
    """The release of Flickr8k-CN: one file, with a tag before each caption."""

    name = "Flickr8k-CN's file"

    @cached_property
    def captions(self) -> Mapping[str, Entry]:
        return read_tagged(self.path)


@dataclass(frozen=True)
class ChineseClip:
    """Chinese-CLIP's format: for each split the texts in JSON lines, and the pictures in a TSV."""

    root: Path
    collection: Collection
    name = "Chinese-CLIP's format"

    def splits(self) -> Sequence[str]:
        stems = (path.name.removesuffix(TEXTS) for path in self.root.glob(f"*{TEXTS}"))
        return sorted(stem for stem in stems if (self.root / f"{stem}{IMAGES}").is_file())

    def where(self, split: str) -> Path:
        return self.root / f"{split}{TEXTS}"

    def read(self, split: str) -> Annotations:
        path = self.where(split)
        texts, shared, without = read_texts(path)
        if not texts:
            raise NotReadyError(f"{path}: none of its {without:,} texts has an image; expected a split with image_ids")
        entries = tuple(Entry(f"{split}{IMAGES}/{image}", tuple(captions)) for image, captions in texts.items())
        notes = []
        if shared:
            notes.append(
                f"{path.name}: {shared:,} texts belong to several images; each is a caption of every one of them, with "
                "one right answer, so that recalls are lower than where any of its images is right"
            )
        if without:
            notes.append(f"{path.name}: {without:,} texts without an image are left out")
        return Annotations(path, entries, self.root, split, notes=tuple(notes))

    @cached_property
    def captions(self) -> Mapping[str, Entry]:
        return {entry.name: entry for split in self.splits() for entry in self.read(split).entries}

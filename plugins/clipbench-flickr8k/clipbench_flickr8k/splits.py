"""Splits as they are used: a list under an official name is the official split or a part of it, or it is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clipbench.api import NotReadyError
from clipbench_flickr8k.annotations import Annotations
from clipbench_flickr8k.official import Collection, Comparison, compare_names


def settle(annotations: Annotations, stem: str, collection: Collection) -> Annotations:
    """Return the pairs as they are used: an official split, or a part of it, in its published order, under its name.

    ``stem`` is the name of the split. Raises NotReadyError for a list under an official name that mixes images of the
    split with others.
    """
    annotations = _without_extra(annotations, collection)
    split = collection.official(stem)
    if split is None:
        return replace(annotations, split=stem, standing="a split of its own")
    names = [entry.image for entry in annotations.entries]
    comparison = compare_names(names, split, collection)
    if comparison.is_own and annotations.path.suffix in (".json", ".jsonl") and not annotations.part:
        standing = f"other photographs than those of {collection.title}"
        return replace(annotations, split=f"own {stem}", standing=standing)
    refuse_mixed(annotations.path, comparison, collection, annotations.part)
    entries = sorted(annotations.entries, key=lambda entry: split.place(entry.image) or 0)
    return _as_official(replace(annotations, entries=tuple(entries)), comparison, collection)


def _as_official(annotations: Annotations, comparison: Comparison, collection: Collection) -> Annotations:
    split = comparison.split
    official = f"{collection.title}'s official {split.name} split"
    if comparison.is_part and comparison.missing:
        standing = f"{comparison.listed:,} of the {split.images:,} images of {official}"
        note = f"{annotations.title}: {standing}; its figures are not those of the whole split"
        return replace(
            annotations, split=f"part of {split.recorded}", standing=standing, notes=(*annotations.notes, note)
        )
    annotations = replace(annotations, split=split.recorded, standing=f"the official {split.name} split")
    if not split.places:
        standing = f"{split.images:,} images, as many as the official {split.name} split has"
        return replace(annotations, standing=standing)
    if annotations.sha256 != split.pairs_sha256:
        note = f"{annotations.title}: the images are those of {official}, but the captions are not the published ones"
        standing = f"the official {split.name} split with other captions"
        return replace(annotations, standing=standing, notes=(*annotations.notes, note))
    return annotations


def refuse_mixed(path: Path, comparison: Comparison, collection: Collection, part: str = "") -> None:
    """Raise NotReadyError unless a list is an official split or a part of it; ``part`` is its name inside the file."""
    if comparison.is_official or comparison.is_part:
        return
    split = comparison.split
    if part:
        advice = f"name it otherwise than {split.name} in the file"
    else:
        advice = f"give the file another name, such as my_{split.name}{path.suffix}, and name that in the suite"
    raise NotReadyError(
        f"{path}: not {collection.title}'s official {split.name} split: {comparison.in_words()}; "
        f"restore the published file or, if the split is your own, {advice}"
    )


def _without_extra(annotations: Annotations, collection: Collection) -> Annotations:
    """Return the pairs with at most as many captions an image as the collection's evaluations use."""
    most = collection.most_captions
    extra = sum(len(entry.captions[most:]) for entry in annotations.entries) if most else 0
    if not extra:
        return annotations
    entries = tuple(replace(entry, captions=entry.captions[:most]) for entry in annotations.entries)
    captions = "1 caption" if extra == 1 else f"{extra:,} captions"
    note = f"{annotations.title}: {captions} beyond the first {most} of an image left out, as in published evaluations"
    return replace(annotations, entries=entries, notes=(*annotations.notes, note))

"""Datasets of photographs and captions on disk: ``flickr8k``, ``flickr30k`` and ``coco``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from clipbench.api import (
    CaseFailedError,
    DatasetRequest,
    Fingerprint,
    Missing,
    NotReadyError,
    PictureError,
    UsageError,
    open_picture,
)
from clipbench_flickr8k.annotations import Annotations
from clipbench_flickr8k.checking import (
    Pictures,
    allowed_pictures,
    in_words,
    oddities,
    overlap,
    repeats_in_words,
    skipped_pictures,
)
from clipbench_flickr8k.data_root import DataRoot, has_folder, locate
from clipbench_flickr8k.official import Collection, coco, flickr8k, flickr8k_cn, flickr30k
from clipbench_flickr8k.packed import open_file

_REMEDY = (
    "restore these files, take their entries out, or leave them out of the run with --set dataset.on_bad_image=skip, "
    "which makes its result not comparable; `clipbench validate ROOT --deep` decodes every picture"
)
_ON_BAD_IMAGE = ("error", "skip")


@dataclass(frozen=True)
class PictureSplit:
    """The pairs of one split; pictures are opened one by one, so it pickles small.

    ``skipped`` counts the pairs that were left out because their picture cannot be used.
    """

    annotations: Annotations
    skipped: int = 0

    @property
    def fingerprint(self) -> Fingerprint:
        """Return what identifies these pairs."""
        entries = self.annotations.entries
        return Fingerprint(
            split=self.annotations.split,
            images=len(entries),
            captions=sum(len(entry.captions) for entry in entries),
            annotation_sha256=self.annotations.sha256,
        )

    def __len__(self) -> int:
        return len(self.annotations.entries)

    def captions(self, index: int) -> Sequence[str]:
        """Return the captions of picture ``index``, as written in the file."""
        return self.annotations.entries[index].captions

    def image(self, index: int) -> Image.Image:
        """Return picture ``index``, decoded, in the mode its file has.

        Raises CaseFailedError that names the file and the index when it is not there or not a whole picture.
        """
        path = self.annotations.picture(index)
        try:
            # Decoded here, where the file's name is known for the error.
            return open_picture(path, open_file)
        except PictureError as error:
            raise CaseFailedError(
                f"{path}: image {index} of {self.annotations.title} cannot be used ({error}); "
                "restore the file or take its entry out"
            ) from error


class Photographs:
    """A collection on disk; an empty ``request.train`` means that only the validation split is used."""

    what = "annotation file"  # that a name of a split stands for

    def __init__(self, request: DatasetRequest, collection: Collection) -> None:
        _refuse_options(request.options, collection)
        if request.on_bad_image not in _ON_BAD_IMAGE:
            raise UsageError(
                f"dataset.on_bad_image: '{request.on_bad_image}'; expected one of {', '.join(_ON_BAD_IMAGE)}"
            )
        self._request = request
        self._collection = collection
        self._root = DataRoot(request.root, collection)
        self._splits: dict[str, PictureSplit | None] = {}
        self._left_out: dict[str, str] = {}
        self._repeats: dict[str, str] = {}
        self._pictures: Pictures | None = None

    def missing(self) -> list[Missing]:
        """Return each annotation file that is not there and, folder by folder, pictures that are not or are unreadable.

        The header of every picture is read, without decoding it, unless ``request.checked``. Raises NotReadyError for
        an annotation file that is there but not usable, and for links out of a root that the user has not named.
        """
        names = [name for name in (self._request.train, self._request.val) if name]
        splits = {name: self._find(name) for name in names}
        collection = self._collection
        missing = [
            Missing(
                f"{self.what} {Path(name).name}",
                str(locate(self._request.root, name)),
                collection.source,
                collection.fetch_captions or collection.fetch,
            )
            for name, split in splits.items()
            if split is None
        ]
        if missing and collection.fetch_captions and not has_folder(self._request.root, collection):
            where = str(self._request.root / collection.folders[0])
            missing.append(Missing(f"photographs of {collection.title}", where, collection.source, collection.fetch))
        pictures = allowed_pictures(self._request, [split.annotations for split in splits.values() if split])
        if not self._request.checked:
            pictures.look(deep=False)
        self._pictures = pictures
        return missing + missing_pictures(pictures, collection)

    def sizes(self) -> tuple[int, int]:
        """Return the number of training and of validation pictures; 0 where no training split is asked for."""
        return len(self._split(self._request.train)) if self._request.train else 0, len(self.val())

    def prepare(self) -> None:
        """Do nothing: the data is the user's."""

    def train(self) -> PictureSplit:
        """Return the training split; raises UsageError when none is asked for."""
        if not self._request.train:
            raise UsageError("dataset.train: is empty; expected the annotation file of the training split")
        return self._split(self._request.train)

    def val(self) -> PictureSplit:
        """Return the validation split."""
        return self._split(self._request.val)

    def warnings(self) -> list[str]:
        """Return a line each for what a split lacks, and pictures in both, listed twice, of an odd kind, left out."""
        lines: list[str] = []
        val = self.val().annotations
        if self._request.train:
            train = self.train().annotations
            lines += train.notes
            if self._request.train in self._repeats:
                lines.append(f"{train.title}, {self._repeats[self._request.train]}: each counts as a pair of its own")
            lines += overlap(train, val)
        lines += [note for note in val.notes if note not in lines]
        if self._pictures is not None:
            lines += oddities(self._pictures)
        if self._left_out:
            whole = sum(len(split) + split.skipped for split in self._splits.values() if split)
            lines.append(in_words(list(self._left_out), whole, "cannot be used and are left out", self._left_out))
        return lines

    def read(self, name: str) -> Annotations | None:
        """Return the pairs that ``name`` stands for in the data root, or None where they are not there."""
        return self._root.read(name)

    def as_split(self, annotations: Annotations, skipped: int = 0) -> PictureSplit:
        """Return the pairs as the split that a run reads."""
        return PictureSplit(annotations, skipped)

    def _split(self, name: str) -> PictureSplit:
        split = self._find(name)
        if split is None:
            path = locate(self._request.root, name)
            raise NotReadyError(f"{path}: no such file or split; expected {self._collection.source}")
        return split

    def _find(self, name: str) -> PictureSplit | None:
        if name not in self._splits:
            annotations = self.read(name)
            if annotations and (repeats := annotations.repeated()):
                self._repeats[name] = repeats_in_words(annotations, repeats)
                if name == self._request.val:
                    _refuse_repeats(annotations.path, self._repeats[name])
            self._splits[name] = self._usable(annotations) if annotations else None
        return self._splits[name]

    def _usable(self, annotations: Annotations) -> PictureSplit:
        """Return the split, with ``on_bad_image: skip`` without the pictures that cannot be used."""
        if self._request.on_bad_image != "skip":
            return self.as_split(annotations)
        left_out = skipped_pictures(self._request, annotations)
        if not left_out:
            return self.as_split(annotations)
        self._left_out |= left_out
        entries = zip(annotations.entries, annotations.pictures(), strict=True)
        images = {entry.image for entry, path in entries if path in left_out}
        kept = annotations.without(images)
        if not kept.entries:
            unusable = in_words(list(left_out), len(left_out), "cannot be used", left_out)
            raise NotReadyError(f"{annotations.path}: {unusable}, so that none is left")
        return self.as_split(kept, len(annotations.entries) - len(kept.entries))


class Flickr8k(Photographs):
    """Flickr8k in any of its layouts, or any data in the published one."""

    def __init__(self, request: DatasetRequest) -> None:
        super().__init__(request, flickr8k())


class Flickr8kCn(Photographs):
    """Flickr8k-CN, or any data in the published layout or Chinese-CLIP's."""

    def __init__(self, request: DatasetRequest) -> None:
        super().__init__(request, flickr8k_cn())


class Flickr30k(Photographs):
    """Flickr30k by Karpathy's JSON or LAION's lists."""

    def __init__(self, request: DatasetRequest) -> None:
        super().__init__(request, flickr30k())


class Coco(Photographs):
    """COCO (2014) by Karpathy's JSON."""

    def __init__(self, request: DatasetRequest) -> None:
        super().__init__(request, coco())


def missing_pictures(pictures: Pictures, collection: Collection) -> list[Missing]:
    """Return one Missing for each folder that lacks pictures and one for each with unreadable ones, a few by name."""
    listed = _by_folder(pictures.listed)
    unusable = pictures.unusable
    return [
        Missing(in_words(paths, len(listed[folder])), folder, collection.source, collection.fetch)
        for folder, paths in _by_folder(pictures.absent).items()
    ] + [
        Missing(in_words(paths, len(listed[folder]), "that cannot be used", unusable), folder, _REMEDY)
        for folder, paths in _by_folder(list(unusable)).items()
    ]


def _by_folder(paths: Sequence[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = {}
    for path in paths:
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    return folders


def _refuse_repeats(path: Path, repeats: str) -> None:
    """Raise NotReadyError: whichever of the two entries is retrieved, the other would count as a wrong answer."""
    raise NotReadyError(
        f"{path}, {repeats}; expected one entry for each picture of the validation split, with all of its captions"
    )


def _refuse_options(options: Mapping[str, Any], collection: Collection) -> None:
    if options:
        raise UsageError(f"dataset.options.{next(iter(options))}: dataset {collection.name} takes no options")

"""Dataset ``flickr8k``: photographs and annotation files on disk, in the layout of the published benchmark."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from clipbench.api import CaseFailedError, DatasetRequest, Fingerprint, Missing, NotReadyError, UsageError
from clipbench_flickr8k.annotations import Annotations, read_annotations
from clipbench_flickr8k.checking import (
    Pictures,
    find_pictures,
    in_words,
    oddities,
    overlap,
    repeats_in_words,
    skipped_pictures,
)
from clipbench_flickr8k.pictures import PictureError, open_picture

_SOURCE = (
    "Flickr8k (Hodosh, Young and Hockenmaier 2013; its authors give it out on request, for non-commercial research) "
    "or your own data in its layout: ROOT/datasets/en_train.json and en_val.json beside "
    "ROOT/datasets/flickr8k-images/*.jpg; point at ROOT with CLIPBENCH_DATA or --set dataset.root=ROOT"
)
_REMEDY = (
    "restore these files, take their entries out, or leave them out of the run with --set dataset.on_bad_image=skip, "
    "which makes its result not comparable; `clipbench validate ROOT --deep` decodes every picture"
)
_ON_BAD_IMAGE = ("error", "skip")


@dataclass(frozen=True)
class PictureSplit:
    """The pairs of one annotation file; pictures are opened one by one, so it pickles small.

    ``skipped`` counts the pairs that were left out because their picture cannot be used.
    """

    annotations: Annotations
    skipped: int = 0

    @property
    def fingerprint(self) -> Fingerprint:
        """Return what identifies these pairs."""
        entries = self.annotations.entries
        return Fingerprint(
            split=self.annotations.path.stem,
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
            return open_picture(path)
        except PictureError as error:
            raise CaseFailedError(
                f"{path}: image {index} of {self.annotations.path.name} cannot be used ({error}); "
                "restore the file or take its entry out"
            ) from error


class Flickr8k:
    """Flickr8k, or any data in its layout; an empty ``request.train`` means that only the validation split is used."""

    def __init__(self, request: DatasetRequest) -> None:
        _refuse_options(request.options)
        if request.on_bad_image not in _ON_BAD_IMAGE:
            raise UsageError(
                f"dataset.on_bad_image: '{request.on_bad_image}'; expected one of {', '.join(_ON_BAD_IMAGE)}"
            )
        self._request = request
        self._train_path = _locate(request.root, request.train) if request.train else None
        self._val_path = _locate(request.root, request.val)
        self._splits: dict[Path, PictureSplit] = {}
        self._left_out: dict[str, str] = {}
        self._repeats: dict[Path, str] = {}
        self._pictures: Pictures | None = None

    def missing(self) -> list[Missing]:
        """Return each annotation file that is not there and, folder by folder, pictures that are not or are unreadable.

        The header of every picture is read, without decoding it, unless ``request.checked``. Raises NotReadyError for
        an annotation file that is there but not usable.
        """
        paths = [path for path in (self._train_path, self._val_path) if path]
        # os.path returns False for a name that is too long, where Path raises.
        there = [path for path in paths if os.path.isfile(path)]  # noqa: PTH113
        absent = [path for path in paths if path not in there]
        missing = [Missing(f"annotation file {path.name}", str(path), _SOURCE, fetch="flickr8k") for path in absent]
        pictures = find_pictures(self._request.root, [self._split(path).annotations for path in there])
        if not self._request.checked:
            pictures.look(deep=False)
        self._pictures = pictures
        return missing + missing_pictures(pictures)

    def sizes(self) -> tuple[int, int]:
        """Return the number of training and of validation pictures; 0 where no training split is asked for."""
        return len(self._split(self._train_path)) if self._train_path else 0, len(self._split(self._val_path))

    def prepare(self) -> None:
        """Do nothing: the data is the user's."""

    def train(self) -> PictureSplit:
        """Return the training split; raises UsageError when none is asked for."""
        if self._train_path is None:
            raise UsageError("dataset.train: is empty; expected the annotation file of the training split")
        return self._split(self._train_path)

    def val(self) -> PictureSplit:
        """Return the validation split."""
        return self._split(self._val_path)

    def warnings(self) -> list[str]:
        """Return a line each for pictures in both splits, listed twice, of an odd kind, left out."""
        lines: list[str] = []
        val = self.val().annotations
        if self._train_path is not None:
            train = self.train().annotations
            if train.path in self._repeats:
                lines.append(f"{train.path.name}, {self._repeats[train.path]}: each counts as a pair of its own")
            lines += overlap(train, val)
        if self._pictures is not None:
            lines += oddities(self._pictures)
        if self._left_out:
            whole = sum(len(split) + split.skipped for split in self._splits.values())
            lines.append(in_words(list(self._left_out), whole, "cannot be used and are left out", self._left_out))
        return lines

    def _split(self, path: Path) -> PictureSplit:
        if path not in self._splits:
            annotations = read_annotations(path)
            if repeats := annotations.repeated():
                self._repeats[path] = repeats_in_words(annotations, repeats)
                if path == self._val_path:
                    _refuse_repeats(path, self._repeats[path])
            self._splits[path] = self._usable(annotations)
        return self._splits[path]

    def _usable(self, annotations: Annotations) -> PictureSplit:
        """Return the split, with ``on_bad_image: skip`` without the pictures that cannot be used."""
        if self._request.on_bad_image != "skip":
            return PictureSplit(annotations)
        left_out = skipped_pictures(self._request.root, annotations, self._request.cache, self._request.checked)
        if not left_out:
            return PictureSplit(annotations)
        self._left_out |= left_out
        entries = zip(annotations.entries, annotations.pictures(), strict=True)
        images = {entry.image for entry, path in entries if path in left_out}
        kept = annotations.without(images)
        if not kept.entries:
            unusable = in_words(list(left_out), len(left_out), "cannot be used", left_out)
            raise NotReadyError(f"{annotations.path}: {unusable}, so that none is left")
        return PictureSplit(kept, skipped=len(annotations.entries) - len(kept.entries))


def _locate(root: Path, name: str) -> Path:
    """Return the path of ``name`` in ``root``; a bare file name may be in the folder ``datasets``, as published."""
    path, published = root / name, root / "datasets" / name
    in_datasets = os.path.exists(published) and not os.path.exists(path)  # noqa: PTH110
    return published if Path(name).name == name and in_datasets else path


def missing_pictures(pictures: Pictures) -> list[Missing]:
    """Return one Missing for each folder that lacks pictures and one for each with unreadable ones, a few by name."""
    listed = _by_folder(pictures.listed)
    unusable = pictures.unusable
    return [
        Missing(in_words(paths, len(listed[folder])), folder, _SOURCE, fetch="flickr8k")
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


def _refuse_options(options: Mapping[str, Any]) -> None:
    if options:
        raise UsageError(f"dataset.options.{next(iter(options))}: dataset flickr8k takes no options")

"""Dataset ``flickr8k``: photographs and annotation files on disk, in the layout of the published benchmark."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from clipbench.api import DatasetRequest, Fingerprint, Missing
from clipbench.errors import NotReadyError, UsageError
from clipbench_flickr8k.annotations import Annotations, read_annotations

_SOURCE = (
    "Flickr8k (Hodosh, Young and Hockenmaier 2013; its authors give it out on request, for non-commercial research) "
    "or your own data in its layout: ROOT/datasets/en_train.json and en_val.json beside "
    "ROOT/datasets/flickr8k-images/*.jpg; point at ROOT with CLIPBENCH_DATA or --set dataset.root=ROOT"
)
_NAMED = 3


@dataclass(frozen=True)
class PictureSplit:
    """The pairs of one annotation file; pictures are opened one by one, so it pickles small."""

    annotations: Annotations

    @property
    def fingerprint(self) -> Fingerprint:
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

        Raises NotReadyError that names the file and the index when it is not there or not a whole picture.
        """
        path = self.annotations.path.parent / self.annotations.entries[index].image
        try:
            # Decoded here although the transform would: only here is it known which file is at fault.
            with path.open("rb") as file:
                image = Image.open(file)
                image.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise NotReadyError(
                f"{path}: image {index} of {self.annotations.path.name} cannot be opened ({error}); "
                "restore the file or take its entry out"
            ) from error
        return image


class Flickr8k:
    """Flickr8k, or any data in its layout; an empty ``request.train`` means that only the validation split is used."""

    def __init__(self, request: DatasetRequest) -> None:
        _refuse_options(request.options)
        self._train_path = _locate(request.root, request.train) if request.train else None
        self._val_path = _locate(request.root, request.val)
        self._read: dict[Path, PictureSplit] = {}

    def missing(self) -> list[Missing]:
        """Return each annotation file that is not there and, folder by folder, how many pictures are not.

        Raises NotReadyError for an annotation file that is there but not usable.
        """
        paths = [path for path in (self._train_path, self._val_path) if path]
        there = [path for path in paths if path.is_file()]
        missing = [Missing(f"annotation file {path.name}", str(path), _SOURCE) for path in paths if path not in there]
        return missing + missing_pictures(self._split(path).annotations for path in there)

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

    def _split(self, path: Path) -> PictureSplit:
        if path not in self._read:
            self._read[path] = PictureSplit(read_annotations(path))
        return self._read[path]


def _locate(root: Path, name: str) -> Path:
    """``name`` in ``root``; a bare file name is looked for in the folder ``datasets`` too, as published."""
    path, published = root / name, root / "datasets" / name
    return published if Path(name).name == name and published.exists() and not path.exists() else path


def missing_pictures(annotations: Iterable[Annotations]) -> list[Missing]:
    """Return one Missing for each folder that lacks pictures, with their number and the first names."""
    wanted: dict[Path, dict[str, None]] = {}
    for one in annotations:
        for entry in one.entries:
            image = PurePosixPath(entry.image)
            wanted.setdefault(one.path.parent / image.parent, {})[image.name] = None
    missing = []
    for folder, names in wanted.items():
        there = _files(folder)
        # A second look, file by file: some file systems list a name in another case or Unicode form than they open.
        absent = [name for name in names if name not in there and not (there and (folder / name).is_file())]
        if absent:
            more = ", ..." if len(absent) > _NAMED else ""
            what = f"{len(absent):,} of {len(names):,} pictures ({', '.join(absent[:_NAMED])}{more})"
            missing.append(Missing(what, str(folder), _SOURCE))
    return missing


def _files(folder: Path) -> set[str]:
    """Names of the files in ``folder``, by one listing instead of thousands of stats; empty where there is none."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return set()


def _refuse_options(options: Mapping[str, Any]) -> None:
    if options:
        raise UsageError(f"dataset.options.{next(iter(options))}: dataset flickr8k takes no options")

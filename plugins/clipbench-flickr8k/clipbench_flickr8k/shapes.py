"""Dataset ``shapes``: pictures of two coloured shapes with captions, generated once, read as Flickr8k is."""

from __future__ import annotations

import hashlib
import json
import random
import re
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from clipbench.api import Classes, DatasetRequest, Missing, NotReadyError, UsageError, did_you_mean
from clipbench_flickr8k.annotations import Annotations, read_annotations
from clipbench_flickr8k.drawing import draw
from clipbench_flickr8k.flickr8k import Flickr8k, PictureSplit
from clipbench_flickr8k.scenes import COMBINATIONS, draw_numbers, scene
from clipbench_flickr8k.wording import CLASS_TEMPLATES, COLOUR_PAIRS, captions, colour_pair

# Part of the folder's name: raise it whenever equal options give other pictures or captions.
VERSION = 1
TRAIN, VAL = "datasets/en_train.json", "datasets/en_val.json"
# Beyond half of all scenes, drawing one that is not yet taken gets slow.
MOST_IMAGES = COMBINATIONS // 2

_FOLDER = "flickr8k-images"
# As `generate` names them.
_UNFINISHED = re.compile(r"\.shapes-\d+-[0-9a-f]{12}-[0-9a-f]{16}")
# The largest set takes minutes.
_ABANDONED_SECONDS = 3600.0
_JPEG = {"format": "JPEG", "quality": 90, "subsampling": 0}


@dataclass(frozen=True)
class ShapesOptions:
    """How many pictures of which size, in pixels; the same ``seed`` gives the same ones."""

    train_images: int = 4000
    val_images: int = 500
    image_size: int = 64
    seed: int = 0


_RANGES = {
    "train_images": (1, MOST_IMAGES),
    "val_images": (1, MOST_IMAGES),
    "image_size": (16, 1024),
    "seed": (0, 2**64 - 1),
}


class Shapes:
    """Generated pictures, in ``request.cache``; the annotation files that ``request`` names are not used."""

    def __init__(self, request: DatasetRequest) -> None:
        self.options = read_options(request.options)
        options = json.dumps(asdict(self.options), sort_keys=True).encode()
        self.folder = request.cache / f"shapes-{VERSION}-{hashlib.sha256(options).hexdigest()[:12]}"
        self._files = _Generated(
            replace(
                request,
                root=self.folder,
                train=TRAIN if request.train else "",
                val=VAL,
                options={},
                # Generated pictures are complete or absent, so there is nothing to skip or to check.
                on_bad_image="error",
                checked=True,
            )
        )
        self._trains = bool(request.train)

    def missing(self) -> list[Missing]:
        """Return nothing: what is not there is generated."""
        return []

    def sizes(self) -> tuple[int, int]:
        """Return the number of training and of validation pictures; 0 where no training split is asked for."""
        return self.options.train_images if self._trains else 0, self.options.val_images

    def prepare(self) -> None:
        """Generate the pictures unless they are there; a few seconds for a few thousand.

        Raises NotReadyError when they cannot be written, or when pictures of an earlier run have been deleted.
        """
        sweep(self.folder.parent)
        if not self.folder.is_dir():
            generate(self.folder, self.options)
        if missing := self._files.missing():
            first = missing[0]
            raise NotReadyError(f"{first.looked_in}: lacks {first.what}; delete {self.folder} to generate it again")

    def warnings(self) -> list[str]:
        """Return nothing: there is nothing odd about generated data."""
        return []

    def train(self) -> PictureSplit:
        """Return the training split; raises UsageError when none is asked for."""
        return self._classified(self._files.train(), split_numbers(self.options)[1])

    def val(self) -> PictureSplit:
        """Return the validation split."""
        return self._classified(self._files.val(), split_numbers(self.options)[0])

    @staticmethod
    def _classified(pairs: PictureSplit, numbers: Sequence[int]) -> ScenePictures:
        labels = tuple(COLOUR_PAIRS.index(colour_pair(scene(number))) for number in numbers)
        return ScenePictures(pairs.annotations, labels=labels)


@dataclass(frozen=True)
class ScenePictures(PictureSplit):
    """Generated pairs; the class of a picture is the two colours of its shapes."""

    labels: tuple[int, ...] = ()

    def classes(self) -> Classes:
        """Return the class of every picture."""
        return Classes(COLOUR_PAIRS, CLASS_TEMPLATES, self.labels)


class _Generated(Flickr8k):
    """Files in the published layout, which are never an official split."""

    def read(self, name: str) -> Annotations | None:
        """Return the pairs of a generated file; their hash is that of the file, as results of 0.1.0 have it."""
        path = self._request.root / name
        return replace(read_annotations(path), digest=hashlib.sha256(path.read_bytes()).hexdigest())


def read_options(options: Mapping[str, Any]) -> ShapesOptions:
    """Return ``dataset.options``, checked; raise UsageError that names an unknown key or a value out of range."""
    names = [field.name for field in fields(ShapesOptions)]
    for key, value in options.items():
        if key not in names:
            raise UsageError(f"dataset.options.{key}: not an option of dataset shapes; {did_you_mean(key, names)}")
        low, high = _RANGES[key]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UsageError(f"dataset.options.{key}: {value!r}; expected a whole number from {low} to {high}")
    checked = ShapesOptions(**options)
    total = checked.train_images + checked.val_images
    if total > MOST_IMAGES:
        raise UsageError(
            f"dataset.options: train_images and val_images make {total}; there are {MOST_IMAGES} pictures to draw from"
        )
    return checked


def split_numbers(options: ShapesOptions) -> tuple[list[int], list[int]]:
    """Return the numbers of the scenes of the validation and of the training split, in order."""
    numbers = draw_numbers(options.val_images + options.train_images, options.seed)
    # Validation first, so that more training pictures leave it as it is.
    return numbers[: options.val_images], numbers[options.val_images :]


def generate(folder: Path, options: ShapesOptions) -> None:
    """Write pictures and annotation files to ``folder``, which appears complete or not at all.

    Equal options give equal bytes wherever Pillow is the same. Raises NotReadyError when the disk refuses.
    """
    val, train = split_numbers(options)
    unfinished = folder.with_name(f".{folder.name}-{secrets.token_hex(8)}")
    try:
        (unfinished / "datasets" / _FOLDER).mkdir(parents=True)
        _write_split(unfinished / VAL, "val", val, options)
        _write_split(unfinished / TRAIN, "train", train, options)
        _rename(unfinished, folder)
    except OSError as error:
        raise NotReadyError(
            f"{folder}: cannot be written ({error.strerror}); make room or set CLIPBENCH_CACHE to another folder"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def sweep(cache: Path) -> None:
    """Remove from ``cache`` what killed processes left half generated, if nothing was written there for an hour."""
    try:
        unfinished = [path for path in cache.iterdir() if _UNFINISHED.fullmatch(path.name)]
    except OSError:
        return
    for path in unfinished:
        with suppress(OSError):  # another process may have removed it
            # A folder's time is that of the last file made in it.
            written = max(inner.stat().st_mtime for inner in (path, *path.glob("datasets"), *path.glob("datasets/*")))
            if time.time() - written > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def _write_split(path: Path, name: str, numbers: Sequence[int], options: ShapesOptions) -> None:
    entries = []
    for index, number in enumerate(numbers):
        rng = random.Random(f"{options.seed}/{number}")
        content = scene(number)
        image = f"{_FOLDER}/{name}-{index:06d}.jpg"
        draw(content, options.image_size, rng).save(path.parent / image, **_JPEG)
        entries.append({"image": image, "caption": captions(content, rng)})
    path.write_text(json.dumps(entries, indent=0), encoding="utf-8", newline="\n")


def _rename(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        # Another process was first, with the same bytes.
        if not folder.is_dir():
            raise

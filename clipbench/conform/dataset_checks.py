"""The promises of a Dataset and of its splits."""

from __future__ import annotations

import pickle
import re
from collections.abc import Iterator

import numpy as np

from clipbench.api import Dataset, Fingerprint, Missing, Split
from clipbench.api.guarded import classes_of
from clipbench.conform.checks import Checks, expect, leave_out
from clipbench.conform.spec_checks import LIGHT_IMPORT, SPEC, check_lines
from clipbench.conform.subject import Subject
from clipbench.errors import PluginError

DATASET = Checks(SPEC, LIGHT_IMPORT)
LOOKED_AT = 32  # images of each split, evenly spread


@DATASET.add("missing", "`missing` lists what is not there, as Missing; an empty folder is no error.")
def _missing(subject: Subject) -> str:
    empty = subject.scratch / "empty"
    empty.mkdir(exist_ok=True)
    for root in (empty, subject.root):
        missing = subject.dataset(root).missing()
        good = isinstance(missing, list | tuple) and all(isinstance(item, Missing) for item in missing)
        expect(good, f"missing() of {root} returned {missing!r}; expected a list of Missing")
    return f"{len(missing)} missing in {subject.root}"


@DATASET.add("prepare", "`prepare` may be called again.")
def _prepare(subject: Subject) -> None:
    subject.ready_dataset.prepare()
    subject.dataset().prepare()


@DATASET.add("sizes", "`sizes` are the lengths of both splits, which have a pair or more.")
def _sizes(subject: Subject) -> str:
    dataset = subject.ready_dataset
    sizes, lengths = dataset.sizes(), (len(dataset.train()), len(dataset.val()))
    expect(tuple(sizes) == lengths, f"sizes() is {sizes!r}; the splits have {lengths}")
    expect(min(lengths) > 0, f"the splits have {lengths} images")
    return f"{lengths[0]} and {lengths[1]} images"


@DATASET.add(
    "captions", "`captions` gives one text or more for each image, none of them empty; none at all with classes."
)
def _captions(subject: Subject) -> None:
    for name, split in _splits(subject.ready_dataset):
        bare = hasattr(split, "classes") and not any(split.captions(index) for index in range(len(split)))
        for index in range(len(split)):
            captions = split.captions(index)
            texts = isinstance(captions, list | tuple) and all(isinstance(text, str) for text in captions)
            expect(texts and (captions or bare), f"{name}: captions({index}) is {captions!r}; expected a list of texts")
            expect(all(text.strip() for text in captions), f"{name}: captions({index}) has an empty text")


@DATASET.add("classes", "`classes`, where a split has it, gives each image one of the classes, and texts to name them.")
def _classes(subject: Subject) -> str:
    found = []
    for name, split in _splits(subject.ready_dataset):
        try:
            classes = classes_of(split, name)
        except PluginError as error:
            expect(False, str(error))
        if classes is None:
            leave_out(f"{name} has no classes")
        found.append(len(classes.names))
    return f"{' and '.join(map(str, found))} classes"


@DATASET.add("images", "`image` gives a PIL image with a width and a height.")
def _images(subject: Subject) -> str:
    from PIL.Image import Image

    for name, split in _splits(subject.ready_dataset):
        for index in _spread(len(split)):
            image = split.image(index)
            expect(
                isinstance(image, Image), f"{name}: image({index}) is a {type(image).__name__}; expected a PIL image"
            )
            expect(min(image.size) > 0, f"{name}: image({index}) has size {image.size}")
    return f"{LOOKED_AT} of each split"


@DATASET.add("repeat", "An index gives the same image and captions every time, also in a second object.")
def _repeat(subject: Subject) -> None:
    pairs = zip(_splits(subject.ready_dataset), _splits(subject.dataset()), strict=True)
    for (name, one), (_, other) in pairs:
        _expect_equal(name, one, other, "a second object")


@DATASET.add("pickle", "A split pickles, and gives the same pairs on the other side.")
def _pickle(subject: Subject) -> str:
    sizes = []
    for name, split in _splits(subject.ready_dataset):
        data = pickle.dumps(split)
        sizes.append(f"{len(data):,}")
        _expect_equal(name, split, pickle.loads(data), "the pickled split")
    return f"{' and '.join(sizes)} bytes"


@DATASET.add("fingerprint", "`fingerprint` counts images and captions, and is the same for the same pairs alone.")
def _fingerprint(subject: Subject) -> None:
    prints = []
    for (name, split), (_, again) in zip(_splits(subject.ready_dataset), _splits(subject.dataset()), strict=True):
        print_ = split.fingerprint
        expect(isinstance(print_, Fingerprint), f"{name}: fingerprint is {print_!r}; expected a Fingerprint")
        counts = len(split), sum(len(split.captions(index)) for index in range(len(split)))
        expect(
            (print_.images, print_.captions) == counts,
            f"{name}: the fingerprint counts {print_.images} images and {print_.captions} captions; there are {counts}",
        )
        sha = print_.annotation_sha256
        expect(re.fullmatch(r"[0-9a-f]{64}", str(sha)), f"{name}: annotation_sha256 is {sha!r}; expected 64 hex digits")
        expect(again.fingerprint == print_, f"{name}: a second object has another fingerprint")
        prints.append(print_)
    expect(prints[0].annotation_sha256 != prints[1].annotation_sha256, "both splits have the same annotation_sha256")


@DATASET.add("skipped", "`skipped` is how many pairs were left out.")
def _skipped(subject: Subject) -> None:
    for name, split in _splits(subject.ready_dataset):
        skipped = split.skipped
        expect(type(skipped) is int and skipped >= 0, f"{name}: skipped is {skipped!r}; expected 0 or more")


@DATASET.add("warnings", "`warnings` is a list of lines.")
def _warnings(subject: Subject) -> None:
    check_lines("warnings()", subject.ready_dataset.warnings())


def _splits(dataset: Dataset) -> Iterator[tuple[str, Split]]:
    yield "train", dataset.train()
    yield "val", dataset.val()


def _spread(length: int) -> list[int]:
    return sorted({int(index) for index in np.linspace(0, length - 1, min(length, LOOKED_AT))})


def _expect_equal(name: str, one: Split, other: Split, which: str) -> None:
    for index in _spread(len(one)):
        same = list(one.captions(index)) == list(other.captions(index))
        expect(same, f"{name}: {which} has other captions for image {index}")
        pixels, again = (np.asarray(split.image(index)) for split in (one, other))
        expect(np.array_equal(pixels, again), f"{name}: {which} has another image {index}")

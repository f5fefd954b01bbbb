"""Datasets that break one promise each."""

import hashlib
import itertools
from dataclasses import replace

import numpy as np
from PIL import Image

from clipbench.api import Fingerprint

OBJECTS = itertools.count()


class Split:
    """Flat pictures."""

    fault = ""

    def __init__(self, name, count, fault):
        self.name, self.count, self.fault = name, count, fault
        self.number = next(OBJECTS)
        if fault == "pickle":
            self.colour = lambda index: index
        self.skipped = None if fault == "skipped" else 0

    @property
    def fingerprint(self):
        captions = sum(len(self.captions(index)) for index in range(self.count))
        digest = hashlib.sha256(self.name.encode()).hexdigest()
        right = Fingerprint(self.name, self.count, captions, digest)
        return replace(right, captions=captions + 1) if self.fault == "fingerprint" else right

    def __len__(self):
        return self.count

    def captions(self, index):
        if self.fault == "captions":
            return f"picture {index}"
        return [f"picture {index}", "" if self.fault == "captions.empty" else "a flat colour"]

    def image(self, index):
        pixels = np.full((8, 8, 3), index + (self.number if self.fault == "repeat" else 0), np.uint8)
        return pixels if self.fault == "images" else Image.fromarray(pixels)


class Pairs:
    fault = ""

    def __init__(self, request):
        self.root = request.root

    def missing(self):
        return []

    def sizes(self):
        return 6, 4

    def prepare(self):
        pass

    def train(self):
        return Split("train", 6, self.fault)

    def val(self):
        return Split("val", 4, self.fault)

    def warnings(self):
        return []


class CaptionsAsText(Pairs):
    fault = "captions"


class EmptyCaption(Pairs):
    fault = "captions.empty"


class ImagesAsArrays(Pairs):
    fault = "images"


class ImagesOfTheObject(Pairs):
    fault = "repeat"


class Unpicklable(Pairs):
    fault = "pickle"


class WrongCounts(Pairs):
    fault = "fingerprint"


class WrongSizes(Pairs):
    def sizes(self):
        return 6, 5


class RaisesOnEmptyRoot(Pairs):
    def missing(self):
        if self.root.is_dir() and not any(self.root.iterdir()):
            raise FileNotFoundError(self.root / "captions.txt")
        return []


class SkippedUnknown(Pairs):
    fault = "skipped"


class NoWarnings(Pairs):
    def warnings(self):
        return None


class PrepareOnce(Pairs):
    prepared = False

    def prepare(self):
        if self.prepared:
            raise FileExistsError("pictures")
        self.prepared = True

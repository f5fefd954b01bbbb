"""Evaluations that break one promise each."""

import numpy as np

from clipbench.api import Measurement, UsageError


class Fit:
    """How much nearer a picture is to its own captions than to all."""

    calls = 0

    def texts(self, split):
        if not split.captions:
            raise UsageError(f"dataset '{split.dataset}' has no captions")
        return split.captions

    def measure(self, split, images, texts):
        images, texts = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (images, texts))
        scores = texts @ images.T
        own = scores[np.arange(len(scores)), split.image_of_text] > scores.mean(axis=1)
        return self.found(float(own.mean()), own.astype(int).tolist())

    def found(self, share, nearer):
        return Measurement({"fit": share}, {"nearer": nearer})


class EmptyText(Fit):
    """The first one is empty."""

    def texts(self, split):
        return ["", *super().texts(split)[1:]]


class MakesDo(Fit):
    def texts(self, split):
        if not split.captions:
            raise UsageError("there are no captions")
        return split.captions


class OtherMetric(Fit):
    def found(self, share, nearer):
        return Measurement({"fitness": share})


class HalvesPerQuery(Fit):
    def found(self, share, nearer):
        return Measurement({"fit": share}, {"nearer": [0.5 * one for one in nearer]})


class Silent(Fit):
    def found(self, share, nearer):
        return Measurement({"fit": None})


class Counts(Fit):
    def found(self, share, nearer):
        Fit.calls += 1
        return Measurement({"fit": share}, {"nearer": nearer, "calls": [Fit.calls]})


class WritesFeatures(Fit):
    def measure(self, split, images, texts):
        images /= np.linalg.norm(images, axis=1, keepdims=True)
        return super().measure(split, images, texts)


class NeedsUnitLength(Fit):
    def measure(self, split, images, texts):
        return self.found(float(np.abs(images).mean()), [])

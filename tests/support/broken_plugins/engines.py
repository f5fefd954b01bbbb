"""Engines that break one promise each, over the linear model of the numpy engine."""

import sys
import time
from dataclasses import replace

import numpy as np

from clipbench.api import NotReadyError, Probe, StepReport, training_flops
from tests.support.numpy_engine.clipbench_numpy import NumpyEngine, NumpyLearner


class Learner(NumpyLearner):
    """The linear model with a count of its operations and memory, and devices that may round it or drift."""

    def __init__(self, job):
        super().__init__(job)
        self.job, self.device, self.count = job, job.device, 0
        self.image_weights *= 1 + self.device.drift * self.device.learners
        self.device.learners += 1

    def train_step(self, pixels, tokens, lr):
        with np.errstate(all="ignore"):  # a step at an infinite rate
            super().train_step(pixels, tokens, lr)
        self.scale = float(np.clip(self.scale + lr, 0, np.log(100)))
        size = self.image_weights.size + self.text_weights.size
        self.device.allocated = max(self.device.allocated, 16 * size + pixels.size)
        self.count += training_flops(self.config, len(tokens), int((tokens != 0).sum(1).max()), len(tokens), 1)
        if getattr(self.device, "rounded", False):
            self.image_weights = self.image_weights.round(2)

    def flops(self):
        return self.count

    def state(self):
        state = super().state()
        return replace(state, values={**state.values, "scale": self.scale})

    def restore(self, state):
        super().restore(state)
        self.scale = state.values["scale"]


class GoodEngine(NumpyEngine):
    learner_class = Learner

    def learner(self, job):
        return self.learner_class(job)

    def probe(self, device, precision):
        return [Probe("matmul", not device.coarse, "products"), Probe("wait", not device.early, "the clock", "timing")]


class EmptyProblem(GoodEngine):
    def problem(self):
        return ""


class NoVersions(GoodEngine):
    def versions(self):
        return {}


class ProbesAsDicts(GoodEngine):
    def probe(self, device, precision):
        return [{"name": "matmul", "ok": True}]


class AnyWeights(GoodEngine):
    def check_weights(self, model, config, weights):
        pass


class BackwardLoader(GoodEngine):
    def loader(self, fetch, workers, device):
        loader = super().loader(fetch, workers, device)
        forwards = loader.batches
        loader.batches = lambda keys: reversed(list(forwards(keys)))
        return loader


def engine_of(learner):
    """A good engine but for its learner."""
    return type(learner.__name__, (GoodEngine,), {"learner_class": learner})


class _SwappedReports(Learner):
    def drain_steps(self):
        reports = super().drain_steps()
        reports[1:3] = reversed(reports[1:3])
        return reports


class _ConstantFlops(Learner):
    def flops(self):
        return 5.0


class _NeverNotFinite(Learner):
    def not_finite(self):
        return None


class _DoubleFeatures(Learner):
    def gather(self, features):
        return np.concatenate(list(features)).astype(np.float64)


class _BatchNorm(Learner):
    def encode_images(self, pixels):
        features = super().encode_images(pixels)
        return features - features.mean(axis=0) * (len(features) > 1)


class _CountsPadding(Learner):
    def encode_texts(self, tokens):
        return super().encode_texts(tokens) * tokens.shape[1]


class _ScaleItself(Learner):
    def logit_scale(self):
        return float(np.exp(self.scale))


class _DescribesNan(Learner):
    def describe(self):
        return {**super().describe(), "ratio": float("nan")}


class _ForgetsTexts(Learner):
    def restore(self, state):
        mine = self.text_weights
        super().restore(state)
        self.text_weights = mine


class _WrongError(Learner):
    def restore(self, state):
        try:
            super().restore(state)
        except NotReadyError as error:
            raise ValueError(str(error)) from None


class _AlwaysMoves(Learner):
    def train_step(self, pixels, tokens, lr):
        super().train_step(pixels, tokens, lr + 1e-6)


class _WritesInputs(Learner):
    def train_step(self, pixels, tokens, lr):
        super().train_step(pixels, tokens, lr)
        pixels[0, 0, 0, 0] //= 2


class _UnseededStart(Learner):
    def __init__(self, job):
        super().__init__(job)
        self.image_weights *= 1 + 1e-6 * (time.perf_counter_ns() % 1000 + 1) / 1000


class _NeverLearns(Learner):
    def train_step(self, pixels, tokens, lr):
        super().train_step(pixels, tokens, -lr)


class _HalvesLoss(Learner):
    def drain_steps(self):
        share = 1 if self.job.accumulate == 1 else 0.5
        return [StepReport(report.loss * share) for report in super().drain_steps()]


# An engine for each of these learners: SwappedReports for _SwappedReports.
for _name, _learner in list(vars().items()):
    if _name.startswith("_") and isinstance(_learner, type) and issubclass(_learner, Learner):
        setattr(sys.modules[__name__], _name[1:], engine_of(_learner))

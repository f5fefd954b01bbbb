"""A whole engine in numpy: what a second framework has to bring, and a fast one for tests.

The model is linear: an image is its mean colour in a 4 x 4 grid, a text its bag of tokens.
``CLIPBENCH_NUMPY_FAULT`` makes the learner misbehave at its second step: ``raise``, ``abort``, ``nan`` or ``hang``; or
from then on: ``skip`` (a scaler that withholds every step), ``gradient``, ``parameter`` or ``collapse``; or when the
run is at its ``end``.
``CLIPBENCH_NUMPY_COUNT`` is how many devices there are.
``CLIPBENCH_NUMPY_METER`` is what a meter of it reads.
``CLIPBENCH_NUMPY_PAUSE`` is how many seconds a step takes longer.
``CLIPBENCH_NUMPY_PROBE`` names a probe that fails: ``matmul``, which refuses the run, or ``synchronize``, its timing.
Or it makes them ``abort`` or ``hang``. ``CLIPBENCH_NUMPY_TUNE`` has the device tuned otherwise by every process.
``CLIPBENCH_NUMPY_DEVICE`` is how the abacus computes wrongly: ``short`` (products of numbers with ten bits), ``idle``
(steps change nothing), ``uphill`` (gradients have the wrong sign), ``noisy`` (no two steps round alike) or ``nan`` (so
is every loss). Or it has the trusted
device ``abort``, or leaves none trusted: ``untrusted``.
"""

import json
import os
import sys
import time

import numpy as np

from clipbench.api import (
    ClipConfig,
    DeviceInfo,
    DeviceSpec,
    EngineSpec,
    LearnerState,
    MeterSpec,
    ModelSpec,
    NotReadyError,
    ObserverSpec,
    Probe,
    Reading,
    StepReport,
    TensorRef,
    events,
    hookimpl,
)

GRID = 4
NOT_TO_BE_HAD = "not to be had on this planet"
LINEAR = ClipConfig(
    embed_dim=32, image_size=32, patch_size=8, vision_width=8, vision_layers=1, vision_heads=1,
    text_width=8, text_layers=1, text_heads=1, vocabulary="words.txt.gz",
)  # fmt: skip


@hookimpl
def clipbench_engines():
    return [EngineSpec("numpy", "a linear model in numpy, for tests", "clipbench_numpy:NumpyEngine")]


@hookimpl
def clipbench_devices():
    trusted = os.environ.get("CLIPBENCH_NUMPY_DEVICE") != "untrusted"
    return [
        DeviceSpec("abacus", "numpy", "always there", "clipbench_numpy:Abacus", priority=1),
        DeviceSpec("paper", "numpy", "what the abacus is checked by", "clipbench_numpy:Paper", trusted=trusted),
        DeviceSpec(
            "unobtainium", "numpy", "never there", "clipbench_numpy:Unobtainium", 9, absent=lambda: NOT_TO_BE_HAD
        ),
    ]


@hookimpl
def clipbench_models():
    return [ModelSpec("linear", "numpy", "linear towers", LINEAR, "clipbench_numpy:NumpyLearner")]


@hookimpl
def clipbench_environment():
    return {"numpy_engine": {"grid": {GRID} if "CLIPBENCH_NUMPY_ENVIRONMENT" in os.environ else GRID}}


@hookimpl
def clipbench_observers():
    return [ObserverSpec("tally", "the names of all events, for tests", "clipbench_numpy:Tally")]


@hookimpl
def clipbench_meters():
    return [MeterSpec("wattmeter", ("abacus",), "a hundred watts, for tests", "clipbench_numpy:Wattmeter")]


class Wattmeter:
    """Reads what ``CLIPBENCH_NUMPY_METER`` has as JSON, field by field of a Reading; else there is nothing to read."""

    def __init__(self, kind, local_rank):
        self.text = os.environ.get("CLIPBENCH_NUMPY_METER")

    def unavailable(self):
        return None if self.text else "it is not plugged in"

    def read(self):
        if self.text == "raise":
            raise RuntimeError("the needle is stuck")
        return Reading(**json.loads(self.text))

    def close(self):
        pass


class Tally:
    """Writes a line for each event; ``CLIPBENCH_NUMPY_TALLY`` is ``raise`` to fail at the first epoch."""

    def __init__(self, case, run_id, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "tally.jsonl"

    def handle(self, event):
        epoch = event.record.epoch if isinstance(event, events.EpochFinished) else None
        if epoch and os.environ.get("CLIPBENCH_NUMPY_TALLY") == "raise":
            raise RuntimeError("the observer fell over")
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": type(event).__name__, "epoch": epoch}) + "\n")

    def close(self):
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": "closed", "epoch": None}) + "\n")


class Abacus:
    name = "abacus"

    def unavailable(self):
        return None

    def others(self):
        return None

    def free_memory(self):
        return None

    def select(self, local_rank):
        pass

    def reset_peak_memory(self):
        pass

    def peak_memory(self):
        return None

    def info(self):
        return DeviceInfo(name="abacus of wood", count=int(os.environ.get("CLIPBENCH_NUMPY_COUNT", "1")))

    def precisions(self):
        return ["float32", "bfloat16"]

    def peak_flops(self, precision):
        return None

    def environment_variables(self):
        return ["CLIPBENCH_NUMPY_FAULT", "CLIPBENCH_NUMPY_TUNE"]

    def tune(self, earlier=None):
        if earlier is not None:
            return earlier
        # As a device that chooses by measuring: another process would choose otherwise.
        return {"beads": "oiled", **({"chosen": os.getpid()} if "CLIPBENCH_NUMPY_TUNE" in os.environ else {})}


class Paper(Abacus):
    name = "paper"


class Unobtainium(Abacus):
    name = "unobtainium"

    def unavailable(self):
        return NOT_TO_BE_HAD


class NumpyEngine:
    def problem(self):
        return None

    def versions(self):
        return {"numpy": np.__version__}

    def probe(self, device, precision):
        failing = os.environ.get("CLIPBENCH_NUMPY_PROBE")
        if failing == "abort":
            os.abort()
        if failing == "hang":
            time.sleep(600)
        details = {name: "not as it should be" if name == failing else "fine" for name in ("matmul", "synchronize")}
        return [
            Probe("matmul", failing != "matmul", details["matmul"], "run", {"relative_error": 0.0}),
            Probe("synchronize", failing != "synchronize", details["synchronize"], "timing"),
        ]

    def check_weights(self, model, config, weights):
        if not weights.read_bytes().startswith(b"beads"):
            raise NotReadyError(f"{weights} does not fit the model. Its beads are square.")

    def learner(self, job):
        return NumpyLearner(job)

    def loader(self, fetch, workers, device):
        return NumpyLoader(fetch)

    def join(self, device, world, timeout):
        raise NotImplementedError("one rank only")

    def launcher(self, world_size, report):
        return [sys.executable, "-m"]


class NumpyLoader:
    def __init__(self, fetch):
        self.fetch = fetch

    def batches(self, keys):
        for batch in keys:
            yield tuple(np.stack(arrays) for arrays in zip(*map(self.fetch, batch), strict=True))

    def close(self):
        pass


class NumpyLearner:
    def __init__(self, job):
        draws = np.random.default_rng(job.seed)
        fault = os.environ.get("CLIPBENCH_NUMPY_DEVICE", "")
        self.device_fault = fault if (job.device.name == "paper") == (fault == "abort") else ""
        self.collapsed = self.ended = False
        self.config, self.scale, self.losses, self.steps = job.config, np.log(1 / 0.07), [], 0
        self.image_weights = draws.standard_normal((GRID * GRID * 3, job.config.embed_dim)) * 0.1
        self.text_weights = draws.standard_normal((job.config.vocab_size, job.config.embed_dim)) * 0.1

    def _image_inputs(self, pixels):
        n, size = pixels.shape[:2]
        cells = np.asarray(pixels, dtype=np.float64).reshape(n, GRID, size // GRID, GRID, size // GRID, 3)
        return cells.mean(axis=(2, 4)).reshape(n, -1) / 128 - 1

    def _text_inputs(self, tokens):
        counts = np.zeros((len(tokens), self.config.vocab_size))
        np.add.at(counts, (np.arange(len(tokens))[:, None], tokens), tokens != 0)
        return counts

    def train_step(self, pixels, tokens, lr):
        self.steps += 1
        time.sleep(float(os.environ.get("CLIPBENCH_NUMPY_PAUSE", "0")))
        fault = os.environ.get("CLIPBENCH_NUMPY_FAULT") if self.steps == 2 else None
        if fault == "collapse":
            self.collapsed = True
        if fault == "raise":
            raise RuntimeError("beads are stuck")
        if fault == "abort":
            os.abort()
        if fault == "hang":
            time.sleep(600)
        if self.device_fault == "abort":
            os.abort()
        if self.device_fault == "noisy":
            lr *= 1 + 1e-9 * np.random.default_rng().random()
        lr *= {"idle": 0, "uphill": -1}.get(self.device_fault, 1)
        short = _short if self.device_fault == "short" else np.asarray
        x, y = short(self._image_inputs(pixels)), short(self._text_inputs(tokens))
        a, b = x @ short(self.image_weights), y @ short(self.text_weights)
        na, nb = np.linalg.norm(a, axis=1, keepdims=True), np.linalg.norm(b, axis=1, keepdims=True)
        u, v = a / na, b / nb
        logits = np.exp(self.scale) * u @ v.T
        rows, columns = _softmax(logits, 1), _softmax(logits, 0)
        own = np.eye(len(x))
        self.losses.append(
            float("nan")
            if "nan" in (fault, self.device_fault)
            else -np.log(rows.diagonal() * columns.diagonal()).mean()
        )
        g = np.exp(self.scale) * (rows - own + columns - own) / len(x)
        gu, gv = g @ v, g.T @ u
        self.image_weights -= lr * x.T @ ((gu - u * (gu * u).sum(1, keepdims=True)) / na)
        self.text_weights -= lr * y.T @ ((gv - v * (gv * v).sum(1, keepdims=True)) / nb)
        if fault == "parameter":
            self.image_weights[0, 0] = np.inf

    def drain_steps(self):
        losses, self.losses = self.losses, []
        fault = os.environ.get("CLIPBENCH_NUMPY_FAULT") if self.steps >= 2 else None
        norm = float("inf") if fault == "gradient" else 1.0
        return [StepReport(float(loss), norm, fault == "skip") for loss in losses]

    def flops(self):
        return None

    def not_finite(self):
        return None if np.isfinite(self.image_weights).all() else "image_weights"

    def encode_images(self, pixels):
        return self._image_inputs(pixels) @ self.image_weights * (not self.collapsed) + self.collapsed

    def encode_texts(self, tokens):
        return self._text_inputs(tokens) @ self.text_weights

    def gather(self, features):
        return np.concatenate(list(features)).astype(np.float32)

    def logit_scale(self):
        return float(self.scale)

    def state(self):
        arrays = {"image": self.image_weights, "text": self.text_weights}
        tensors = {name: TensorRef(array.dtype, array.shape, array.copy) for name, array in arrays.items()}
        return LearnerState(tensors, {"steps": self.steps})

    def restore(self, state):
        image, text = (state.tensors[name].read() for name in ("image", "text"))
        if image.shape != self.image_weights.shape or text.shape != self.text_weights.shape:
            raise NotReadyError("the saved state is of another model")
        self.image_weights, self.text_weights, self.steps = image.copy(), text.copy(), state.values["steps"]

    def synchronize(self):
        pass

    def describe(self):
        if self.ended and os.environ.get("CLIPBENCH_NUMPY_FAULT") == "end":
            raise RuntimeError("the last bead was lost")
        self.ended = True  # it is called when the run begins, and when it ends
        return {"parameter_count": self.image_weights.size + self.text_weights.size}


def _short(array):
    mantissa, exponent = np.frexp(array)
    return np.ldexp(np.round(mantissa * 2**10) / 2**10, exponent)


def _softmax(logits, axis):
    exponentials = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)

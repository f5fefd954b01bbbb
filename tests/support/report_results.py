"""Results that are made up, to be read by tests and benchmarks of reports: no figure in them was measured."""

import datetime
import hashlib
import math
import random
from dataclasses import replace

from clipbench.api import events as e
from clipbench.api.data import Fingerprint
from clipbench.api.result import (
    CaseError,
    DatasetUsed,
    EpochRecord,
    EpochSeconds,
    QueryRanks,
    SourceVersion,
    WeightsUsed,
    Window,
)
from clipbench.results.metrics import RECALL_NAMES
from clipbench.results.result import build_result
from clipbench.suites.loading import find_suite, load_suite

START = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
# For every text that a user may choose.
HOSTILE = '</script><img src="x" onerror="window.pwned=1"><script>window.pwned=1</script>'
MISSING = {"peak_memory_bytes": "the device does not report it"}


def make_result(index=0, epochs=4, images=20, suite="quickstart", device="Test Card", commit=None, loss=0.0, seed=0):
    """The result of a run ``index`` times six hours after the first, on ``device``; ``loss`` points of recall lost."""
    rng = random.Random(index)
    (case,) = load_suite(find_suite(suite), [f"seed={seed}"]).cases[:1]
    started = START + datetime.timedelta(hours=6 * index)
    started_text = started.strftime("%Y-%m-%dT%H:%M:%SZ")
    shift = rng.gauss(0, 0.2) - loss
    events = [
        e.EnvironmentRead(_environment(device)),
        _inputs(case, images),
        e.TrainingFinished({"name": case.model.name, "parameter_count": 1_312_897}),
        *(e.EpochFinished(_record(rng, number, epochs, shift)) for number in range(1, epochs + 1)),
        e.QueriesRanked(_query_ranks(rng, epochs, images)),
    ]
    run_id = f"{case.name}-{started:%Y%m%dT%H%M%SZ}-{index:04x}"
    result = build_result(case, run_id, started_text, events, "completed", None)
    commit = hashlib.sha1(str(index // 3).encode()).hexdigest() if commit is None else commit
    return replace(result, ended=started_text, clipbench=SourceVersion("0.1.0", commit, False))


def failed(result, message="it broke\nbadly"):
    """The same result, of a case that failed in the end."""
    return replace(result, status="failed", error=CaseError("Error", message, 4))


def _environment(device):
    return {
        "os": "Linux",
        "python": "3.11.0",
        "cpu": {"name": "a processor", "cores": 2},
        "device": {"kind": "cpu", "name": device, "count": 1, "precision": "float32"},
        "packages": {"numpy": "2.0.0"},
        "plugins": {},
        "variables": {},
    }


def _inputs(case, images):
    options = case.dataset.options
    train, val = options.get("train_images", 6000), options.get("val_images", images)
    splits = (Fingerprint(f"en_{name}", n, 5 * n, "0" * 64) for name, n in (("train", train), ("val", val)))
    return e.InputsRead(DatasetUsed(case.dataset.name, *splits), WeightsUsed("random", None), text_truncated=0)


def _record(rng, number, epochs, shift):
    done = number / epochs
    recall = {name: min(100.0, 97 - 40 * math.exp(-6 * done) + shift) for name in RECALL_NAMES}
    train_loss = 2 * math.exp(-4 * done) + 0.05 * rng.random()
    return EpochRecord(
        epoch=number,
        steps=187,
        train_loss=train_loss,
        val_loss=train_loss + 0.05,
        learning_rate=1e-3 * (1 - done) + 1e-6,
        recall=recall,
        throughput=800 + rng.gauss(0, 8),
        data_wait=0.04 + 0.01 * rng.random(),
        step_seconds={"p5": 0.03, "p50": 0.04, "p95": 0.05, "max": 0.06},
        windows=tuple(Window(10, 0.4 + 0.01 * rng.random(), 0.01 * rng.random()) for _ in range(18)),
        peak_memory_bytes=None,
        host_memory_bytes=444_026_880,
        seconds=EpochSeconds(7.0, 0.7),
        reasons=MISSING,
    )


def _query_ranks(rng, epoch, images):
    return QueryRanks(
        epoch=epoch,
        text=[int(rng.expovariate(1)) for _ in range(images)],
        image=[int(rng.expovariate(0.7)) for _ in range(5 * images)],
        image_of_text=[caption // 5 for caption in range(5 * images)],
    )

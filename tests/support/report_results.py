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
from clipbench.results.measures.metrics import RECALL_AT
from clipbench.results.measures.recall import recall_metrics, with_means
from clipbench.results.measures.timing import measure
from clipbench.results.result import build_result
from clipbench.suites.loading import find_suite, load_suite

START = datetime.datetime(2025, 1, 1, tzinfo=datetime.timezone.utc)
# For every text that a user may choose.
HOSTILE = '</script><img src="x" onerror="window.pwned=1"><script>window.pwned=1</script>'
MISSING = {"peak_memory_bytes": "the device does not report it"}


def make_result(index=0, epochs=4, images=None, suite="quickstart", device="Test Card", commit=None, loss=0.0, seed=0):
    """The result of a run ``index`` times six hours after the first, on ``device``; ``loss`` points of recall lost."""
    rng = random.Random(index)
    (case,) = load_suite(
        find_suite(suite), [f"seed={seed}", f"train.epochs={epochs}", "eval.evaluations=[retrieval]"]
    ).cases[:1]
    started = START + datetime.timedelta(hours=6 * index)
    started_text, ended_text = (
        time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in (started, started + datetime.timedelta(minutes=1 + epochs))
    )
    shift = rng.gauss(0, 0.2) - loss
    images = images or case.dataset.options.get("val_images", 20)
    inputs = _inputs(case, images)
    steps = inputs.dataset.train.images // case.train.batch_size
    ranks = _query_ranks(rng, epochs, images, _recall(1.0, shift))
    records = [_record(rng, number, epochs, shift, steps, case.train.batch_size) for number in range(1, epochs + 1)]
    records[-1] = replace(records[-1], recall=recall_metrics(ranks.text, ranks.image))
    events = [
        e.EnvironmentRead(_environment(device)),
        inputs,
        e.TrainingFinished({"name": case.model.name, "parameter_count": 1_312_897}),
        *map(e.EpochFinished, records),
        e.QueriesRanked(ranks),
    ]
    run_id = f"{case.name}-{started:%Y%m%dT%H%M%SZ}-{index:04x}"
    result = build_result(case, run_id, started_text, events, "completed", None)
    commit = hashlib.sha1(str(index // 3).encode()).hexdigest() if commit is None else commit
    return replace(result, ended=ended_text, clipbench=SourceVersion("0.1.0", commit, False))


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
    counts = {"train": options.get("train_images", 6000), "val": images}
    splits = (Fingerprint(f"en_{name}", n, 5 * n, "0" * 64) for name, n in counts.items())
    return e.InputsRead(DatasetUsed(case.dataset.name, *splits), WeightsUsed("random", None), text_truncated=0)


def _recall(done, shift):
    """What a share of the queries, in percent, has a rank of 0 after a share of the training."""
    return max(0.0, min(100.0, 96.4 - 40 * math.exp(-6 * done) + shift))


def _record(rng, number, epochs, shift, steps, batch):
    done = number / epochs
    found = _recall(done, shift)
    recall = {f"{side}_recall@{k}": min(100.0, found + k / 5) for side in ("text", "image") for k in RECALL_AT}
    # After four epochs, what the quickstart's reference has.
    train_loss = (0.09 + 16 * math.exp(-8.5 * done)) * (1 + 0.02 * rng.random())
    counts = [10] * (steps // 10) + [steps % 10] * (steps % 10 > 0)
    windows = [Window(n, n * (0.04 + 0.001 * rng.random()), n * 0.001 * rng.random()) for n in counts]
    timing = measure(windows, batch)
    return EpochRecord(
        epoch=number,
        steps=steps,
        train_loss=train_loss,
        val_loss=train_loss * 1.02,
        learning_rate=1e-3 * (1 - done) + 1e-6,
        recall=with_means(recall),
        throughput=timing.throughput,
        data_wait=timing.data_wait,
        step_seconds=timing.step_seconds,
        windows=tuple(windows),
        peak_memory_bytes=None,
        host_memory_bytes=444_026_880,
        seconds=EpochSeconds(timing.seconds + 0.5, 0.7),
        reasons=MISSING,
    )


def _query_ranks(rng, epoch, images, found):
    """Ranks of which about ``found`` percent are 0, and the rest below the number of what is searched."""

    def drawn(count, among):
        hits = set(rng.sample(range(count), round(found * count / 100)))
        return [0 if query in hits else rng.randrange(among) for query in range(count)]

    image_of_text = [caption // 5 for caption in range(5 * images)]
    return QueryRanks(epoch, drawn(images, 5 * images), drawn(5 * images, images), image_of_text)

"""Results made up for tests of comparing: ranks on a few hundred images, windows with noise."""

import copy

import numpy as np

from clipbench.compare.bootstrap import hits_of
from clipbench.files import schemas
from clipbench.results.result import metrics_of
from clipbench.suites.loading import find_suite, load_suite

IMAGES, CAPTIONS = 300, 5
SPLIT = {"images": IMAGES, "captions": IMAGES * CAPTIONS, "annotation_sha256": "0" * 64}
OWNER = np.repeat(np.arange(IMAGES), CAPTIONS).tolist()


def made_result(run_id="made-1", seed=0, lost=0.0, slower=0.0, noise=0.02, windows=40, draw=0, losses=(0.5, 0.25)):
    """A valid, completed result of the quickstart.

    ``lost`` is the share of queries that miss beyond those that always do, ``slower`` a share of throughput,
    ``noise`` that of a window, drawn from ``draw``.
    """
    random = np.random.default_rng(draw)
    ranks = {"epoch": len(losses), "text": missed(IMAGES, lost), "image": missed(IMAGES * CAPTIONS, lost)}
    ranks["image_of_text"] = OWNER
    seconds = 1.0 / (1 - slower) * (1 + noise * random.standard_normal(windows))
    records = [
        record(epoch, loss, hits_of(ranks).recalls(), [[10, float(s), 0.0] for s in part])
        for epoch, (loss, part) in enumerate(zip(losses, np.array_split(seconds, len(losses)), strict=True), 1)
    ]
    case = load_suite(find_suite("quickstart"), [f"seed={seed}"]).cases[0]
    result = {
        "kind": "clipbench.result",
        "schema_version": 1,
        "run_id": run_id,
        "suite": case.suite,
        "case": case.name,
        "reference": case.reference,
        "status": "completed",
        "started": "2026-01-01T00:00:00Z",
        "ended": "2026-01-01T00:01:00Z",
        "clipbench": {"version": "0.1.0", "commit": None, "dirty": None},
        "config": copy.deepcopy(case.to_dict()),
        "config_sha256": case.sha256(),
        "environment": {
            "os": "Linux",
            "python": "3.11.0",
            "cpu": {"name": "a processor", "cores": 2},
            "device": {"kind": "card", "name": "Card 1", "count": 1, "precision": "float32", "driver": "1.0"},
            "packages": {"torch": "2.4.0"},
            "plugins": {},
            "variables": {},
        },
        "dataset": {"name": "shapes", "train": {"split": "en_train", **SPLIT}, "val": {"split": "en_val", **SPLIT}},
        "weights": {"source": "random", "sha256": None},
        "model": {},
        "seed": seed,
        "text_truncated": 0,
        "epochs": records,
        "metrics": {key: {"epoch": len(losses), "values": metrics_of(records[-1])} for key in ("last", "best")},
        "ranks": ranks,
        "error": None,
    }
    result = copy.deepcopy(result)
    assert not list(schemas.problems("result", result))
    return result


def failed(result):
    """The same result, of a case that failed in the end."""
    error = {"type": "Error", "message": "it broke\nbadly", "exit_code": 4, "traceback": None}
    return {**result, "status": "failed", "error": error}


def missed(count, lost):
    """Ranks with one miss at 1 in five queries, and ``lost`` of all missing altogether, evenly spread."""
    ranks = np.where(np.arange(count) % 5 == 0, 3, 0)
    ranks[np.arange(count) * 7919 % count < round(lost * count)] = 20
    return ranks.tolist()


def record(epoch, loss, recall, windows):
    taken = sum(window[1] for window in windows)
    return {
        "epoch": epoch,
        "steps": 10 * len(windows),
        "train_loss": loss,
        "val_loss": loss,
        "learning_rate": 1e-3,
        "recall": recall,
        "samples_per_second": 500 * len(windows) / taken if windows else None,
        "data_wait": 0.0,
        "step_seconds": None,
        "windows": windows,
        "peak_memory_bytes": None,
        "host_memory_bytes": None,
        "seconds": {"train": 10.0, "eval": 2.0},
        "reasons": {} if windows else {"samples_per_second": "all steps were warm-up"},
    }

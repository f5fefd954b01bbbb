"""The valid files that fuzzing starts from: results that pass and that fail, what judges them, a suite, a run."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clipbench.api import Case, LearnerState, TensorRef, from_plain, to_plain
from clipbench.api.result import Attempt
from clipbench.compare.adoption import adopt, propose
from clipbench.files.bundled import bundled
from clipbench.results.result import write_result
from clipbench.runs.folder import new_run_folder
from clipbench.training import checkpoints
from clipbench.training.state import RunState, SavedRun
from tests.support.made_results import BATCH, STEPS, made_result

EPOCHS = (1.5, 0.4, 0.2, 0.1)
IMAGES = 60  # enough for a sure verdict, few enough for thousands of trials a minute


@dataclass(frozen=True)
class Materials:
    """Files by what they are.

    ``bad`` fails against its reference and against the baseline, ``slow`` against the baseline; ``good`` passes both.
    """

    bad: Path
    slow: Path
    good: Path
    older: Path
    baseline: Path
    reference: Path
    suite: Path
    run: Path
    texts: dict

    def data(self, path):
        """Return a fresh copy of the JSON in one of the files."""
        return json.loads(self.texts[path])


def make_materials(folder):
    """Write everything into ``folder``."""
    results = {
        "bad": _result("quickstart-20260103T000000Z-0bad", "2026-01-03", lost=0.3),
        "slow": _result("quickstart-20260104T000000Z-510e", "2026-01-04", slower=0.5),
        "good": _result("quickstart-20260102T000000Z-900d", "2026-01-02"),
        "older": _result("quickstart-20260101T000000Z-01de", "2026-01-01"),
    }
    paths = {name: write_result(folder / name, result) for name, result in results.items()}
    baseline = adopt(propose([results["older"]], folder / "baselines", "checked by hand")).path
    suite, reference = folder / "quickstart.yaml", folder / "references" / "quickstart.json"
    shipped = json.loads((bundled("reference") / "quickstart.json").read_text(encoding="utf-8"))
    shipped["conditions"] |= {"dataset.val.images": IMAGES, "dataset.train.images": STEPS * BATCH}
    shipped["loss_curve"] = EPOCHS
    measured = {name: results["good"].value(name) for name in shipped["metrics"]}
    shipped["metrics"] = {  # without what these have not measured: the accuracy of a classification
        name: {**shipped["metrics"][name], "value": value} for name, value in measured.items() if value is not None
    }
    reference.parent.mkdir()
    reference.write_text(json.dumps(shipped), encoding="utf-8")
    suite.write_bytes((bundled("suites") / "quickstart.yaml").read_bytes())
    run = _unfinished_run(folder / "unfinished", results["bad"])
    files = [*paths.values(), baseline, reference]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    return Materials(**paths, baseline=baseline, reference=reference, suite=suite, run=run, texts=texts)


def _result(run_id, day, **worse):
    """A run of the quickstart: as good as its reference wants it, or worse."""
    result = made_result(run_id, **worse, losses=EPOCHS, images=IMAGES, windows=16)
    return replace(result, started=f"{day}T00:00:00Z", ended=f"{day}T00:05:00Z")


def _unfinished_run(out, result):
    """A run folder with two checkpoints; the newer one is of the middle of an epoch."""
    folder = new_run_folder(out, from_plain(Case, result.config))
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    learner = LearnerState({"weights": TensorRef(weights.dtype, weights.shape, lambda: weights)}, {"steps": 7})
    device = {"kind": "cpu", "name": "a processor", "precision": "float32", "tuning": {"threads": 2}}
    identity = {"suite": result.config, "device": device}
    for count in (1, 2):
        state = RunState(list(result.epochs[:count]), attempts=[Attempt("2026-01-01T00:00:00Z", 0, 0)])
        progress = to_plain(SavedRun(identity, state))
        checkpoints.save(folder.checkpoints, f"step-{count:08d}", learner, progress, 90.0 + count)
    folder.mark("interrupted")
    return out

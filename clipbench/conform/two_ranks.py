"""One of two ranks, started by the engine's launcher: ``python -m clipbench.conform.two_ranks JOB``."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from clipbench.api import LossConfig
from clipbench.api.registry import load_registry
from clipbench.conform.subject import Subject
from clipbench.conform.trial import losses_of, make_job, random_batches
from clipbench.runs.launch import world_of

STEPS = 3
SECONDS = 60.0


def main(path: Path) -> None:
    """Take steps on this rank's half of every batch; rank 0 writes what became of them."""
    job, world = json.loads(path.read_text(encoding="utf-8")), world_of()
    with tempfile.TemporaryDirectory() as scratch:
        subject = Subject("engine", job["engine"], load_registry(), Path(scratch), device_name=job["device"])
        device = subject.unselected_device()
        device.select(world.local_rank)
        tuning = device.tune()
        group = subject.engine.join(device, world, SECONDS)
        changes = {"device": device, "world": world, "tuning": tuning, "loss": LossConfig("sum", "global")}
        learner = subject.engine.learner(make_job(subject, **changes))
        batches = random_batches(subject.model.config, STEPS)
        half = len(batches[0][0]) // world.size
        rows = slice(world.rank * half, (world.rank + 1) * half)
        losses = losses_of(learner, [(pixels[rows], tokens[rows]) for pixels, tokens in batches])
        gathered = group.all_gather(np.full(2 + world.rank, world.rank, np.float64))
        # All ranks encode one batch: the same weights give the same features.
        features = group.all_gather(learner.gather([learner.encode_images(batches[0][0])]))
        if world.rank == 0:
            answer = {
                "losses": losses,
                "gathered": [array.astype(int).tolist() for array in gathered],
                "equal": bool(np.array_equal(features[0], features[1])),
            }
            Path(job["answers"]).write_text(json.dumps(answer), encoding="utf-8")
        group.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

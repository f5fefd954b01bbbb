"""What the harness itself costs: start-up, time to the first step, overhead in a step, tokenising.

    python benchmarks/harness.py [--out benchmarks/results/harness.json]

Ratios are of things measured in turns in one run; absolute times are of this machine at this moment.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clipbench.clip.tokenizer import Tokenizer
from clipbench.devices import pick_device
from clipbench.environment import machine, source_version
from clipbench.json_file import write_json
from clipbench.loop import Loop
from clipbench.pairs import tokenise
from clipbench.plan import make_plan
from clipbench.plugins import load_object, load_registry
from clipbench.result import utc_now
from clipbench.suite import find_suite, load_suite

REPEATS = 9
QUICK = ["--max-steps", "2", "--set", "timing.warmup_steps=0", "--set", "timing.window_steps=1", "--progress", "none"]


def seconds_of(*command: str) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def startup() -> dict[str, float]:
    """`--help` and `list` beside a bare import of click, in turns."""
    clipbench = [sys.executable, "-m", "clipbench"]
    commands = {
        "import click": [sys.executable, "-c", "import click"],
        "clipbench --help": [*clipbench, "--help"],
        "clipbench list": [*clipbench, "list"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(REPEATS):
        for name, command in commands.items():
            taken[name].append(seconds_of(*command))
    return {name: statistics.median(times) for name, times in taken.items()}


def first_step() -> float:
    """Seconds from the command to the end of the quickstart's first training step, its data being cached."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        run = subprocess.Popen(
            [sys.executable, "-m", "clipbench", "run", "quickstart", "--device", "cpu", *QUICK],
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        while run.poll() is None:
            if any('"event": "step"' in file.read_text() for file in Path(folder).glob("results/.work/*/events.jsonl")):
                break
            time.sleep(0.01)
        taken = time.perf_counter() - begun
        run.wait()
        return taken


class Nothing:
    """Learner, loader and device that do nothing, so that what is left is the harness."""

    def batches(self, keys: list[object]) -> object:
        return iter([(None, None)] * len(keys))

    def train_step(self, pixels: object, tokens: object, lr: float) -> None:
        self.steps = getattr(self, "steps", 0) + 1

    def drain_steps(self) -> list[float]:
        steps, self.steps = self.steps, 0
        return [1.0] * steps

    def synchronize(self) -> None: ...

    def reset_peak_memory(self) -> None: ...

    def peak_memory(self) -> None: ...


def overhead() -> dict[str, float]:
    """Seconds that the loop adds to a step, and seconds of a clip-tiny step of learner and loader alone."""
    from clipbench.api import LearnerJob, World
    from clipbench.pairs import TrainFetch

    registry = load_registry()
    (case,) = load_suite(find_suite("quickstart"), ["device=cpu"]).cases
    make_plan(case, registry).dataset.prepare()
    plan = make_plan(case, registry)
    nothing = Nothing()
    loop = Loop(plan, World(), nothing, nothing, nothing, None, lambda event, **values: json.dumps(values))
    alone = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        loop.run()
        alone.append((time.perf_counter() - begun) / plan.steps)

    engine = load_object(registry.engines.get("torch", "engine").load)()
    engine.problem()
    tokenizer = Tokenizer(plan.vocabulary)
    train = plan.dataset.train()
    fetch = TrainFetch(train, tokenise(train, tokenizer, True), 0, plan.config.image_size, "none", "bilinear")
    loader = engine.loader(fetch, 2)
    device = pick_device(registry, "torch", "cpu")
    train_config = case.train
    learner = engine.learner(
        LearnerJob(plan.model, plan.config, device, "float32", True, None, train_config.optimizer, train_config.loss, 0)
    )
    keys = [[(0, index) for index in range(start, start + 50)] for start in range(0, 4000, 50)]
    for batch in loader.batches(keys[:10]):
        learner.train_step(*batch, lr=1e-4)
    learner.drain_steps()
    begun = time.perf_counter()
    for batch in loader.batches(keys):
        learner.train_step(*batch, lr=1e-4)
    learner.drain_steps()
    bare = (time.perf_counter() - begun) / len(keys)
    loader.close()
    return {"harness_seconds_per_step": statistics.median(alone), "bare_seconds_per_step": bare}


def tokenising() -> dict[str, float] | None:
    """Seconds for all captions of the full training file, where CLIPBENCH_DATA has it."""
    root = Path(os.environ.get("CLIPBENCH_DATA", ""))
    captions, vocabulary = root / "captions" / "en_train.json", root / "bpe_simple_vocab_16e6.txt.gz"
    if not (captions.is_file() and vocabulary.is_file()):
        return None
    texts = [text for entry in json.loads(captions.read_text()) for text in entry["caption"]]
    tokenizer = Tokenizer(vocabulary)
    begun = time.perf_counter()
    tokenizer.encode(texts)
    return {"captions": len(texts), "seconds": time.perf_counter() - begun}


def main() -> None:
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    taken, added, words = startup(), overhead(), tokenising()
    first = sorted(first_step() for _ in range(3))
    commit, dirty = source_version()
    table = Table("what", "measured", "of", "ratio")
    for name in ("clipbench --help", "clipbench list"):
        ratio = taken[name] / taken["import click"]
        table.add_row(name, f"{taken[name]:.3f} s", f"import click {taken['import click']:.3f} s", f"{ratio:.2f}")
    table.add_row("quickstart, command to first step", f"{first[1]:.2f} s", f"{first[0]:.2f} to {first[2]:.2f} s", "")
    share = added["harness_seconds_per_step"] / added["bare_seconds_per_step"]
    harness, bare = (1e3 * added[f"{name}_seconds_per_step"] for name in ("harness", "bare"))
    table.add_row("harness, per step", f"{harness:.4f} ms", f"clip-tiny step {bare:.1f} ms", f"{share:.2%}")
    if words:
        table.add_row(f"tokenise {words['captions']} captions", f"{words['seconds']:.2f} s", "", "")
    Console().print(table)
    if out:
        write_json(
            out,
            {
                "benchmark": "harness",
                "when": utc_now(),
                "commit": commit,
                "dirty": dirty,
                "machine": machine(),
                "startup_seconds": taken,
                "first_step_seconds": first,
                "overhead": {**added, "share": share},
                "tokenising": words,
            },
        )


if __name__ == "__main__":
    main()

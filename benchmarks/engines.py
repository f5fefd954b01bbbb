"""The engines beside each other: one step of the quickstart, and one of ViT-B/16, on one device, in turns.

    python -m benchmarks.engines --out benchmarks/results/engines.json
    python -m benchmarks.engines --precision float32 bfloat16

Both learners take the same pairs from the same start, each through its own engine: torch cuts captions to the longest
of the batch, JAX pads them to one of its lengths. The seconds that JAX compiles are recorded, from an empty cache; no
measured step compiles. The engines must agree on the first loss, or nothing is measured.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

from benchmarks.harness import (
    Record,
    arguments,
    both_clocks,
    in_turns,
    make_batch,
    make_job,
    parse,
    ratio,
    show_table,
    times_data,
)
from clipbench.api.registry import load_object, load_registry
from clipbench.runs.devices.opening import find_device

ENGINES = ("torch", "jax")
AGREEMENT = {"float32": 1e-4, "bfloat16": 2e-2}
# A few steps of a small model last as long as one of a big one.
WORK = {"clip-tiny": (50, 20), "clip-vit-b16": (8, 1)}


def make_learner(engine: str, model: str, precision: str) -> Any:
    """Return a learner for the published recipe, from random weights, on the tuned processor."""
    registry = load_registry()
    device = find_device(registry, engine, "cpu")
    device.select(0)
    job = make_job(registry.models.get(model, "model.name", engine), device, precision)
    return load_object(registry.engines.get(engine, "engine").load)().learner(job)


def measure(options: argparse.Namespace, model: str, precision: str) -> dict[str, Any]:
    """Take steps in turns with both engines; return times, and how many times as fast JAX is."""
    batch, steps = WORK[model]
    pixels, tokens = make_batch(model, batch)
    learners = {engine: make_learner(engine, model, precision) for engine in ENGINES}

    def take(engine: str) -> None:
        for _ in range(steps):
            learners[engine].train_step(pixels, tokens, 1e-6)
        learners[engine].synchronize()

    taken = in_turns({engine: lambda engine=engine: take(engine) for engine in ENGINES}, options.rounds)
    first = {engine: learner.drain_steps()[0].loss for engine, learner in learners.items()}
    if not math.isclose(*first.values(), rel_tol=AGREEMENT[precision]):
        raise SystemExit(f"{model} in {precision}: the first losses differ: {first}")
    return {
        "model": model,
        "precision": precision,
        "batch": batch,
        "steps": steps,
        "first_losses": first,
        "times": times_data(taken),
        "pairs_per_second": {engine: batch * steps / times.seconds for engine, times in taken.items()},
        "jax_to_torch": ratio(taken["torch"], taken["jax"]),
        "learners": {engine: dict(learner.describe()) for engine, learner in learners.items()},
    }


def show(measured: list[dict[str, Any]]) -> None:
    rows = [
        [
            one["model"],
            one["precision"],
            str(one["batch"]),
            *(f"{one['pairs_per_second'][engine]:.1f}" for engine in ENGINES),
            *both_clocks(one["jax_to_torch"]),
            f"{one['learners']['jax']['compile_seconds']:.1f}",
        ]
        for one in measured
    ]
    head = ("model", "precision", "batch", "torch, pairs/s", "jax", "jax / torch (wall)", "(cpu)", "compiling, s")
    show_table(head, rows, width=120)


def main() -> None:
    parser = arguments(__doc__, precision=["float32"], models=list(WORK), rounds=5)
    options = parse(parser, models=["clip-tiny"], rounds=1)
    record, measured = Record("engines", options), []
    for model in options.models:
        for precision in options.precision:
            measured.append(measure(options, model, precision))
            show(measured)
            record.save(measured=measured)


if __name__ == "__main__":
    main()

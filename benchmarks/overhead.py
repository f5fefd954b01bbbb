"""What the loop adds to a training step: the whole loop around a learner that does nothing, beside a real step.

    python -m benchmarks.overhead [--quick] [--out benchmarks/results/overhead.json]

The loop is the quickstart's, with all that it does between steps: clock, events, drained reports, records. The step is
clip-tiny's, the shortest that there is, so the share is the largest that there is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.harness import Record, arguments, in_turns, make_batch, make_device, make_learner, parse, show_table
from clipbench.api import DeviceInfo, StepReport, World
from clipbench.api.plain import to_plain
from clipbench.api.registry import load_registry
from clipbench.suites.loading import find_suite, load_suite
from clipbench.suites.plan import make_plan
from clipbench.training.checkpointing import Checkpointer
from clipbench.training.collectives import SingleRank
from clipbench.training.hardware import Hardware
from clipbench.training.loop import Loop
from clipbench.training.state import RunState
from clipbench.training.stop import StopRequest


class Nothing:
    """Learner, loader, device and evaluator that do nothing, so that what is left is the loop."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self, learner: Any, epoch: int) -> None: ...

    def batches(self, keys: list[Any]) -> Iterator[tuple[None, None]]:
        return iter([(None, None)] * len(keys))

    def close(self) -> None: ...

    def train_step(self, pixels: object, tokens: object, lr: float) -> None:
        self.steps += 1

    def drain_steps(self) -> list[StepReport]:
        steps, self.steps = self.steps, 0
        return [StepReport(1.0, 1.0)] * steps

    def flops(self) -> float:
        return 1.0

    def not_finite(self) -> None: ...

    def synchronize(self) -> None: ...

    def reset_peak_memory(self) -> None: ...

    def peak_memory(self) -> None: ...


def main() -> None:
    options = parse(arguments(__doc__))
    record = Record("overhead", options)
    registry = load_registry()
    (case,) = load_suite(find_suite("quickstart"), ["device=cpu"]).cases
    make_plan(case, registry).dataset.prepare()
    plan = make_plan(case, registry)

    def run_loop() -> None:
        nothing = Nothing()
        Loop(
            plan=plan,
            hardware=Hardware(
                nothing, nothing, "float32", {}, World(), SingleRank(), DeviceInfo("nothing", 1), ("here",)
            ),
            learner=nothing,
            loader=nothing,
            evaluator=nothing,
            state=RunState(),
            checkpointer=Checkpointer(None, case.checkpoint, {}),
            stop=StopRequest(Path("no-stop-file")),
            emit=lambda event: json.dumps(to_plain(event)),
        ).run()

    learner = make_learner("clip-tiny", make_device("cpu"), "float32")
    batch = case.train.batch_size
    pixels, tokens = make_batch("clip-tiny", batch)
    steps = 5 if options.quick else 20

    def take_steps() -> None:
        for _ in range(steps):
            learner.train_step(pixels, tokens, 1e-4)
        learner.drain_steps()

    begun = time.perf_counter()
    taken = in_turns({"loop": run_loop, "steps": take_steps}, 2 if options.quick else 9)
    # Of the processor's own time, the step's shared out evenly: a busy machine would only lengthen the step.
    added = taken["loop"].cpu_seconds / plan.steps
    step = taken["steps"].cpu_seconds / steps / torch.get_num_threads()
    rows = [
        ["the loop", f"{1e3 * added:.4f}"],
        [f"a step of clip-tiny on {batch} pairs", f"{1e3 * step:.2f}"],
        ["share", f"{added / step:.2%}"],
    ]
    show_table(("what", "ms per step"), rows)
    record.save(
        loop_seconds_per_step=added,
        step_seconds=step,
        share=added / step,
        batch=batch,
        loop=taken["loop"].to_dict(),
        steps=taken["steps"].to_dict(),
        seconds=time.perf_counter() - begun,
    )


if __name__ == "__main__":
    main()

"""Peak memory of training steps: plain, with recomputed activations, with micro-batches, with cached features.

    python -m benchmarks.memory [--quick] [--device cuda] [--out benchmarks/results/memory.json]

Each way runs in a process of its own. On a device that counts its peak, that is shown; on the processor the peak of the
process, less what it held before the first step (weights), so gradients and AdamW's moments are in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.made_batches import MODELS, make_job, make_pixels, make_tokens
from benchmarks.measuring import Record, arguments

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "train.grad_checkpointing": {"grad_checkpointing": True},
    "train.accumulate: 4": {"accumulate": 4},
    "train.accumulate: 4, loss.negatives: batch": {"accumulate": 4, "negatives": "batch"},
    "all of them": {"accumulate": 4, "negatives": "batch", "grad_checkpointing": True},
}


def run_way(told: dict[str, Any]) -> dict[str, Any]:
    """Three steps in this process: bytes at the peak, before the first step, and seconds of the processor per step."""
    from clipbench.api import LossConfig
    from clipbench.api.registry import load_registry
    from clipbench.results.environment import peak_host_memory
    from clipbench.runs.devices import pick_device
    from clipbench_torch.learner import TorchLearner

    changes = dict(told["changes"])
    changes["loss"] = LossConfig("sum", changes.pop("negatives", "local"))
    device = pick_device(load_registry(), "torch", told["device"])
    learner = TorchLearner(make_job(told["model"], device, told["precision"], **changes))
    config, batch = MODELS[told["model"]], told["batch"]
    pixels, tokens = make_pixels(config, batch), make_tokens(config, batch)
    before = peak_host_memory()
    cpu = []
    for _ in range(told["steps"]):
        begun = time.process_time()
        learner.train_step(pixels, tokens, 1e-6)
        cpu.append(time.process_time() - begun)
    learner.synchronize()
    loss = learner.drain_steps()[0].loss
    return {
        "device_peak_bytes": device.peak_memory(),
        "host_peak_bytes": peak_host_memory(),
        "host_bytes_before": before,
        "cpu_seconds_per_step": min(cpu),
        "first_loss": loss,
    }


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "way":
        print(json.dumps(run_way(json.loads(sys.argv[2]))))
        return
    parser = arguments(__doc__)
    parser.add_argument("--model", choices=MODELS, default="clip-vit-b16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    if options.quick:
        options.model, options.batch = "clip-tiny", 64
    record, measured = Record("memory", options), {}
    for name, changes in WAYS.items():
        told = {key: getattr(options, key) for key in ("model", "device", "precision", "batch", "steps")}
        command = [sys.executable, "-m", "benchmarks.memory", "way", json.dumps({**told, "changes": changes})]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        measured[name] = json.loads(done.stdout.splitlines()[-1])
    table = Table("way", "peak, MB", "beyond the weights, MB", "of plain", "x cpu time")
    plain = measured["plain"]
    for found in measured.values():
        peak, before = found["device_peak_bytes"], 0
        if peak is None:
            peak, before = found["host_peak_bytes"], found["host_bytes_before"]
        found["peak_bytes"], found["beyond_weights_bytes"] = peak, peak - before
    for name, found in measured.items():
        table.add_row(
            name, f"{found['peak_bytes'] / 1e6:,.0f}", f"{found['beyond_weights_bytes'] / 1e6:,.0f}",
            f"{found['beyond_weights_bytes'] / plain['beyond_weights_bytes']:.2f}",
            f"{found['cpu_seconds_per_step'] / plain['cpu_seconds_per_step']:.2f}",
        )  # fmt: skip
    Console(width=110).print(table)
    record.save(ways=measured)


if __name__ == "__main__":
    main()

"""Peak memory of training steps: plain, with recomputed activations, with micro-batches, with cached features.

    python -m benchmarks.memory [--quick] [--device cuda] [--out benchmarks/results/memory.json]

Each way runs in a process of its own. On a device that counts its peak, that is shown; on the processor the peak of the
process, less what it held before the first step (weights), so gradients and AdamW's moments are in it.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.harness import Record, arguments, in_process, make_batch, make_device, make_learner, parse, show_table
from clipbench.api import LossConfig
from clipbench.results.environment import peak_host_memory

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "train.grad_checkpointing": {"grad_checkpointing": True},
    "train.accumulate: 4": {"accumulate": 4},
    "train.accumulate: 4, loss.negatives: batch": {"accumulate": 4, "negatives": "batch"},
    "all of them": {"accumulate": 4, "negatives": "batch", "grad_checkpointing": True},
}


def run_way(model: str, device_name: str, precision: str, batch: int, steps: int, way: str) -> dict[str, Any]:
    """Take steps in this process; return bytes at the peak and before the first step, and processor seconds a step."""
    changes = dict(WAYS[way])
    device = make_device(device_name)
    loss = LossConfig("sum", changes.pop("negatives", "local"))
    learner = make_learner(model, device, precision, loss=loss, **changes)
    pixels, tokens = make_batch(model, batch)
    before = peak_host_memory()
    cpu = []
    for _ in range(steps):
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
    parser = arguments(__doc__, model="clip-vit-b16", device="cpu", precision="float32", batch=32, steps=2)
    options = parse(parser, model="clip-tiny", batch=64)
    record, ways = Record("memory", options), {}
    for name in WAYS:
        way = in_process(run_way, options.model, options.device, options.precision, options.batch, options.steps, name)
        peak, before = way["device_peak_bytes"], 0
        if peak is None:
            peak, before = way["host_peak_bytes"], way["host_bytes_before"]
        ways[name] = {**way, "peak_bytes": peak, "beyond_weights_bytes": peak - before}
    plain = ways["plain"]
    rows = [
        [
            name,
            f"{way['peak_bytes'] / 1e6:,.0f}",
            f"{way['beyond_weights_bytes'] / 1e6:,.0f}",
            *(f"{way[key] / plain[key]:.2f}" for key in ("beyond_weights_bytes", "cpu_seconds_per_step")),
        ]
        for name, way in ways.items()
    ]
    show_table(("way", "peak, MB", "beyond the weights, MB", "of plain", "x cpu time"), rows, width=110)
    record.save(ways=ways)


if __name__ == "__main__":
    main()

"""Where the time of our learner's training step goes, by operation, and what keeping freed memory saves of it.

    python -m benchmarks.step_profile [--device cuda] [--batch 8] [--precision bfloat16 float32]
        [--out benchmarks/results/step_profile.json]

Shares are of the operations' own time as torch.profiler has it: the device's where there is one, else the processor's.
On a processor the steps are also taken as glibc serves memory by itself, in a process of their own.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.made_batches import MODELS, make_job, make_pixels, make_tokens
from benchmarks.measuring import Record, arguments, synchronize

# The first group with a beginning of an operation's name has it.
GROUPS = {
    "matrix products": ("aten::mm", "aten::addmm"),
    "attention": (
        "aten::_scaled_dot_product", "aten::_flash", "aten::_efficient", "aten::bmm", "aten::baddbmm", "aten::_softmax",
        "ProductAttention",
    ),
    "copies and casts": ("aten::copy_", "aten::_to_copy", "aten::cat"),
    "AdamW": ("aten::_fused_adamw", "aten::_foreach_a", "aten::_foreach_lerp", "aten::_foreach_mul"),
    "norm of the gradient": ("aten::linalg_vector_norm", "aten::_foreach_norm"),
    "layer norms": ("aten::native_layer_norm",),
    "activation": ("aten::silu", "aten::mul", "aten::gelu", "_QuickGelu"),
    "filling with zeros": ("aten::fill_", "aten::zero_"),
    "sums and additions": ("aten::sum", "aten::add"),
}  # fmt: skip
SETTLED = 3  # steps until the allocator has most of what it will need


def group_of(operation: str) -> str:
    return next((name for name, begun in GROUPS.items() if operation.startswith(begun)), "the rest")


def steps(told: dict[str, Any]) -> dict[str, Any]:
    """Steps in this process, timed one by one, and then one under the profiler."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from clipbench.api.registry import load_registry
    from clipbench.runs.devices import pick_device
    from clipbench_torch import learner as learners

    if not told["keep_freed"]:
        learners.keep_freed_memory = lambda: False
    device = pick_device(load_registry(), "torch", told["device"])
    device.select(0)
    learner = learners.TorchLearner(make_job(told["model"], device, told["precision"]))
    config, batch = MODELS[told["model"]], told["batch"]
    pixels, tokens = make_pixels(config, batch), make_tokens(config, batch)
    wall, cpu, system = [], [], []
    for _ in range(SETTLED + told["steps"]):
        begun, used, before = (
            time.perf_counter(),
            time.process_time(),
            resource.getrusage(resource.RUSAGE_SELF).ru_stime,
        )
        learner.train_step(pixels, tokens, 1e-6)
        synchronize(told["device"])
        wall.append(time.perf_counter() - begun)
        cpu.append(time.process_time() - used)
        system.append(resource.getrusage(resource.RUSAGE_SELF).ru_stime - before)
    measured = {
        "seconds_per_step": statistics.median(wall[SETTLED:]),
        "cpu_seconds_per_step": statistics.median(cpu[SETTLED:]),
        "system_cpu_seconds_per_step": statistics.median(system[SETTLED:]),
        "learner": dict(learner.describe()),
    }
    if not told["keep_freed"]:
        return measured
    on_device = told["device"] != "cpu"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_device
    with profile(activities=activities) as profiler:
        learner.train_step(pixels, tokens, 1e-6)
        synchronize(told["device"])
    own = "self_device_time_total" if on_device else "self_cpu_time_total"
    # Kernels stand in the list beside the operations that asked for them, with the same time.
    events = [e for e in profiler.key_averages() if e.device_type == torch.autograd.DeviceType.CPU]
    operations = {e.key: (getattr(e, own), e.count) for e in events}
    total = sum(taken for taken, _ in operations.values())
    shares = dict.fromkeys((*GROUPS, "the rest"), 0.0)
    for name, (taken, _) in operations.items():
        shares[group_of(name)] += taken / total
    most = sorted(operations.items(), key=lambda item: -item[1][0])[:20]
    return measured | {
        "operations_seconds": total / 1e6,
        "shares": shares,
        "operations": [
            {"name": name, "share": taken / total, "milliseconds": taken / 1e3, "calls": calls}
            for name, (taken, calls) in most
        ],
    }


def main() -> None:
    if len(sys.argv) == 3 and sys.argv[1] == "steps":
        print(json.dumps(steps(json.loads(sys.argv[2]))))
        return
    parser = arguments(__doc__)
    parser.add_argument("--model", choices=MODELS, default="clip-vit-b16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--precision", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.model, options.steps = "clip-tiny", 2
    record, console, measured = Record("step_profile", options), Console(width=110), {}
    for precision in options.precision:
        told = {key: getattr(options, key) for key in ("model", "device", "batch", "steps")} | {"precision": precision}
        ways = {}
        for way, keep_freed in (("kept", True), ("the system's choice", False)):
            if keep_freed or options.device == "cpu":
                command = [
                    sys.executable,
                    "-m",
                    "benchmarks.step_profile",
                    "steps",
                    json.dumps(told | {"keep_freed": keep_freed}),
                ]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                ways[way] = json.loads(done.stdout.splitlines()[-1])
        measured[precision] = ways
        table = Table(f"{precision}, batch {options.batch}", "share", "")
        for name, share in sorted(ways["kept"]["shares"].items(), key=lambda item: -item[1]):
            table.add_row(name, f"{100 * share:.1f} %", "#" * round(50 * share))
        console.print(table)
        for way, found in ways.items():
            console.print(
                f"memory freed, {way}: {1e3 * found['seconds_per_step']:,.0f} ms a step, "
                f"{1e3 * found['cpu_seconds_per_step']:,.0f} ms of the processor, the system's "
                f"{1e3 * found['system_cpu_seconds_per_step']:,.0f} ms of it"
            )
    record.save(precisions=measured)


if __name__ == "__main__":
    main()

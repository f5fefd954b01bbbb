"""Where the time of our learner's training step goes, by operation, and what keeping freed memory saves of it.

    python -m benchmarks.step_profile [--device cuda] [--batch 8] [--precision bfloat16 float32]
        [--out benchmarks/results/step_profile.json]

Shares are of the operations' own time as torch.profiler has it: the device's where there is one, else the processor's.
On a processor the steps are also taken as glibc serves memory by itself, in a process of their own.
"""

from __future__ import annotations

import resource
import statistics
import time
from typing import Any

from benchmarks.harness import Record, arguments, in_process, make_batch, make_device, make_learner, parse, show_table

# The first group with a beginning of an operation's name has it.
GROUPS = {
    "matrix products": ("aten::mm", "aten::addmm", "mkldnn::_linear_pointwise", "_Linear"),
    "attention": (
        "aten::_scaled_dot_product", "aten::_flash", "aten::_efficient", "aten::bmm", "aten::baddbmm", "aten::_softmax",
        "MathAttention",
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


def clocks() -> tuple[float, float, float]:
    """Return seconds of the wall, of the processor, and of the processor in the system."""
    return time.perf_counter(), time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_stime


def steps(model: str, device_name: str, batch: int, count: int, precision: str, keep_freed: bool) -> dict[str, Any]:
    """Take steps in this process, timed one by one, and then one under the profiler."""
    from clipbench_torch import learner as learners

    if not keep_freed:
        learners.keep_freed_memory = lambda: False
    device = make_device(device_name)
    learner = make_learner(model, device, precision)
    pixels, tokens = make_batch(model, batch)

    def step() -> None:
        learner.train_step(pixels, tokens, 1e-6)
        device.synchronize()

    taken = []
    for _ in range(SETTLED + count):
        begun = clocks()
        step()
        taken.append([after - before for before, after in zip(begun, clocks(), strict=True)])
    names = ("seconds_per_step", "cpu_seconds_per_step", "system_cpu_seconds_per_step")
    measured = dict(zip(names, map(statistics.median, zip(*taken[SETTLED:], strict=True)), strict=True))
    measured["learner"] = dict(learner.describe())
    return measured | profiled(step, device_name != "cpu") if keep_freed else measured


def profiled(step: Any, on_device: bool) -> dict[str, Any]:
    """Return the time of one step by group and by operation."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_device) as profiler:
        step()
    own = "self_device_time_total" if on_device else "self_cpu_time_total"
    # Kernels stand in the list beside the operations that asked for them, with the same time.
    events = [e for e in profiler.key_averages() if e.device_type == torch.autograd.DeviceType.CPU]
    operations = {e.key: (getattr(e, own), e.count) for e in events}
    total = sum(taken for taken, _ in operations.values())
    shares = dict.fromkeys((*GROUPS, "the rest"), 0.0)
    for name, (taken, _) in operations.items():
        shares[group_of(name)] += taken / total
    most = sorted(operations.items(), key=lambda item: -item[1][0])[:20]
    return {
        "operations_seconds": total / 1e6,
        "shares": shares,
        "operations": [
            {"name": name, "share": taken / total, "milliseconds": taken / 1e3, "calls": calls}
            for name, (taken, calls) in most
        ],
    }


def main() -> None:
    parser = arguments(__doc__, model="clip-vit-b16", device="cpu", batch=8, precision=["bfloat16", "float32"], steps=5)
    options = parse(parser, model="clip-tiny", steps=2)
    record, measured = Record("step_profile", options), {}
    for precision in options.precision:
        ways = {"kept": True, "the system's choice": False} if options.device == "cpu" else {"kept": True}
        measured[precision] = ways = {
            way: in_process(steps, options.model, options.device, options.batch, options.steps, precision, keep)
            for way, keep in ways.items()
        }
        shares = sorted(ways["kept"]["shares"].items(), key=lambda item: -item[1])
        lines = [
            f"memory freed, {way}: {1e3 * values['seconds_per_step']:,.0f} ms a step, "
            f"{1e3 * values['cpu_seconds_per_step']:,.0f} ms of the processor, the system's "
            f"{1e3 * values['system_cpu_seconds_per_step']:,.0f} ms of it"
            for way, values in ways.items()
        ]
        rows = [[name, f"{100 * share:.1f} %", "#" * round(50 * share)] for name, share in shares]
        show_table((f"{precision}, batch {options.batch}", "share", ""), rows, *lines, width=110)
    record.save(precisions=measured)


if __name__ == "__main__":
    main()

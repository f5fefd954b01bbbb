"""A training step: our learner beside transformers' CLIPModel with the same weights, loss and AdamW.

    python -m benchmarks.train_step --out benchmarks/results/train_step.json
    python -m benchmarks.train_step --device cuda --batch 32 256 1024 --precision bfloat16 float16 \\
        [--compile reduce-overhead] --out benchmarks/results/train_step_cuda.json

Everything of one batch size runs in turns: ours and the peer's in each precision, the peer also padded to the longest
caption and with the fused AdamW ("tuned"), and a big matrix product, the limit. Ours gets uint8 pixels and normalises
them; the peer gets them normalised, on the device, and computes float32 products as torch does by itself. The share of
the limit is of the FLOPs that clipbench.clip.flops counts, which leave out what need not be computed; the peer computes
more, and that is not held in its favour.
"""

from __future__ import annotations

import gc
import statistics
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.made_batches import MODELS, make_job, make_pixels, make_tokens
from benchmarks.measuring import Record, arguments, copy_rate, in_turns, product_rates, ratio, synchronize
from benchmarks.peer import PeerStep, transformers_model, with_default_products
from clipbench.api.registry import load_registry
from clipbench.clip.flops import training_flops
from clipbench.runs.devices import pick_device
from clipbench_torch.inputs import longest
from clipbench_torch.learner import TorchLearner


def measure(
    name: str, device: Any, batch: int, precisions: list[str], rounds: int, compile: str | None, tuned: bool
) -> dict[str, Any]:
    """Medians of every way of taking a step on ``batch`` pairs, ratios, and shares of the limit."""
    config, kind = MODELS[name], device.name
    pixels, tokens = make_pixels(config, batch), make_tokens(config, batch)
    place = device.torch_device(0)
    learners = {p: TorchLearner(make_job(name, device, p, compile=compile)) for p in precisions}
    first = next(iter(learners.values()))
    model = transformers_model(config, first._model.state_dict()).to(place)
    ready = first._towers.normalise(torch.from_numpy(pixels).to(place)).contiguous()
    columns = torch.from_numpy(tokens).long().to(place)
    rates = product_rates(kind, sorted({"float32", *precisions}))
    best = {precision: 0.0 for precision in rates}

    def limit(precision: str) -> None:
        best[precision] = max(best[precision], rates[precision]())

    things = {f"ours {p}": lambda p=p: learners[p].train_step(pixels, tokens, 1e-6) for p in precisions}
    step = with_default_products(PeerStep(model))
    for p in precisions:
        things[f"peer {p}"] = lambda p=p: step(ready, columns, p)
        if tuned:
            things[f"peer tuned {p}"] = lambda p=p: step(ready, columns, p, tuned=True)
    things |= {f"limit {p}": lambda p=p: limit(p) for p in rates}
    taken = in_turns(things, rounds, lambda: synchronize(kind))
    flops = training_flops(config, batch, longest(torch.from_numpy(tokens)), batch)
    pairs = {
        name: {**times.to_dict(), "pairs_per_second": batch / statistics.median(times.wall)}
        for name, times in taken.items()
        if not name.startswith("limit")
    }
    return {
        "batch": batch,
        "longest_caption": longest(torch.from_numpy(tokens)),
        "flops_per_step": flops,
        "limit_flops": best,
        "steps": pairs,
        "ratios": {
            f"ours {p} / {peer} {q}": ratio(taken[f"{peer} {q}"], taken[f"ours {p}"])
            for p in precisions
            for q in dict.fromkeys(("float32", p))
            for peer in ("peer", "peer tuned")
            if f"{peer} {q}" in taken
        },
        # What no step can pass that computes what has to be computed, at the rate of the best product.
        "ratio_at_the_limit": {
            f"ours {p} / peer {q}": statistics.median(taken[f"peer {q}"].wall) * best[p] / flops
            for p in precisions
            for q in dict.fromkeys(("float32", p))
            if f"peer {q}" in taken
        },
        "share_of_limit": {
            p: {
                "of_its_own": flops / statistics.median(taken[f"ours {p}"].wall) / best[p],
                "of_float32": flops / statistics.median(taken[f"ours {p}"].wall) / best["float32"],
            }
            for p in precisions
        },
        "learner": {p: dict(learner.describe()) for p, learner in learners.items()},
    }


def show(console: Console, measured: dict) -> None:
    table = Table("batch", "step", "ms", "quartiles", "cpu ms", "pairs/s", "x peer (wall)", "(cpu)", "share of limit")
    for name, step in measured["steps"].items():
        who, precision = name.rsplit(" ", 1)
        against = measured["ratios"].get(f"ours {precision} / peer {precision}") if who == "ours" else None
        low, high = (1e3 * value for value in step["wall_seconds_quartiles"])
        share = measured["share_of_limit"][precision]["of_its_own"] if who == "ours" else None
        table.add_row(
            str(measured["batch"]), name, f"{1e3 * step['wall_seconds']:.0f}", f"{low:.0f} to {high:.0f}",
            f"{1e3 * step['cpu_seconds']:.0f}", f"{step['pairs_per_second']:.2f}",
            f"{against['wall']:.2f}" if against else "", f"{against['cpu']:.2f}" if against else "",
            f"{share:.2f}" if share else "",
        )  # fmt: skip
    console.print(table)
    for name, value in measured["ratios"].items():
        limit = measured["ratio_at_the_limit"].get(name)
        console.print(
            f"{name}: {value['wall']:.2f} x on the wall, {value['cpu']:.2f} x of the processor's time"
            + (f"; at the limit, {limit:.2f} x" if limit else "")
        )
    for precision, rate in measured["limit_flops"].items():
        console.print(f"limit, {precision} product: {rate / 1e9:,.0f} GFLOP/s")


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", choices=MODELS, default="clip-vit-b16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--compile", choices=["default", "reduce-overhead", "max-autotune"])
    parser.add_argument("--untuned", action="store_true", help="leave the tuned peer out")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.model, options.batch, options.rounds = "clip-tiny", [4], 2
    record, console = Record("train_step", options), Console(width=140)
    device = pick_device(load_registry(), "torch", options.device)
    device.select(0)
    measured = []
    for batch in options.batch:
        measured.append(
            measure(
                options.model, device, batch, options.precision, options.rounds, options.compile, not options.untuned
            )
        )
        show(console, measured[-1])
        # After every size: the big ones take long, and what was measured before stays measured.
        record.save(
            device=device.info().name, torch=torch.__version__, copy_bytes_per_second=copy_rate(), batches=measured
        )
        gc.collect()


if __name__ == "__main__":
    main()

"""A training step: our learner beside transformers' CLIPModel with the same weights, loss and AdamW.

    python -m benchmarks.train_step --out benchmarks/results/train_step.json
    python -m benchmarks.train_step --device cuda --batch 32 256 1024 --precision bfloat16 float16 \\
        [--compile reduce-overhead] --out benchmarks/results/train_step_cuda.json

Everything of one batch size runs in turns: ours and the peer's in each precision, the peer also padded to the longest
caption and with the fused AdamW ("tuned"), and a big matrix product, the limit. Ours gets uint8 pixels and normalises
them; the peer gets them normalised, on the device, and computes float32 products as torch does by itself. The share of
the limit is of the FLOPs that clipbench.clip.flops counts, which leave out what need not be computed; the peer computes
more, which does not count in its favour.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from benchmarks.harness import (
    MODELS,
    Record,
    Times,
    arguments,
    both_clocks,
    copy_rate,
    in_turns,
    make_batch,
    make_device,
    make_learner,
    parse,
    product_rates,
    ratio,
    show_table,
)
from benchmarks.peer import PeerStep, peer_batch, peer_of, with_default_products
from clipbench.clip.flops import training_flops
from clipbench_torch.device import TorchDevice
from clipbench_torch.model import Clip


def measure(options: argparse.Namespace, device: TorchDevice, batch: int) -> dict[str, Any]:
    """Take steps on ``batch`` pairs in every way, in turns; return times, ratios, and shares of the limit."""
    config, precisions = MODELS[options.model], options.precision
    pixels, tokens = make_batch(options.model, batch)
    place = device.torch_device
    learners = {p: make_learner(options.model, device, p, compile=options.compile) for p in precisions}
    first = learners[precisions[0]]
    step = with_default_products(PeerStep(peer_of(first, config, place)))
    ready, columns = peer_batch(first, pixels, tokens, place)
    rates = product_rates(device, sorted({"float32", *precisions}))
    best = dict.fromkeys(rates, 0.0)

    def limit(precision: str) -> None:
        best[precision] = max(best[precision], rates[precision]())

    things = {f"ours {p}": lambda p=p: learners[p].train_step(pixels, tokens, 1e-6) for p in precisions}
    for p in precisions:
        things[f"peer {p}"] = lambda p=p: step(ready, columns, p)
        if not options.untuned:
            things[f"peer tuned {p}"] = lambda p=p: step(ready, columns, p, tuned=True)
    things |= {f"limit {p}": lambda p=p: limit(p) for p in rates}
    taken = in_turns(things, options.rounds, device.synchronize)
    longest_caption = Clip.text_length(torch.from_numpy(tokens))
    flops = training_flops(config, batch, longest_caption, batch)
    return {
        "batch": batch,
        "longest_caption": longest_caption,
        "flops_per_step": flops,
        "limit_flops": best,
        "steps": {
            name: {**times.to_dict(), "pairs_per_second": batch / times.seconds}
            for name, times in taken.items()
            if not name.startswith("limit")
        },
        **compare(taken, precisions, flops, best),
        "learner": {p: dict(learner.describe()) for p, learner in learners.items()},
    }


def compare(
    taken: Mapping[str, Times], precisions: Sequence[str], flops: float, best: Mapping[str, float]
) -> dict[str, Any]:
    """Return our step's ratios to each peer's, and its share of the limit; ``best`` has the product rates."""
    compared = [
        (p, f"{peer} {q}")
        for p in precisions
        for q in dict.fromkeys(("float32", p))
        for peer in ("peer", "peer tuned")
        if f"{peer} {q}" in taken
    ]
    return {
        "ratios": {f"ours {p} / {peer}": ratio(taken[peer], taken[f"ours {p}"]) for p, peer in compared},
        # What no step can pass that computes what has to be computed, at the rate of the best product.
        "ratio_at_the_limit": {
            f"ours {p} / {peer}": taken[peer].seconds * best[p] / flops
            for p, peer in compared
            if not peer.startswith("peer tuned")
        },
        "share_of_limit": {
            p: {
                name: flops / taken[f"ours {p}"].seconds / best[q]
                for name, q in (("of_its_own", p), ("of_float32", "float32"))
            }
            for p in precisions
        },
    }


def show(measured: dict[str, Any]) -> None:
    rows = []
    for name, step in measured["steps"].items():
        who, precision = name.rsplit(" ", 1)
        low, high = (1e3 * value for value in step["wall_seconds_quartiles"])
        row = [str(measured["batch"]), name, f"{1e3 * step['wall_seconds']:.0f}", f"{low:.0f} to {high:.0f}"]
        row += [f"{1e3 * step['cpu_seconds']:.0f}", f"{step['pairs_per_second']:.2f}"]
        if who == "ours":
            row += both_clocks(measured["ratios"][f"ours {precision} / peer {precision}"])
            row.append(f"{measured['share_of_limit'][precision]['of_its_own']:.2f}")
        rows.append(row)
    lines = []
    for name, value in measured["ratios"].items():
        limit = measured["ratio_at_the_limit"].get(name)
        line = f"{name}: {value['wall']:.2f} x on the wall, {value['cpu']:.2f} x of the processor's time"
        lines.append(line + (f"; at the limit, {limit:.2f} x" if limit else ""))
    for precision, rate in measured["limit_flops"].items():
        lines.append(f"limit, {precision} product: {rate / 1e9:,.0f} GFLOP/s")
    head = ("batch", "step", "ms", "quartiles", "cpu ms", "pairs/s", "x peer (wall)", "(cpu)", "share of limit")
    show_table(head, rows, *lines, width=140)


def main() -> None:
    parser = arguments(
        __doc__, model="clip-vit-b16", device="cpu", batch=[8, 32], precision=["float32", "bfloat16"], rounds=5
    )
    parser.add_argument("--compile", choices=["default", "reduce-overhead", "max-autotune"])
    parser.add_argument("--untuned", action="store_true", help="leave the tuned peer out")
    options = parse(parser, model="clip-tiny", batch=[4], rounds=2)
    record, device, measured = Record("train_step", options), make_device(options.device), []
    for batch in options.batch:
        measured.append(measure(options, device, batch))
        show(measured[-1])
        # After every size: the big ones take long, and what was measured before stays measured.
        record.save(
            device=device.info().name, torch=torch.__version__, copy_bytes_per_second=copy_rate(), batches=measured
        )
        gc.collect()


if __name__ == "__main__":
    main()

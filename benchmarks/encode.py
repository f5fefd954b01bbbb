"""Evaluation: images and captions encoded by our learner beside transformers' CLIPModel with the same weights.

    python -m benchmarks.encode --out benchmarks/results/encode.json
    python -m benchmarks.encode --device cuda --images 1024 --image-batch 256 --text-batch 256 \\
        --out benchmarks/results/encode_cuda.json

Both in float32, five captions to an image. Ours takes captions sorted by length, as an evaluation does, and uint8
pixels, which it normalises; the peer takes all 77 columns in the order given, and pixels normalised on the device.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.made_batches import MODELS, make_job, make_pixels, make_tokens
from benchmarks.measuring import Record, arguments, in_turns, product_rates, ratio, synchronize
from benchmarks.peer import encode_images, encode_texts, transformers_model, with_default_products
from clipbench.api.registry import load_registry
from clipbench.clip.flops import image_flops, text_flops
from clipbench.runs.devices import pick_device
from clipbench_torch.learner import TorchLearner

CAPTIONS = 5


def batches(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", choices=MODELS, default="clip-vit-b16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--image-batch", type=int, default=16)
    parser.add_argument("--text-batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.quick:
        options.model, options.images, options.rounds = "clip-tiny", 8, 2
    record, console, config = Record("encode", options), Console(width=120), MODELS[options.model]
    device = pick_device(load_registry(), "torch", options.device)
    device.select(0)
    learner = TorchLearner(make_job(options.model, device, "float32"))
    place = device.torch_device(0)
    model = transformers_model(config, learner._model.state_dict()).to(place).eval()
    pixels, tokens = make_pixels(config, options.images), make_tokens(config, CAPTIONS * options.images)
    order = np.argsort((tokens != 0).sum(axis=1), kind="stable")
    ready = learner._towers.normalise(torch.from_numpy(pixels).to(place)).contiguous()
    columns = torch.from_numpy(tokens).long().to(place)
    images, texts = batches(len(pixels), options.image_batch), batches(len(tokens), options.text_batch)

    @with_default_products
    def theirs(encode: Callable, inputs: torch.Tensor, rows: list[slice]) -> np.ndarray:
        with torch.inference_mode():
            return torch.cat([encode(model, inputs[part]) for part in rows]).cpu().numpy()

    things = {
        "ours, images": lambda: learner.gather([learner.encode_images(pixels[part]) for part in images]),
        "ours, texts": lambda: learner.gather([learner.encode_texts(tokens[order[part]]) for part in texts]),
        "peer, images": lambda: theirs(encode_images, ready, images),
        "peer, texts": lambda: theirs(encode_texts, columns, texts),
    }
    for side, unsorted in (("images", slice(None)), ("texts", order)):
        np.testing.assert_allclose(things[f"ours, {side}"](), things[f"peer, {side}"]()[unsorted], atol=2e-4)
    rate, best = product_rates(device.name, ["float32"])["float32"], [0.0]
    things["limit"] = lambda: best.append(rate())
    taken = in_turns(things, options.rounds, lambda: synchronize(device.name))
    taken |= {
        f"{who}, both": type(taken["ours, texts"])(
            [a + b for a, b in zip(taken[f"{who}, images"].wall, taken[f"{who}, texts"].wall, strict=True)],
            [a + b for a, b in zip(taken[f"{who}, images"].cpu, taken[f"{who}, texts"].cpu, strict=True)],
        )
        for who in ("ours", "peer")
    }
    # Counted at each batch's own length, which is what need be computed.
    longest = [int((tokens[order[part]] != 0).sum(axis=1).max()) for part in texts]
    flops = {
        "images": len(pixels) * image_flops(config),
        "texts": sum(
            len(order[part]) * text_flops(config, length) for part, length in zip(texts, longest, strict=True)
        ),
    }
    flops["both"] = sum(flops.values())
    ratios = {side: ratio(taken[f"peer, {side}"], taken[f"ours, {side}"]) for side in flops}
    shares = {side: flops[side] / taken[f"ours, {side}"].to_dict()["wall_seconds"] / max(best) for side in flops}
    table = Table("what", "ours, ms", "peer, ms", "x faster (wall)", "(cpu)", "share of limit")
    for side in flops:
        ours, peer = (taken[f"{who}, {side}"].to_dict()["wall_seconds"] for who in ("ours", "peer"))
        table.add_row(
            side, f"{1e3 * ours:.0f}", f"{1e3 * peer:.0f}", f"{ratios[side]['wall']:.2f}",
            f"{ratios[side]['cpu']:.2f}", f"{shares[side]:.2f}",
        )  # fmt: skip
    console.print(table, f"limit, float32 product: {max(best) / 1e9:,.0f} GFLOP/s")
    record.save(
        device=device.info().name,
        torch=torch.__version__,
        images=len(pixels),
        captions=len(tokens),
        limit_flops=max(best),
        times={name: times.to_dict() for name, times in taken.items() if name != "limit"},
        ratios=ratios,
        share_of_limit=shares,
        learner=dict(learner.describe()),
    )


if __name__ == "__main__":
    main()

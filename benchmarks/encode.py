"""Evaluation: images and captions encoded by our learner beside transformers' CLIPModel with the same weights.

    python -m benchmarks.encode --out benchmarks/results/encode.json
    python -m benchmarks.encode --device cuda --images 1024 --image-batch 256 --text-batch 256 \\
        --out benchmarks/results/encode_cuda.json

Both in float32, five captions to an image. Ours takes captions sorted by length, as an evaluation does, and uint8
pixels, which it normalises; the peer takes all 77 columns in the order given, and pixels normalised on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch

from benchmarks.harness import (
    MODELS,
    Record,
    arguments,
    both_clocks,
    in_turns,
    make_device,
    make_learner,
    make_pixels,
    make_tokens,
    parse,
    product_rates,
    ratio,
    show_table,
    times_data,
)
from benchmarks.peer import encode_images, encode_texts, peer_batch, peer_of, with_default_products
from clipbench.clip.config import ClipConfig
from clipbench.clip.flops import image_flops, text_flops

CAPTIONS = 5


def batches(count: int, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, count, size)]


def needed_flops(config: ClipConfig, images: int, texts: Iterable[np.ndarray]) -> dict[str, int]:
    """Return the FLOPs of encoding ``images`` images and ``texts``, batches of token ids at their longest caption."""
    lengths = [(len(batch), int((batch != 0).sum(axis=1).max())) for batch in texts]
    flops = {
        "images": images * image_flops(config),
        "texts": sum(size * text_flops(config, longest) for size, longest in lengths),
    }
    return {**flops, "both": sum(flops.values())}


def main() -> None:
    parser = arguments(__doc__, model="clip-vit-b16", device="cpu", images=32, image_batch=16, text_batch=32, rounds=5)
    options = parse(parser, model="clip-tiny", images=8, rounds=2)
    record, config = Record("encode", options), MODELS[options.model]
    device = make_device(options.device)
    learner = make_learner(options.model, device, "float32")
    place = device.torch_device
    model = peer_of(learner, config, place).eval()
    pixels, tokens = make_pixels(config, options.images), make_tokens(config, CAPTIONS * options.images)
    order = np.argsort((tokens != 0).sum(axis=1), kind="stable")
    ready, columns = peer_batch(learner, pixels, tokens, place)
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
    rate, best = product_rates(device, ["float32"])["float32"], [0.0]
    things["limit"] = lambda: best.append(rate())
    taken = in_turns(things, options.rounds, device.synchronize)
    del taken["limit"]
    taken |= {f"{who}, both": taken[f"{who}, images"] + taken[f"{who}, texts"] for who in ("ours", "peer")}
    flops = needed_flops(config, len(pixels), [tokens[order[part]] for part in texts])
    ratios = {side: ratio(taken[f"peer, {side}"], taken[f"ours, {side}"]) for side in flops}
    shares = {side: flops[side] / taken[f"ours, {side}"].seconds / max(best) for side in flops}
    rows = [
        [
            side,
            *(f"{1e3 * taken[f'{who}, {side}'].seconds:.0f}" for who in ("ours", "peer")),
            *both_clocks(ratios[side]),
            f"{shares[side]:.2f}",
        ]
        for side in flops
    ]
    head = ("what", "ours, ms", "peer, ms", "x faster (wall)", "(cpu)", "share of limit")
    show_table(head, rows, f"limit, float32 product: {max(best) / 1e9:,.0f} GFLOP/s", width=120)
    record.save(
        device=device.info().name,
        torch=torch.__version__,
        images=len(pixels),
        captions=len(tokens),
        limit_flops=max(best),
        times=times_data(taken),
        ratios=ratios,
        share_of_limit=shares,
        learner=dict(learner.describe()),
    )


if __name__ == "__main__":
    main()

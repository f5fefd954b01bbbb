"""The input pipeline beside the plain transform: training and evaluation images, on one core and with workers.

    CLIPBENCH_DATA=DATA python -m benchmarks.loader [--quick] [--out benchmarks/results/loader.json]

Uses the photographs under CLIPBENCH_DATA, else pictures that it draws. The plain way is written from the recipe's words
and normalises on the host, as the recipe does; ours returns uint8. That both give the same pixels is checked first.
A second evaluation finds the pixels in the cache: normalised on the host, or handed to the device as they are.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.harness import (
    Record,
    Times,
    arguments,
    copy_rate,
    in_turns,
    make_device,
    parse,
    ratio,
    show_table,
    times_data,
)
from benchmarks.plain_transform import eval_pixels, normalised, train_pixels
from clipbench.clip.config import CLIP_VIT_B16
from clipbench.clip.transforms import draw_augmentation, eval_transform, train_transform
from clipbench.training.evaluating.image_cache import ImageCache
from clipbench.training.sampling import Stream, rng
from clipbench_torch.engine import TorchEngine
from clipbench_torch.towers import pixel_normalisation

SIZE = CLIP_VIT_B16.image_size
BATCH = 32


@dataclass(frozen=True)
class Ours:
    """One visit by our transforms: pixels uint8 (size, size, 3)."""

    files: tuple[Path, ...]
    train: bool

    def __call__(self, index: int) -> tuple[np.ndarray]:
        with Image.open(self.files[index]) as image:
            if self.train:
                return (train_transform(image, SIZE, rng(0, Stream.AUGMENTATION, 0, index)),)
            return (eval_transform(image, SIZE),)


@dataclass(frozen=True)
class Plain:
    """The same visit by the plain transforms; ``ready``: normalised float32 (3, size, size)."""

    files: tuple[Path, ...]
    train: bool
    ready: bool = True

    def __call__(self, index: int) -> tuple[np.ndarray]:
        with Image.open(self.files[index]) as image:
            if self.train:
                drawn = draw_augmentation(rng(0, Stream.AUGMENTATION, 0, index), *image.size)
                pixels = train_pixels(image, drawn, SIZE)
            else:
                pixels = eval_pixels(image, SIZE)
        return (normalised(pixels, CLIP_VIT_B16) if self.ready else pixels,)


def find_files(count: int, folder: Path) -> tuple[Path, ...]:
    """Return photographs where there are any, else draw pictures of their size in ``folder``."""
    root = os.environ.get("CLIPBENCH_DATA")
    photographs = sorted(Path(root).glob("datasets/flickr8k-images/*.jpg"))[:count] if root else []
    if photographs:
        return tuple(photographs)
    draws = np.random.default_rng(0)
    for index in range(count):
        small = Image.fromarray(draws.integers(0, 256, (30, 40, 3), np.uint8))
        small.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{index}.jpg", quality=90)
    return tuple(sorted(folder.glob("*.jpg")))


def visit_all(fetch: Callable[[int], tuple[np.ndarray]], count: int) -> Callable[[], None]:
    """Return a call that fetches every image once."""

    def run() -> None:
        for index in range(count):
            fetch(index)

    return run


def times_faster(taken: dict[str, Times]) -> dict[str, dict]:
    """Return how many times faster than the plain way each of the others is."""
    return {name: ratio(taken["plain"], times) for name, times in taken.items() if name != "plain"}


def one_core(files: tuple[Path, ...], rounds: int) -> dict:
    """Return images per second and core of both transforms, after checking that their pixels are the same."""
    measured = {}
    for kind, train in (("training", True), ("evaluation", False)):
        ours, plain = Ours(files, train), Plain(files, train)
        same = Plain(files, train, ready=False)
        for index in range(len(files)):
            assert np.array_equal(ours(index)[0], same(index)[0]), (kind, files[index])
        taken = in_turns({"ours": visit_all(ours, len(files)), "plain": visit_all(plain, len(files))}, rounds)
        measured[kind] = {
            "images_per_cpu_second": {name: len(files) / times.cpu_seconds for name, times in taken.items()},
            "ratio": times_faster(taken)["ours"],
            "identical_images": len(files),
            "times": times_data(taken),
        }
    return measured


def with_workers(files: tuple[Path, ...], rounds: int, workers: int) -> dict:
    """Return images per second, on the wall, through the loader with so many persistent processes, in batches."""
    visits = [index % len(files) for index in range(max(len(files), 8 * BATCH))]
    keys = [visits[start : start + BATCH] for start in range(0, len(visits), BATCH)]
    engine, device = TorchEngine(), make_device("cpu")
    loaders = {
        name: engine.loader(way(files, True), workers, device) for name, way in (("ours", Ours), ("plain", Plain))
    }
    try:
        taken = in_turns(
            {name: lambda loader=loader: list(loader.batches(keys)) for name, loader in loaders.items()}, rounds
        )
    finally:
        for loader in loaders.values():
            loader.close()
    return {
        "workers": workers,
        "images_per_second": {name: len(visits) / times.seconds for name, times in taken.items()},
        "ratio": {"wall": times_faster(taken)["ours"]["wall"]},
    }


def second_evaluation(files: tuple[Path, ...], rounds: int) -> dict:
    """Return times of the input of a second evaluation: from the cache, in memory and in a file, and transformed."""
    ours = Ours(files, False)
    batches = [range(start, min(start + BATCH, len(files))) for start in range(0, len(files), BATCH)]
    pixels = [np.stack([ours(index)[0] for index in batch]) for batch in batches]
    with tempfile.TemporaryDirectory() as folder:
        memory, file = ImageCache(1 << 40, None), ImageCache(1, Path(folder))
        for cache in (memory, file):
            for batch in pixels:
                cache.add(batch)
            cache.finish()
        # Every byte is touched, as by a copy to a device.
        target = np.empty_like(pixels[0])
        scale, shift = pixel_normalisation(CLIP_VIT_B16, torch.device("cpu"))

        def to_device(cache: ImageCache) -> None:
            for batch in cache.batches():
                np.copyto(target[: len(batch)], batch)

        def normalise(cache: ImageCache) -> None:
            for batch in cache.batches():
                torch.from_numpy(np.array(batch)).to(torch.float32).mul_(scale).sub_(shift)  # as the learner does

        taken = in_turns(
            {
                "plain": visit_all(Plain(files, False), len(files)),
                "from memory, to the device": functools.partial(to_device, memory),
                "from a file, to the device": functools.partial(to_device, file),
                "from memory, normalised on the host": functools.partial(normalise, memory),
            },
            rounds,
        )
        return {"times": times_data(taken), "ratios": times_faster(taken)}


def main() -> None:
    options = parse(arguments(__doc__, images=128, workers=2), images=16)
    rounds = 2 if options.quick else 5
    record = Record("loader", options)
    with tempfile.TemporaryDirectory() as folder:
        files = find_files(options.images, Path(folder))
        alone = one_core(files, rounds)
        helped = with_workers(files, rounds, options.workers)
        again = second_evaluation(files, rounds)
    rows = []
    for kind, side in alone.items():
        rates = (f"{side['images_per_cpu_second'][name]:.0f}" for name in ("ours", "plain"))
        ratios = (f"{side['ratio'][clock]:.2f}" for clock in ("cpu", "wall"))
        rows.append([f"{kind}, images per second and core", *rates, *ratios])
    rates = (f"{helped['images_per_second'][name]:.0f}" for name in ("ours", "plain"))
    named = f"training, {options.workers} workers, images per second"
    rows.append([named, *rates, "", f"{helped['ratio']['wall']:.2f}"])
    for name, faster in again["ratios"].items():
        rows.append([f"second evaluation, {name}", "", "", f"{faster['cpu']:.0f}", f"{faster['wall']:.0f}"])
    head = ("input", "ours", "plain", "x faster (cpu)", "(wall)")
    show_table(head, rows, f"{len(files)} pictures: pixels bit for bit the same", width=120)
    record.save(
        pictures="photographs" if os.environ.get("CLIPBENCH_DATA") else "drawn",
        images=len(files),
        copy_bytes_per_second=copy_rate(),
        one_core=alone,
        with_workers=helped,
        second_evaluation=again,
    )


if __name__ == "__main__":
    # By its own name, under which loader processes can import what they fetch with.
    from benchmarks import loader

    loader.main()

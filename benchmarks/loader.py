"""The input pipeline beside the plain transform: training and evaluation images, one core and with workers.

    CLIPBENCH_DATA=DATA python -m benchmarks.loader [--quick] [--out benchmarks/results/loader.json]

Uses the photographs under CLIPBENCH_DATA, else pictures that it draws. The plain way is written from the recipe's words
and normalises on the host, as that does; ours hands on uint8. That both give the same pixels is checked first.
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
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Record, arguments, copy_rate, in_turns, ratio
from benchmarks.plain_transform import eval_pixels, normalised, train_pixels
from clipbench.clip.config import CLIP_VIT_B16
from clipbench.clip.transforms import draw_augmentation, eval_transform, train_transform
from clipbench.training.image_cache import ImageCache
from clipbench.training.sampling import Stream, rng
from clipbench_torch.loader import TorchLoader
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
    """Photographs where there are any, else drawn pictures of their size, in ``folder``."""
    root = os.environ.get("CLIPBENCH_DATA")
    found = sorted(Path(root).glob("datasets/flickr8k-images/*.jpg"))[:count] if root else []
    if found:
        return tuple(found)
    draws = np.random.default_rng(0)
    for index in range(count):
        small = Image.fromarray(draws.integers(0, 256, (30, 40, 3), np.uint8))
        small.resize((500, 375), Image.Resampling.BICUBIC).save(folder / f"{index}.jpg", quality=90)
    return tuple(sorted(folder.glob("*.jpg")))


def run_all(fetch: Callable[[int], tuple[np.ndarray]], count: int) -> None:
    for index in range(count):
        fetch(index)


def one_core(files: tuple[Path, ...], rounds: int) -> dict:
    """Images per second and core of both transforms, and that their pixels are the same."""
    measured = {}
    for kind, train in (("training", True), ("evaluation", False)):
        ours, plain = Ours(files, train), Plain(files, train)
        same = Plain(files, train, ready=False)
        for index in range(len(files)):
            assert np.array_equal(ours(index)[0], same(index)[0]), (kind, files[index])
        things = {
            "ours": functools.partial(run_all, ours, len(files)),
            "plain": functools.partial(run_all, plain, len(files)),
        }
        taken = in_turns(things, rounds)
        rates = {name: len(files) / times.to_dict()["cpu_seconds"] for name, times in taken.items()}
        measured[kind] = {
            "images_per_cpu_second": rates,
            "ratio": ratio(taken["plain"], taken["ours"]),
            "identical_images": len(files),
            "times": {name: times.to_dict() for name, times in taken.items()},
        }
    return measured


def with_workers(files: tuple[Path, ...], rounds: int, workers: int) -> dict:
    """Both through the loader with so many persistent processes, in batches: images per second on the wall."""
    visits = [index % len(files) for index in range(max(len(files), 8 * BATCH))]
    keys = [visits[start : start + BATCH] for start in range(0, len(visits), BATCH)]
    loaders = {"ours": TorchLoader(Ours(files, True), workers), "plain": TorchLoader(Plain(files, True), workers)}
    try:
        taken = in_turns(
            {name: lambda loader=loader: list(loader.batches(keys)) for name, loader in loaders.items()}, rounds
        )
    finally:
        for loader in loaders.values():
            loader.close()
    return {
        "workers": workers,
        "images_per_second": {name: len(visits) / times.to_dict()["wall_seconds"] for name, times in taken.items()},
        "ratio": {"wall": ratio(taken["plain"], taken["ours"])["wall"]},
    }


def second_evaluation(files: tuple[Path, ...], rounds: int) -> dict:
    """The input of a second evaluation from the cache, in memory and spilt to a file, beside the plain transform."""
    ours, plain = Ours(files, False), Plain(files, False)
    batches = [range(start, min(start + BATCH, len(files))) for start in range(0, len(files), BATCH)]
    pixels = [np.stack([ours(index)[0] for index in batch]) for batch in batches]
    with tempfile.TemporaryDirectory() as folder:
        caches = {"memory": ImageCache(1 << 40, None), "file": ImageCache(1, Path(folder))}
        for cache in caches.values():
            for batch in pixels:
                cache.add(batch)
            cache.finish()
        # Every byte is touched, as by a copy to a device.
        target = np.empty_like(pixels[0])
        scale, shift = pixel_normalisation(CLIP_VIT_B16, torch.device("cpu"))

        def handed_on(cache: ImageCache) -> None:
            for batch in cache.batches():
                np.copyto(target[: len(batch)], batch)

        def on_the_host(cache: ImageCache) -> None:
            for batch in cache.batches():
                torch.from_numpy(np.array(batch)).to(torch.float32).mul_(scale).sub_(shift)  # as the learner does

        taken = in_turns(
            {
                "plain": functools.partial(run_all, plain, len(files)),
                "from memory, to the device": functools.partial(handed_on, caches["memory"]),
                "from a file, to the device": functools.partial(handed_on, caches["file"]),
                "from memory, normalised on the host": functools.partial(on_the_host, caches["memory"]),
            },
            rounds,
        )
        return {
            "times": {name: times.to_dict() for name, times in taken.items()},
            "ratios": {name: ratio(taken["plain"], times) for name, times in taken.items() if name != "plain"},
        }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--images", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    rounds = 2 if options.quick else 5
    record, console = Record("loader", options), Console(width=120)
    with tempfile.TemporaryDirectory() as folder:
        files = find_files(16 if options.quick else options.images, Path(folder))
        alone = one_core(files, rounds)
        helped = with_workers(files, rounds, options.workers)
        again = second_evaluation(files, rounds)
    table = Table("input", "ours", "plain", "x faster (cpu)", "(wall)")
    for kind, found in alone.items():
        rates = found["images_per_cpu_second"]
        table.add_row(
            f"{kind}, images per second and core", f"{rates['ours']:.0f}", f"{rates['plain']:.0f}",
            f"{found['ratio']['cpu']:.2f}", f"{found['ratio']['wall']:.2f}",
        )  # fmt: skip
    rates = helped["images_per_second"]
    table.add_row(
        f"training, {options.workers} workers, images per second", f"{rates['ours']:.0f}", f"{rates['plain']:.0f}",
        "", f"{helped['ratio']['wall']:.2f}",
    )  # fmt: skip
    for name, found in again["ratios"].items():
        table.add_row(f"second evaluation, {name}", "", "", f"{found['cpu']:.0f}", f"{found['wall']:.0f}")
    console.print(table, f"{len(files)} pictures: pixels bit for bit the same")
    record.save(
        pictures="photographs" if os.environ.get("CLIPBENCH_DATA") else "drawn",
        images=len(files),
        copy_bytes_per_second=copy_rate(),
        one_core=alone,
        with_workers=helped,
        second_evaluation=again,
    )


if __name__ == "__main__":
    main()

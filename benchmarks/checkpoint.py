"""What a checkpoint costs: its rate beside the disk's own, the memory it takes, and how long verifying it does.

    python -m benchmarks.checkpoint [--quick] [--folder FOLDER] [--out benchmarks/results/checkpoint.json]

The state is that of a ViT-B/16 with AdamW, filled with random numbers; with --quick, of clip-tiny. The disk's own rate
is that of one sequential write of the same bytes and an fsync, measured in turns with saving. Saving is all that a run
waits for: hashing, fsyncs, renames, and the removal of the checkpoint that is no longer kept.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.harness import MODELS, Record, arguments, parse, show_table
from clipbench.api import LearnerState, TensorRef
from clipbench.files.disk import size_text
from clipbench.results.environment import peak_host_memory
from clipbench.training import checkpoints

ROUNDS = 7
PIECE = 16 << 20


def make_arrays(model: str) -> dict[str, np.ndarray]:
    """Return parameters and AdamW's two moments and counts of steps, under a learner's names."""
    import torch

    from clipbench_torch.model import Clip

    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Clip(MODELS[model]).named_parameters()}
    draws = np.random.default_rng(0)

    def random(shape: tuple[int, ...]) -> np.ndarray:
        return draws.random(shape, dtype=np.float32)

    arrays = {f"model.{name}": random(shape) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        arrays |= {f"optimizer.{name}.{key}": random(shape) for key in ("exp_avg", "exp_avg_sq")}
        arrays[f"optimizer.{name}.step"] = np.float32(1).reshape(())
    return arrays


def write_plainly(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the same bytes from the same memory into one file, and on to the disk."""
    with path.open("wb", buffering=0) as file:
        for array in arrays.values():
            data = array.reshape(-1).view(np.uint8).data
            for start in range(0, len(data), PIECE):
                file.write(data[start : start + PIECE])
        os.fsync(file.fileno())


def seconds_of(work: Callable[[], object]) -> float:
    os.sync()  # what other programs have left to write must not be waited for here
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure(folder: Path, model: str) -> dict[str, object]:
    arrays = make_arrays(model)
    tensors = {name: TensorRef(array.dtype, array.shape, lambda array=array: array) for name, array in arrays.items()}
    state = LearnerState(tensors, {"steps": 1})
    size = sum(array.nbytes for array in arrays.values())
    plain, saving, before = [], [], peak_host_memory()
    for turn in range(ROUNDS):
        path = folder / "plain"
        plain.append(seconds_of(lambda path=path: write_plainly(path, arrays)))
        path.unlink()
        name = f"step-{turn:08d}"
        saving.append(seconds_of(lambda name=name: checkpoints.save(folder / "kept", name, state, {}, None)))
    more = peak_host_memory() - before
    verifying = seconds_of(lambda: checkpoints.latest(folder / "kept"))
    ratios = [own / ours for own, ours in zip(plain, saving, strict=True)]
    return {
        "bytes": size,
        "tensors": len(arrays),
        "plain_seconds": plain,
        "save_seconds": saving,
        "plain_bytes_per_second": size / statistics.median(plain),
        "save_bytes_per_second": size / statistics.median(saving),
        "save_of_plain_rate": statistics.median(ratios),
        "save_of_plain_rate_range": [min(ratios), max(ratios)],
        "save_extra_memory_bytes": more,
        "verify_seconds": verifying,
    }


def main() -> None:
    parser = arguments(__doc__, model="clip-vit-b16")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to write; on the disk that is meant")
    options = parse(parser, model="clip-tiny")
    record = Record("checkpoint", options)
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="checkpoint-") as folder:
        measured = measure(Path(folder), options.model)
    low, high = measured["save_of_plain_rate_range"]
    rows = [
        ["sequential write and fsync", f"{size_text(round(measured['plain_bytes_per_second']))}/s"],
        ["saving", f"{size_text(round(measured['save_bytes_per_second']))}/s"],
        ["saving, of the disk's own rate", f"{measured['save_of_plain_rate']:.0%} ({low:.0%} to {high:.0%})"],
        ["host memory for saving", size_text(measured["save_extra_memory_bytes"])],
        ["verifying (file in the system's cache)", f"{measured['verify_seconds']:.2f} s"],
    ]
    title = f"{size_text(measured['bytes'])} in {measured['tensors']} tensors"
    show_table(("what", "measured"), rows, title=title)
    record.save(**measured)


if __name__ == "__main__":
    main()

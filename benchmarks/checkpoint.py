"""What a checkpoint costs: its rate beside the disk's own, the memory it takes, and how long verifying it does.

    python -m benchmarks.checkpoint [--quick] [--folder FOLDER] [--out benchmarks/results/checkpoint.json]

The state is that of a ViT-B/16 with AdamW, filled with random numbers; with --quick, of clip-tiny. The disk's own rate
is that of one sequential write of the same bytes and an fsync, measured in turns with saving. Saving is all that a run
waits for: hashing, fsyncs, renames, and the removal of the checkpoint that is no longer kept.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clipbench.api import LearnerState, TensorRef
from clipbench.clip.config import CLIP_TINY, CLIP_VIT_B16
from clipbench.files.disk import size_text
from clipbench.files.json_file import write_json
from clipbench.results.environment import machine, source_version
from clipbench.results.result import utc_now
from clipbench.training import checkpoints

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 7
PIECE = 16 << 20


def make_arrays(quick: bool) -> dict[str, np.ndarray]:
    """Parameters and AdamW's two moments and counts of steps, under a learner's names."""
    import torch

    from clipbench_torch.model import Clip

    with torch.device("meta"):
        shapes = {
            name: tuple(value.shape) for name, value in Clip(CLIP_TINY if quick else CLIP_VIT_B16).named_parameters()
        }
    draws = np.random.default_rng(0)

    def random(shape: tuple[int, ...]) -> np.ndarray:
        return draws.random(shape, dtype=np.float32)

    arrays = {f"model.{name}": random(shape) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        arrays |= {f"optimizer.{name}.{key}": random(shape) for key in ("exp_avg", "exp_avg_sq")}
        arrays[f"optimizer.{name}.step"] = np.float32(1).reshape(())
    return arrays


def write_plainly(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """The same bytes from the same memory into one file, and on to the disk."""
    with path.open("wb", buffering=0) as file:
        for array in arrays.values():
            data = array.reshape(-1).view(np.uint8).data
            for start in range(0, len(data), PIECE):
                file.write(data[start : start + PIECE])
        os.fsync(file.fileno())


def seconds_of(work: Callable[[], object]) -> float:
    os.sync()  # what others have left to write is not ours to wait for
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def memory_peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(folder: Path, quick: bool) -> dict[str, object]:
    arrays = make_arrays(quick)
    tensors = {name: TensorRef(array.dtype, array.shape, lambda array=array: array) for name, array in arrays.items()}
    state = LearnerState(tensors, {"steps": 1})
    size = sum(array.nbytes for array in arrays.values())
    plain, saving, before = [], [], memory_peak()
    for turn in range(ROUNDS):
        path = folder / "plain"
        plain.append(seconds_of(lambda path=path: write_plainly(path, arrays)))
        path.unlink()
        name = f"step-{turn:08d}"
        saving.append(seconds_of(lambda name=name: checkpoints.save(folder / "kept", name, state, {}, None)))
    more = memory_peak() - before
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
    from rich.console import Console
    from rich.table import Table

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the state of clip-tiny")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to write; on the disk that is meant")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="checkpoint-") as folder:
        measured = measure(Path(folder), options.quick)
    low, high = measured["save_of_plain_rate_range"]
    table = Table("what", "measured", title=f"{size_text(measured['bytes'])} in {measured['tensors']} tensors")
    table.add_row("sequential write and fsync", f"{size_text(round(measured['plain_bytes_per_second']))}/s")
    table.add_row("saving", f"{size_text(round(measured['save_bytes_per_second']))}/s")
    table.add_row("saving, of the disk's own rate", f"{measured['save_of_plain_rate']:.0%} ({low:.0%} to {high:.0%})")
    table.add_row("host memory for saving", size_text(measured["save_extra_memory_bytes"]))
    table.add_row("verifying (file in the system's cache)", f"{measured['verify_seconds']:.2f} s")
    Console().print(table)
    if options.out:
        commit, dirty = source_version()
        write_json(
            options.out,
            {
                "benchmark": "checkpoint",
                "when": utc_now(),
                "commit": commit,
                "dirty": dirty,
                "machine": machine(),
                **measured,
            },
        )


if __name__ == "__main__":
    main()

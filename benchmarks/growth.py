"""How costs grow: with the batch, evaluation images, entries of an annotation file, and ranks.

    python -m benchmarks.growth [--quick] [--only batch images entries captions results ranks]
        [--out benchmarks/results/growth.json]

The exponent is the slope of the logarithms from the first size that takes at least a tenth of a second: 1 is linear.
Ranks share the cores of one machine here, so this is what they cost and not what more devices gain.
"""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.made_batches import make_job, make_pixels, make_tokens
from benchmarks.measuring import Record, arguments
from clipbench.clip.config import CLIP_TINY
from clipbench.results.environment import peak_host_memory

BAR = 40
RESULT = Path(__file__).parent / "results" / "quickstart.json"
SIZES = {
    "batch": [8, 16, 32, 64, 128, 256, 512],
    "images": [1_000, 2_000, 4_000, 8_000, 16_000, 31_000],
    "entries": [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000],
    "captions": [1_000, 10_000, 100_000, 1_000_000],
    "results": [10, 100, 1_000, 2_000],
    "ranks": [1, 2, 3, 4],
}
SMALL = {
    "batch": [8, 32], "images": [100, 1_000], "entries": [1, 100, 10_000], "captions": [100, 1_000], "results": [2, 10],
    "ranks": [1, 2],
}  # fmt: skip
CAPTION = "a dog runs over the wet grass with a ball"


def least_cpu(run: Callable[[], object], times: int = 3) -> float:
    """Least seconds of the processor over some runs, which a busy machine changes least."""
    taken = []
    for _ in range(times):
        begun = time.process_time()
        run()
        taken.append(time.process_time() - begun)
    return min(taken)


def of_batch(size: int) -> dict[str, float]:
    """One training step of clip-tiny on ``size`` pairs."""
    from clipbench_torch.device import CpuDevice
    from clipbench_torch.learner import TorchLearner

    learner = TorchLearner(make_job("clip-tiny", CpuDevice(), "float32"))
    pixels, tokens = make_pixels(CLIP_TINY, size), make_tokens(CLIP_TINY, size)
    learner.train_step(pixels, tokens, 1e-4)
    return {"cpu_seconds": least_cpu(lambda: learner.train_step(pixels, tokens, 1e-4), 5)}


def of_images(size: int) -> dict[str, float]:
    """Ranks of ``size`` images and five captions each, from features of width 512."""
    from clipbench.training.retrieval import ranks_from_features

    draws = np.random.default_rng(0)
    images, texts = (draws.standard_normal((count, 512), np.float32) for count in (size, 5 * size))
    owner = np.repeat(np.arange(size), 5)
    return {"cpu_seconds": least_cpu(lambda: ranks_from_features(images, texts, owner), 1)}


def of_entries(size: int) -> dict[str, float]:
    """Reading an annotation file of ``size`` entries with five captions each."""
    from clipbench_flickr8k.annotations import read_annotations

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "entries.json"
        entries = ({"image": f"{n}.jpg", "caption": [f"{CAPTION} {n}"] * 5} for n in range(size))
        path.write_text(json.dumps(list(entries)), encoding="utf-8")
        before, begun = peak_host_memory() or 0, time.process_time()
        read_annotations(path)
        return {
            "cpu_seconds": time.process_time() - begun,
            "file_bytes": path.stat().st_size,
            "added_peak_bytes": (peak_host_memory() or 0) - before,
        }


def of_captions(size: int) -> dict[str, float]:
    """Cleaning and tokenising ``size`` captions of some thousand words, as a run does before its first step."""
    from clipbench.clip.captions import clean_caption
    from clipbench.clip.tokenizer import Tokenizer

    package, _, name = CLIP_TINY.vocabulary.partition(":")
    vocabulary = files(package) / name
    texts = [f"{CAPTION} {n % 5_000}" for n in range(size)]
    begun = time.process_time()
    Tokenizer(str(vocabulary)).encode([clean_caption(text) for text in texts])
    return {"cpu_seconds": time.process_time() - begun}


def of_results(size: int) -> dict[str, float]:
    """Comparing ``size`` results of 1,000 images with five captions each."""
    from compare import write_copies

    from clipbench.compare.gate import Request, judge
    from clipbench.results.result import read_result

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = read_result(RESULT)
        write_copies(result, folder, size, 1_000)
        before, begun = peak_host_memory() or 0, time.process_time()
        judgement = judge(Request((folder,), reference=str(result["reference"])))
        assert len(judgement.comparisons) == size, judgement.problems
        return {
            "cpu_seconds": time.process_time() - begun,
            "file_bytes": sum(path.stat().st_size for path in folder.iterdir()),
            "added_peak_bytes": (peak_host_memory() or 0) - before,
        }


def of_ranks(size: int) -> dict[str, float]:
    """Ten steps of clip-tiny on 48 pairs shared by ``size`` ranks of one thread each: all ranks' time per step."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.growth", "rank", str(rank), str(size)],
            env=environment, stdout=subprocess.PIPE, text=True,
        )
        for rank in range(size)
    ]  # fmt: skip
    told = [json.loads(rank.communicate()[0].splitlines()[-1]) for rank in ranks]
    return {"cpu_seconds": sum(told)}


def rank_steps(rank: int, size: int) -> float:
    """What one rank takes per step, of the processor."""
    from clipbench.api import LossConfig, World
    from clipbench_torch.device import CpuDevice
    from clipbench_torch.engine import TorchEngine

    world, engine, device = World(rank, rank, size), TorchEngine(), CpuDevice()
    group = engine.join(device, world, 60.0) if size > 1 else None
    learner = engine.learner(make_job("clip-tiny", device, "float32", loss=LossConfig("sum", "global"), world=world))
    share = 48 // size
    pixels, tokens = make_pixels(CLIP_TINY, share, rank), make_tokens(CLIP_TINY, share, rank)
    for _ in range(2):
        learner.train_step(pixels, tokens, 1e-4)
    begun = time.process_time()
    for _ in range(10):
        learner.train_step(pixels, tokens, 1e-4)
    taken = (time.process_time() - begun) / 10
    if group is not None:
        group.close()
    return taken


def exponent(sizes: list[int], seconds: list[float]) -> float | None:
    """Slope of log(seconds) over log(size) between the ends of what takes long enough to be told from a constant."""
    told = [(size, taken) for size, taken in zip(sizes, seconds, strict=True) if taken >= 0.1]
    if len(told) < 2:
        return None
    (first, few), (last, many) = told[0], told[-1]
    return math.log(many / few) / math.log(last / first)


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "rank":
        print(json.dumps(rank_steps(int(sys.argv[2]), int(sys.argv[3]))))
        return
    if len(sys.argv) == 4 and sys.argv[1] == "of":
        print(json.dumps(MEASURES[sys.argv[2]](int(sys.argv[3]))))
        return
    parser = arguments(__doc__)
    parser.add_argument("--only", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--most", type=int, default=10**9, help="leave larger sizes out")
    options = parser.parse_args()
    record, console, grown = Record("growth", options), Console(width=120), {}
    for what in options.only:
        rows: list[dict[str, Any]] = []
        for size in (size for size in (SMALL if options.quick else SIZES)[what] if size <= options.most):
            # A process each: its peak of memory is its own.
            command = [sys.executable, "-m", "benchmarks.growth", "of", what, str(size)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            rows.append({"size": size, **json.loads(done.stdout.splitlines()[-1])})
        slope = exponent([row["size"] for row in rows], [row["cpu_seconds"] for row in rows])
        grown[what] = {"rows": rows, "exponent": slope}
        table = Table(what, "cpu seconds", "per unit, ms", "file, MB", "added peak, MB", "")
        most = max(row["cpu_seconds"] for row in rows)
        for row in rows:
            table.add_row(
                f"{row['size']:,}", f"{row['cpu_seconds']:.4f}", f"{1e3 * row['cpu_seconds'] / row['size']:.4f}",
                *(f"{row[key] / 1e6:,.1f}" if key in row else "" for key in ("file_bytes", "added_peak_bytes")),
                "#" * max(1, round(BAR * row["cpu_seconds"] / most)),
            )  # fmt: skip
        console.print(table, "" if slope is None else f"exponent {slope:.2f}")
    record.save(growth=grown)


MEASURES: dict[str, Callable[[int], dict[str, float]]] = {
    "batch": of_batch, "images": of_images, "entries": of_entries, "captions": of_captions, "results": of_results,
    "ranks": of_ranks,
}  # fmt: skip

if __name__ == "__main__":
    main()

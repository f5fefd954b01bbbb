"""How costs grow: with the batch, evaluation images, entries of an annotation file, and ranks.

    python -m benchmarks.growth [--quick] [--only batch images entries captions results ranks] [--most SIZE]
        [--out benchmarks/results/growth.json]

The exponent is the slope of the logarithms from the first size that takes at least a tenth of a second: 1 is linear.
Ranks share the cores of one machine here, so this is what they cost and not what more devices gain.
"""

from __future__ import annotations

import json
import math
import os
import resource
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import (
    Record,
    answer,
    arguments,
    in_process,
    make_batch,
    make_device,
    make_learner,
    parse,
    show_table,
    start,
)
from clipbench.clip.config import CLIP_TINY
from clipbench.results.environment import peak_host_memory

BAR = 40
RESULT = Path(__file__).parent / "results" / "quickstart.json"
CAPTION = "a dog runs over the wet grass with a ball"


def least_cpu(run: Callable[[], object], times: int = 3) -> float:
    """Return the least seconds of the processor over some runs, which a busy machine changes least."""
    taken = []
    for _ in range(times):
        begun = time.process_time()
        run()
        taken.append(time.process_time() - begun)
    return min(taken)


@contextmanager
def costs() -> Iterator[dict[str, float]]:
    """Yield a dictionary that gets the seconds of the processor and the bytes by which the memory's peak grows.

    The seconds are also those of processes that were waited for, the bytes those of this process alone.
    """
    measured: dict[str, float] = {}
    before, begun = peak_host_memory() or 0, _cpu_seconds()
    yield measured
    measured["cpu_seconds"] = _cpu_seconds() - begun
    measured["added_peak_bytes"] = (peak_host_memory() or 0) - before


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def of_batch(size: int) -> dict[str, float]:
    """One training step of clip-tiny on ``size`` pairs."""
    learner = make_learner("clip-tiny", make_device("cpu"), "float32")
    pixels, tokens = make_batch("clip-tiny", size)
    learner.train_step(pixels, tokens, 1e-4)
    return {"cpu_seconds": least_cpu(lambda: learner.train_step(pixels, tokens, 1e-4), 5)}


def of_images(size: int) -> dict[str, float]:
    """Ranks of ``size`` images and five captions each, from features of width 512."""
    from clipbench.training.evaluating.retrieval import ranks_from_features

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
        with costs() as measured:
            read_annotations(path)
        return {**measured, "file_bytes": path.stat().st_size}


def of_captions(size: int) -> dict[str, float]:
    """Cleaning and tokenising ``size`` captions of some thousand words, as a run does before its first step."""
    from clipbench.clip.bpe import BpeTokenizer
    from clipbench.clip.captions import clean_caption

    package, _, name = CLIP_TINY.vocabulary.partition(":")
    vocabulary = files(package) / name
    texts = [f"{CAPTION} {n % 5_000}" for n in range(size)]
    begun = time.process_time()
    BpeTokenizer(str(vocabulary)).encode([clean_caption(text) for text in texts])
    return {"cpu_seconds": time.process_time() - begun}


def of_results(size: int) -> dict[str, float]:
    """Comparing ``size`` results of 1,000 images with five captions each."""
    from benchmarks.compare import write_copies
    from clipbench.compare.gate import Request, judge
    from clipbench.results.result import read_result

    with tempfile.TemporaryDirectory() as name:
        folder, result = Path(name), read_result(RESULT)
        write_copies(result, folder, size, 1_000)
        with costs() as measured:
            judgement = judge(Request((folder,), reference=str(result.reference)))
        assert len(judgement.comparisons) == size, judgement.problems
        return {**measured, "file_bytes": sum(path.stat().st_size for path in folder.iterdir())}


def of_ranks(size: int) -> dict[str, float]:
    """Ten steps of clip-tiny on 48 pairs shared by ``size`` ranks of one thread each: all ranks' time per step."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    ranks = [start(rank_steps, rank, size, env=environment) for rank in range(size)]
    return {"cpu_seconds": sum(map(answer, ranks))}


def rank_steps(rank: int, size: int) -> float:
    """Return the seconds per step that one rank takes of the processor."""
    from clipbench.api import LossConfig, World
    from clipbench_torch.engine import TorchEngine

    world, device = World(rank, rank, size), make_device("cpu", rank)
    group = TorchEngine().join(device, world, 60.0) if size > 1 else None
    learner = make_learner("clip-tiny", device, "float32", loss=LossConfig("sum", "global"), world=world)
    pixels, tokens = make_batch("clip-tiny", 48 // size, rank)
    for _ in range(2):
        learner.train_step(pixels, tokens, 1e-4)
    begun = time.process_time()
    for _ in range(10):
        learner.train_step(pixels, tokens, 1e-4)
    taken = (time.process_time() - begun) / 10
    if group is not None:
        group.close()
    return taken


# What is measured, its sizes, and its sizes with --quick.
MEASURES: dict[str, tuple[Callable[[int], dict[str, float]], list[int], list[int]]] = {
    "batch": (of_batch, [8, 16, 32, 64, 128, 256, 512], [8, 32]),
    "images": (of_images, [1_000, 2_000, 4_000, 8_000, 16_000, 31_000], [100, 1_000]),
    "entries": (of_entries, [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000], [1, 100, 10_000]),
    "captions": (of_captions, [1_000, 10_000, 100_000, 1_000_000], [100, 1_000]),
    "results": (of_results, [10, 100, 1_000, 2_000], [2, 10]),
    "ranks": (of_ranks, [1, 2, 3, 4], [1, 2]),
}


def exponent(rows: list[dict[str, Any]]) -> float | None:
    """Return the slope of log(seconds) over log(size) between the ends of the rows that take a tenth of a second."""
    ends = [(row["size"], row["cpu_seconds"]) for row in rows if row["cpu_seconds"] >= 0.1]
    if len(ends) < 2:
        return None
    (first, few), (last, many) = ends[0], ends[-1]
    return math.log(many / few) / math.log(last / first)


def show(what: str, rows: list[dict[str, Any]], slope: float | None) -> None:
    most = max(row["cpu_seconds"] for row in rows)
    lines = [
        [
            f"{row['size']:,}",
            f"{row['cpu_seconds']:.4f}",
            f"{1e3 * row['cpu_seconds'] / row['size']:.4f}",
            *(f"{row[key] / 1e6:,.1f}" if key in row else "" for key in ("file_bytes", "added_peak_bytes")),
            "#" * max(1, round(BAR * row["cpu_seconds"] / most)),
        ]
        for row in rows
    ]
    head = (what, "cpu seconds", "per unit, ms", "file, MB", "added peak, MB", "")
    show_table(head, lines, "" if slope is None else f"exponent {slope:.2f}", width=120)


def main() -> None:
    parser = arguments(__doc__, most=10**9)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    options = parse(parser)
    record, grown = Record("growth", options), {}
    for what in options.only:
        measure, sizes, small = MEASURES[what]
        sizes = [size for size in (small if options.quick else sizes) if size <= options.most]
        rows = [{"size": size, **in_process(measure, size)} for size in sizes]
        grown[what] = {"rows": rows, "exponent": exponent(rows)}
        show(what, rows, grown[what]["exponent"])
    record.save(growth=grown)


if __name__ == "__main__":
    main()

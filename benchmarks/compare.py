"""What comparing many results costs: seconds and memory, beside reading the same files with plain json.loads.

    python -m benchmarks.compare RESULT [--count 2000] [--images 1000] [--out benchmarks/results/compare.json]

RESULT is any completed result. Copies of it, with query ranks of so many images of five captions each, are compared.
Each way runs in a process of its own, in turns. Last, one paired bootstrap of 10,000 draws, without reading.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.harness import Record, arguments, in_process, parse, show_table
from clipbench.api.result import QueryRanks, Result
from clipbench.compare.gate import Request, judge
from clipbench.compare.statistics.bootstrap import hits_of, paired_draws
from clipbench.results.measures.metrics import summarise
from clipbench.results.result import read_result, result_data

SEEDS = 10


def write_copies(result: Result, folder: Path, count: int, images: int) -> Path:
    """Write ``count`` results of other runs, of ten seeds with query ranks of their own; return one of the files."""
    random = np.random.default_rng(0)
    val = replace(result.dataset.val, images=images, captions=5 * images)
    # Of retrieval alone, which most results are of.
    config = {**result.config, "eval": {**result.config["eval"], "evaluations": ["retrieval"]}}
    epochs = tuple(replace(record, metrics={}) for record in result.epochs)
    dataset = replace(result.dataset, val=val)
    result = replace(result, dataset=dataset, config=config, epochs=epochs, per_query=None, retrieved=None)
    seeded = [replace(result, seed=seed, config={**result.config, "seed": seed}) for seed in range(SEEDS)]
    copies = [with_query_ranks(one, images, random) for one in seeded]
    for number in range(count):
        data = result_data(replace(copies[number % SEEDS], run_id=f"copy-{number:05d}"))
        (folder / f"{data['run_id']}.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
    return folder / "copy-00000.json"


def with_query_ranks(result: Result, images: int, random: np.random.Generator) -> Result:
    """Return a copy with random query ranks of its last evaluation, and the recalls that they give."""
    epoch = result.metrics.last.epoch
    text, image = (np.maximum(random.geometric(0.8, queries) - 1, 0).tolist() for queries in (images, 5 * images))
    ranks = QueryRanks(epoch, text, image, np.repeat(np.arange(images), 5).tolist())
    record = replace(result.epochs[-1], recall=hits_of(ranks).recalls())
    epochs = (*result.epochs[:-1], record)
    return replace(
        result, query_ranks=ranks, epochs=epochs, metrics=summarise(epochs, result.config["train"]["batch_size"])
    )


# --- the ways -----------------------------------------------------------------------------------------------------


def read_files(folder: Path, *_: str) -> None:
    for path in folder.glob("*.json"):
        json.loads(path.read_text())


def keep_files(folder: Path, *_: str) -> None:
    kept = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    assert kept


def with_reference(folder: Path, reference: str, _: str) -> None:
    judgement = judge(Request((folder,), reference=reference))
    assert len(judgement.comparisons) == len(list(folder.glob("*.json"))), judgement.problems


def with_baseline(folder: Path, _: str, baseline: str) -> None:
    judgement = judge(Request((folder,), baseline=baseline, repeats=True))
    assert judgement.comparisons and not judgement.problems, judgement.problems


WAYS: dict[str, Callable[..., None]] = {
    "json.loads": read_files,
    "json.loads, all kept": keep_files,
    "compare": with_reference,
    "compare with a baseline": with_baseline,
}


def measure(way: str, folder: str, reference: str, baseline: str) -> dict[str, float]:
    """Return the seconds, the processor's seconds and the peak memory of this process."""
    return clocked(lambda: WAYS[way](Path(folder), reference, baseline))


def measure_bootstrap(folder: str) -> dict[str, float]:
    """Return the same of one paired bootstrap."""
    ours, theirs = (hits_of(read_result(Path(folder, f"copy-{n:05d}.json")).query_ranks) for n in (0, 1))
    return clocked(lambda: paired_draws(ours, theirs))


def clocked(run: Callable[[], object]) -> dict[str, float]:
    begun, processor = time.perf_counter(), time.process_time()
    run()
    taken = {"seconds": time.perf_counter() - begun, "processor_seconds": time.process_time() - processor}
    # getrusage's maximum counts the parent before exec as well.
    peak = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text(encoding="utf-8"))
    return {**taken, "peak_bytes": 1024 * int(peak[1])}


def main() -> None:
    parser = arguments(__doc__, count=2_000, images=1_000, turns=3)
    parser.add_argument("result", type=Path)
    chosen = parse(parser, count=20, images=100, turns=1)
    record, result = Record("compare", chosen), read_result(chosen.result)
    with tempfile.TemporaryDirectory() as folder:
        baseline = write_copies(result, Path(folder), chosen.count, chosen.images)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
        for _ in range(chosen.turns):
            for name, runs in taken.items():
                runs.append(in_process(measure, name, folder, str(result.reference), str(baseline)))
        bootstrap = [in_process(measure_bootstrap, folder) for _ in range(chosen.turns)]
    counts = {"results": chosen.count, "images": chosen.images, "captions": 5 * chosen.images, "bytes": size}
    record.save(**counts, ways=taken, paired_bootstrap=bootstrap)
    rows = [[name, *row(runs)] for name, runs in {**taken, "one paired bootstrap": bootstrap}.items()]
    show_table(["medians", "seconds", "of the processor", "MB memory"], rows)


def row(runs: list[dict[str, float]]) -> list[str]:
    medians = {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
    seconds = [f"{medians[key]:.2f}" for key in ("seconds", "processor_seconds")]
    return [*seconds, f"{medians['peak_bytes'] / 1e6:.0f}"]


if __name__ == "__main__":
    main()

"""What comparing many results takes: seconds and memory, beside reading the same files with plain json.loads.

    python -m benchmarks.compare RESULT [--count 2000] [--images 1000] [--out benchmarks/results/compare.json]

RESULT is any completed result; copies of it, with ranks for so many images of five captions each, are what is
compared. Each way runs in a process of its own, in turns. Last, one paired bootstrap of 10,000 draws, reading left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from clipbench.compare.bootstrap import hits_of
from clipbench.files.json_file import write_json
from clipbench.results.environment import machine, source_version
from clipbench.results.result import digest_of, metrics_of, read_result, utc_now

MEASURE = """
import json, pathlib, re, sys, time
begun, processor = time.perf_counter(), time.process_time()
{body}
taken = [time.perf_counter() - begun, time.process_time() - processor]
# getrusage's maximum counts the parent before exec as well.
peak = 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text()).group(1))
print(json.dumps({{"seconds": taken[0], "processor_seconds": taken[1], "peak_bytes": peak}}))
"""
WAYS = {
    "json.loads": "for path in pathlib.Path(sys.argv[1]).glob('*.json'): json.loads(path.read_text())",
    "json.loads, all kept": "kept = [json.loads(p.read_text()) for p in pathlib.Path(sys.argv[1]).glob('*.json')]",
    "compare": """
from clipbench.compare.gate import Request, judge
judgement = judge(Request((pathlib.Path(sys.argv[1]),), reference=sys.argv[2]))
assert len(judgement.comparisons) == len(list(pathlib.Path(sys.argv[1]).glob('*.json'))), judgement.problems
""",
    "compare with a baseline": """
from clipbench.compare.gate import Request, judge
judgement = judge(Request((pathlib.Path(sys.argv[1]),), baseline=sys.argv[3]))
assert judgement.comparisons and not judgement.problems, judgement.problems
""",
}


BOOTSTRAP = """
from clipbench.results.result import read_result
from clipbench.compare.bootstrap import hits_of, paired_draws
ours, theirs = (hits_of(read_result(pathlib.Path(sys.argv[1], name + ".json"))["ranks"]) for name in NAMES)
begun, processor = time.perf_counter(), time.process_time()
assert len(paired_draws(ours, theirs)) == 10_000
""".replace("NAMES", "('copy-00000', 'copy-00001')")


def write_copies(result: dict, folder: Path, count: int, images: int) -> Path:
    """``count`` results with other runs, and of ten seeds with ranks of their own; returns one, as the baseline."""
    random = np.random.default_rng(0)
    owner = np.repeat(np.arange(images), 5).tolist()
    copies = []
    for seed in range(10):
        ranks = {"epoch": result["metrics"]["last"]["epoch"], "image_of_text": owner}
        for side, queries in (("text", images), ("image", 5 * images)):
            ranks[side] = np.maximum(random.geometric(0.8, queries) - 1, 0).tolist()
        record = {**result["epochs"][-1], "recall": hits_of(ranks).recalls()}
        last = {"epoch": record["epoch"], "values": metrics_of(record)}
        copy = {**result, "seed": seed, "ranks": ranks, "metrics": {"last": last, "best": last}}
        copy["epochs"] = [*result["epochs"][:-1], record]
        copies.append(copy)
    for number in range(count):
        copy = {**copies[number % 10], "run_id": f"copy-{number:05d}"}
        copy["digest"] = digest_of(copy)
        (folder / f"{copy['run_id']}.json").write_text(json.dumps(copy, indent=1), encoding="utf-8")
    return folder / "copy-00000.json"


def measure(body: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-c", MEASURE.format(body=body), *arguments]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path)
    parser.add_argument("--count", type=int, default=2_000)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/compare.json"))
    asked = parser.parse_args()
    result = read_result(asked.result)
    with tempfile.TemporaryDirectory() as folder:
        baseline = write_copies(result, Path(folder), asked.count, asked.images)
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        arguments = (folder, str(result["reference"]), str(baseline))
        taken = {name: [] for name in WAYS}
        for _ in range(asked.turns):
            for name, body in WAYS.items():
                taken[name].append(measure(body, *arguments))
                print(name, taken[name][-1], flush=True)
        bootstrap = [measure(BOOTSTRAP, folder) for _ in range(asked.turns)]
        print("paired bootstrap", bootstrap, flush=True)
    found = {"benchmark": "compare", "when": utc_now(), "machine": machine(), "results": asked.count}
    found |= dict(zip(("commit", "dirty"), source_version(), strict=True))
    found |= {
        "images": asked.images,
        "captions": 5 * asked.images,
        "bytes": size,
        "ways": taken,
        "paired_bootstrap": bootstrap,
    }
    write_json(asked.out, found)


if __name__ == "__main__":
    main()

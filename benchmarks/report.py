"""What a report costs: seconds, bytes and memory for a page over two thousand results.

    python -m benchmarks.report [--count 2000] [--out benchmarks/results/report.json]

The results are made up (tests/support/report_results.py), in two sizes: the quickstart's (4 epochs, 500 images) and a
published run's (50 epochs, 1,000 images). Absolute times are of this machine at this moment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clipbench.files.json_file import write_json
from clipbench.results.environment import machine, source_version
from clipbench.results.result import utc_now
from tests.support.report_results import make_result

SIZES = {"quickstart": {"epochs": 4, "images": 500}, "published": {"epochs": 50, "images": 1000}}
DISTINCT = 40  # results that differ in their numbers; the rest are these at other times


def write_results(folder: Path, count: int, epochs: int, images: int) -> int:
    """``count`` results in ``folder``; their bytes."""
    kept = [make_result(index, epochs, images) for index in range(DISTINCT)]
    texts = [json.dumps(result, indent=1) for result in kept]
    written = 0
    for index in range(count):
        old, new = kept[index % DISTINCT], make_result(index, 1, 1)
        text = texts[index % DISTINCT].replace(old["run_id"], new["run_id"]).replace(old["started"], new["started"])
        text = text.replace(old["clipbench"]["commit"], new["clipbench"]["commit"])
        written += (folder / f"{new['run_id']}.json").write_text(text)
    return written


def measure(count: int, epochs: int, images: int) -> dict[str, float]:
    """One `clipbench report` over ``count`` results, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        results, out = Path(scratch, "results"), Path(scratch, "out")
        results.mkdir()
        size = write_results(results, count, epochs, images)
        begun = time.perf_counter()
        command = [sys.executable, "-m", "clipbench", "report", str(results), "--out", str(out)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        taken = time.perf_counter() - begun
        if status:
            raise SystemExit(f"clipbench report ended with status {status}")
        return {
            "results": count,
            "epochs": epochs,
            "images": images,
            "results_bytes": size,
            "seconds": taken,
            "processor_seconds": used.ru_utime + used.ru_stime,
            "peak_memory_bytes": used.ru_maxrss * 1024,
            "page_bytes": (out / "index.html").stat().st_size,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    commit, dirty = source_version()
    data = {
        "benchmark": "report",
        "when": utc_now(),
        "commit": commit,
        "dirty": dirty,
        "machine": machine(),
        "load_average": os.getloadavg()[0],  # other work on the machine, which seconds suffer from
        **{name: measure(chosen.count, **size) for name, size in SIZES.items()},
    }
    print(json.dumps(data, indent=1))
    if chosen.out:
        write_json(chosen.out, data)


if __name__ == "__main__":
    main()

"""What a report costs: seconds, bytes and memory for a page over two thousand results.

    python -m benchmarks.report [--quick] [--count 2000] [--out benchmarks/results/report.json]

The results are made up (tests/support/report_results.py), in two sizes: the quickstart's (4 epochs, 500 images) and a
published run's (50 epochs, 1,000 images). Absolute times are of this machine at this moment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.harness import Record, arguments, parse, show_table
from clipbench.results.result import result_data
from tests.support.report_results import make_result

SIZES = {"quickstart": {"epochs": 4, "images": 500}, "published": {"epochs": 50, "images": 1000}}
MEGABYTES = ("results_bytes", "page_bytes", "peak_memory_bytes")
DISTINCT = 40  # results that differ in their numbers; the rest are these at other times


def write_results(folder: Path, count: int, epochs: int, images: int) -> int:
    """Write ``count`` results into ``folder``; return their bytes."""
    kept = [make_result(index, epochs, images) for index in range(min(count, DISTINCT))]
    written = 0
    for index in range(count):
        other = make_result(index, epochs, 1)
        result = replace(
            kept[index % DISTINCT],
            run_id=other.run_id, started=other.started, ended=other.ended, clipbench=other.clipbench,
        )  # fmt: skip
        written += (folder / f"{result.run_id}.json").write_text(json.dumps(result_data(result), indent=1))
    return written


def measure(count: int, epochs: int, images: int) -> dict[str, float]:
    """Return what one `clipbench report` over ``count`` results costs, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        results, out = Path(scratch, "results"), Path(scratch, "out")
        results.mkdir()
        size = write_results(results, count, epochs, images)
        begun = time.perf_counter()
        command = [sys.executable, "-m", "clipbench", "report", str(results), "--out", str(out)]
        command += ["--last", str(count)]
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
    chosen = parse(arguments(__doc__, count=2000), count=4)
    record = Record("report", chosen)
    measured = {name: measure(chosen.count, **size) for name, size in SIZES.items()}
    record.save(**measured)
    rows = [
        [name, f"{m['seconds']:.1f}", f"{m['processor_seconds']:.1f}", *(f"{m[key] / 1e6:.1f}" for key in MEGABYTES)]
        for name, m in measured.items()
    ]
    show_table(["results of", "seconds", "of the processor", "MB read", "MB page", "MB memory"], rows)


if __name__ == "__main__":
    main()

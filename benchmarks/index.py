"""What commands on very many results cost, before and after an index of them has been made.

    python -m benchmarks.index [--quick] [--count 50000] [--nodes 1000] [--folder FOLDER]
        [--out benchmarks/results/index.json]

The results are made up, in the size of the quickstart's (4 epochs, 500 images): of four kinds of devices, on so many
nodes. ``--folder`` keeps them there, or uses those that it has. Each command runs in a process of its own, three times.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness import Record, arguments, parse, show_table
from clipbench.results.document import digest_of
from clipbench.results.result import result_data
from tests.support.report_results import make_result

DISTINCT = 40
KINDS = 4
TIMES = 3
HEAD = ("command", "seconds", "of the processor", "MB memory")
COMMANDS = {
    "runs": ["runs", "{folder}"],
    "trend": ["trend", "{folder}", "--metric", "throughput"],
    "trend, JSON": ["trend", "{folder}", "--metric", "throughput", "--format", "json"],
    "compare": ["compare", "{folder}"],
    "diagnose": ["diagnose", "{folder}"],
    "export": ["export", "{folder}", "--out", "{out}.csv"],
    "report": ["report", "{folder}", "--out", "{out}"],
}


def write_results(folder: Path, count: int, nodes: int) -> None:
    """Write ``count`` results of runs on ``nodes`` machines, each with one kind of device."""
    kept = [result_data(make_result(index, 4, 500, device=f"Card {index % KINDS}")) for index in range(DISTINCT)]
    # Not as write_result does: a sync of each would take longer than all else here.
    for number in range(count):
        node = number % nodes
        data = dict(kept[(node % KINDS) + KINDS * (number % (DISTINCT // KINDS))])
        second = time.gmtime(1_767_225_600 + 60 * number)
        data["run_id"] = f"quickstart-{time.strftime('%Y%m%dT%H%M%SZ', second)}-{number:010x}"
        data["started"], data["ended"] = (
            time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_767_225_600 + 60 * number + after)) for after in (0, 300)
        )
        host = {"name": f"node{node:05d}", "machine": f"{node:016x}"}
        data["environment"] = {**data["environment"], "host": host}
        data["digest"] = digest_of(data)
        (folder / f"{data['run_id']}.json").write_text(json.dumps(data, indent=1), encoding="utf-8")


def measure(words: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Return what one command costs: seconds, those of the processor with its children, and the peak of its memory."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "clipbench", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    taken = time.perf_counter() - begun
    if os.waitstatus_to_exitcode(status) not in (0, 1, 3):
        raise SystemExit(f"{' '.join(words)} ended with status {status}")
    seconds = {"seconds": taken, "processor_seconds": used.ru_utime + used.ru_stime}
    return {**seconds, "peak_memory_bytes": used.ru_maxrss * 1024}


@contextmanager
def results_in(folder: Path | None, count: int, nodes: int) -> Iterator[Path]:
    """Yield a folder with the results: the one given, filled where it is not there yet, or one that goes again."""
    place = folder or Path(tempfile.mkdtemp(prefix="clipbench-index-"))
    if folder is None or not folder.is_dir():
        place.mkdir(parents=True, exist_ok=True)
        write_results(place, count, nodes)
    try:
        yield place
    finally:
        if folder is None:
            shutil.rmtree(place)


def main() -> None:
    parser = arguments(__doc__, count=50_000, nodes=1_000)
    parser.add_argument("--folder", type=Path)
    chosen = parse(parser, count=300, nodes=20)
    kept, chosen.folder = chosen.folder, None  # a place on this machine is no part of the record
    record = Record("index", chosen)
    with results_in(kept, chosen.count, chosen.nodes) as folder, tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "CLIPBENCH_CACHE": str(Path(scratch, "cache"))}
        places = {"folder": str(folder), "out": str(Path(scratch, "page"))}
        time.sleep(2.1)  # a file that has just been written is not remembered
        indexing = measure(["trend", str(folder)], environment)
        (index,) = Path(scratch, "cache", "index").glob("*.sqlite")
        commands = {
            name: [measure([word.format(**places) for word in words], environment) for _ in range(TIMES)]
            for name, words in COMMANDS.items()
        }
        sizes = {"files": len(list(folder.iterdir())), "bytes": sum(path.stat().st_size for path in folder.iterdir())}
        record.save(**sizes, index_bytes=index.stat().st_size, indexing=indexing, commands=commands)
    show_table(HEAD, rows_of(record.data))


def rows_of(measured: dict[str, Any]) -> list[list[str]]:
    """Return the cells of the table: of every command its fastest run."""
    rows = [["indexing, by the first command", *cells(measured["indexing"])]]
    for name, runs in measured["commands"].items():
        rows.append([f"`{name}`", *cells(min(runs, key=lambda run: run["seconds"]))])
    return rows


def table(path: Path) -> str:
    """Return the table of a file as docs/fleet.md has it."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows_of(json.loads(path.read_text(encoding="utf-8"))))


def cells(run: dict[str, float]) -> list[str]:
    seconds = [f"{run[key]:.2f}" for key in ("seconds", "processor_seconds")]
    return [*seconds, f"{run['peak_memory_bytes'] / 1e6:.0f}"]


if __name__ == "__main__":
    main()

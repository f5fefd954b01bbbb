"""What every benchmark here shares: things measured in turns, the machine's limits, a table and a JSON file.

Ratios of what ran in turns hold on a machine that others use too; absolute times are of that machine at that moment.
The processor's own time (of all threads) is kept beside the wall's, for it counts only what was computed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench.files.json_file import write_json
from clipbench.results.environment import machine, source_version, variables
from clipbench.results.result import utc_now

# As the torch engine has it before it imports torch; a benchmark imports this module first.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")


@dataclass
class Times:
    """Seconds of one thing, run by run: on the wall, and of the processor."""

    wall: list[float]
    cpu: list[float]

    def to_dict(self) -> dict[str, Any]:
        return {
            "wall_seconds": statistics.median(self.wall),
            "wall_seconds_quartiles": quartiles(self.wall),
            "cpu_seconds": statistics.median(self.cpu),
            "cpu_seconds_quartiles": quartiles(self.cpu),
            "runs": len(self.wall),
        }


def quartiles(values: list[float]) -> list[float]:
    if len(values) < 2:
        return [values[0], values[0]]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return [low, high]


def in_turns(
    things: Mapping[str, Callable[[], object]], rounds: int, wait: Callable[[], object] = lambda: None
) -> dict[str, Times]:
    """Run each thing once unmeasured, then ``rounds`` times in turns; ``wait`` returns when a device is done.

    Every other round goes backwards, so that nothing always follows the same neighbour.
    """
    for run in things.values():
        run()
    wait()
    taken = {name: Times([], []) for name in things}
    for turn in range(rounds):
        for name in list(things) if turn % 2 == 0 else list(things)[::-1]:
            wall, cpu = time.perf_counter(), time.process_time()
            things[name]()
            wait()
            taken[name].wall.append(time.perf_counter() - wall)
            taken[name].cpu.append(time.process_time() - cpu)
    return taken


def ratio(slow: Times, fast: Times) -> dict[str, Any]:
    """How many times faster ``fast`` is: medians of the ratios within each round, on the wall and of the processor."""
    wall = [a / b for a, b in zip(slow.wall, fast.wall, strict=True)]
    cpu = [a / b for a, b in zip(slow.cpu, fast.cpu, strict=True) if b > 0]
    return {
        "wall": statistics.median(wall),
        "wall_quartiles": quartiles(wall),
        "cpu": statistics.median(cpu) if cpu else None,
    }


def product_rates(device: str, precisions: list[str]) -> dict[str, Callable[[], float]]:
    """Calls that each take one big matrix product and give its FLOP/s, by precision: the limit for a model's step.

    On a processor the float32 product is taken both ways, as torch has it and as our learner has chosen: the faster.
    """
    import torch

    def rate(precision: str) -> Callable[[], float]:
        size = 2048 if device == "cpu" else 8192
        generator = torch.Generator().manual_seed(0)
        left = torch.randn(size, size, generator=generator).to(device, getattr(torch, precision))
        right = left.t().contiguous()

        def run() -> float:
            best, chosen = float("inf"), torch.get_float32_matmul_precision()
            for way in (chosen, "highest") if device == "cpu" and precision == "float32" else (chosen,):
                torch.set_float32_matmul_precision(way)
                for _ in range(3):
                    synchronize(device)
                    begun = time.perf_counter()
                    left @ right
                    synchronize(device)
                    best = min(best, time.perf_counter() - begun)
            torch.set_float32_matmul_precision(chosen)
            return 2 * size**3 / best

        return run

    return {precision: rate(precision) for precision in precisions}


def synchronize(device: str) -> None:
    import torch

    if device != "cpu":
        getattr(torch, torch.device(device).type).synchronize()


def copy_rate() -> float:
    """Bytes per second that one process copies from memory to memory, read and written counted once."""
    import numpy as np

    source = np.ones(256 << 20, np.uint8)
    target = np.empty_like(source)
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - begun)
    return source.nbytes / best


def write_rate(folder: Path | None = None) -> float:
    """Bytes per second of one sequential write of 256 MB and its fsync."""
    block = os.urandom(16 << 20)
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        begun = time.perf_counter()
        for _ in range(16):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        return 16 * len(block) / (time.perf_counter() - begun)


def arguments(documentation: str | None, **kwargs: Any) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes: --quick and --out."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", type=Path, help="write a JSON file")
    return parser


class Record:
    """A benchmark's JSON file: what was measured, where, when, of which commit, and how busy the machine was."""

    def __init__(self, benchmark: str, options: argparse.Namespace) -> None:
        self.out: Path | None = options.out
        settings = {key: value for key, value in vars(options).items() if key != "out"}
        self.data: dict[str, Any] = {"benchmark": benchmark, "when": utc_now(), "options": settings}
        self.data["load_average"] = {"before": list(os.getloadavg())}

    def save(self, **measured: Any) -> None:
        commit, dirty = source_version()
        self.data["load_average"]["after"] = list(os.getloadavg())
        self.data |= {"commit": commit, "dirty": dirty, "machine": machine(), "variables": variables(()), **measured}
        if self.out:
            write_json(self.out, self.data)

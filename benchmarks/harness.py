"""What the benchmarks share: options, models and batches, timing in turns, processes, the machine's limits, output.

Ratios of what ran in turns hold on a machine that others use too; absolute times hold for that machine at that moment.
The processor's own time (of all threads) is recorded beside the wall's, because it counts only what was computed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from clipbench.api import Device, LearnerJob, LossConfig, ModelSpec, OptimizerConfig
from clipbench.clip import config as variants
from clipbench.clip.config import ClipConfig
from clipbench.files.json_file import write_json
from clipbench.results.environment import machine, source_version, variables
from clipbench.results.result import utc_now

if TYPE_CHECKING:
    from clipbench_torch.device import TorchDevice
    from clipbench_torch.learner import TorchLearner

MODELS = {
    "clip-vit-b16": variants.CLIP_VIT_B16,
    "clip-vit-b32": variants.CLIP_VIT_B32,
    "clip-vit-l14": variants.CLIP_VIT_L14,
    "clip-vit-l14-336": variants.CLIP_VIT_L14_336,
    "clip-tiny": variants.CLIP_TINY,
}
# Of the 30,000 training captions, cleaned and tokenised, both special tokens counted: mean 13.07, deviation 3.83.
SHORTEST, SHAPE, SPREAD = 4, 5.61, 1.617


# --- options ------------------------------------------------------------------------------------------------------


def arguments(documentation: str | None, **defaults: Any) -> argparse.ArgumentParser:
    """Return a parser with --quick, --out and one option for each of ``defaults``; a list takes several values."""
    parser = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", type=Path, help="write a JSON file")
    for name, default in defaults.items():
        several = isinstance(default, list)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(default[0] if several else default), default=default,
            nargs="+" if several else None, choices=MODELS if name == "model" else None,
        )  # fmt: skip
    return parser


def parse(parser: argparse.ArgumentParser, **quick: Any) -> argparse.Namespace:
    """Return the options; with --quick, those of ``quick`` have the values given there."""
    options = parser.parse_args()
    if options.quick:
        vars(options).update(quick)
    return options


# --- models and batches -------------------------------------------------------------------------------------------


def caption_lengths(count: int, seed: int = 0) -> np.ndarray:
    """Return lengths in tokens, drawn from a gamma distribution with the mean and deviation of Flickr8k's."""
    drawn = SHORTEST + np.random.default_rng(seed).gamma(SHAPE, SPREAD, count)
    return np.minimum(drawn.round().astype(int), 39)


def make_tokens(config: ClipConfig, count: int, seed: int = 0) -> np.ndarray:
    """Return token ids int32 (count, context): random words between the two special tokens."""
    rng = np.random.default_rng(seed)
    tokens = np.zeros((count, config.context_length), np.int32)
    for row, length in zip(tokens, caption_lengths(count, seed), strict=True):
        row[:length] = rng.integers(1, config.vocab_size - 2, length)
        row[0], row[length - 1] = config.vocab_size - 2, config.vocab_size - 1
    return tokens


def make_pixels(config: ClipConfig, count: int, seed: int = 0) -> np.ndarray:
    """Return random pixels uint8 (count, size, size, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, config.image_size, config.image_size, 3), np.uint8)


def make_batch(model: str, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels and token ids of ``count`` pairs for a model."""
    return make_pixels(MODELS[model], count, seed), make_tokens(MODELS[model], count, seed)


def make_device(name: str, local_rank: int = 0) -> TorchDevice:
    """Return a device of the torch engine, selected and seeded."""
    from clipbench.api.guarded import unguarded
    from clipbench.api.registry import load_registry
    from clipbench.runs.devices.opening import find_device

    # As an engine gets it: the checks of what a plugin returns are no part of what is measured, or compiled.
    device = unguarded(find_device(load_registry(), "torch", name))
    device.select(local_rank)
    device.seed(0)
    return device


def make_job(spec: ModelSpec, device: Device, precision: str, **changes: Any) -> LearnerJob:
    """Return a job for the published recipe, from random weights, on a device that it tunes."""
    values = {
        "model": spec,
        "config": spec.config,
        "device": device,
        "precision": precision,
        "autocast_text": True,
        "weights": None,
        "optimizer": OptimizerConfig((0.9, 0.999), 1e-8, 0.01, True),
        "loss": LossConfig("sum", "local"),
        "seed": 0,
        "tuning": device.tune(),
    }
    return LearnerJob(**(values | changes))


def make_learner(model: str, device: TorchDevice, precision: str, **changes: Any) -> TorchLearner:
    """Return our torch learner for the published recipe, from random weights, on a tuned device."""
    from clipbench_torch.learner import TorchLearner

    spec = ModelSpec(model, "torch", model, MODELS[model], "clipbench_torch.model:Clip")
    return TorchLearner(make_job(spec, device, precision, **changes))


# --- timing -------------------------------------------------------------------------------------------------------


@dataclass
class Times:
    """Seconds of one thing, run by run: on the wall, and of the processor."""

    wall: list[float]
    cpu: list[float]

    @property
    def seconds(self) -> float:
        return statistics.median(self.wall)

    @property
    def cpu_seconds(self) -> float:
        return statistics.median(self.cpu)

    def __add__(self, other: Times) -> Times:
        return Times(*([a + b for a, b in zip(*both, strict=True)] for both in _clocks(self, other)))

    def to_dict(self) -> dict[str, Any]:
        return {
            "wall_seconds": self.seconds,
            "wall_seconds_quartiles": quartiles(self.wall),
            "cpu_seconds": self.cpu_seconds,
            "cpu_seconds_quartiles": quartiles(self.cpu),
            "runs": len(self.wall),
        }


def _clocks(one: Times, other: Times) -> Iterable[tuple[list[float], list[float]]]:
    return (one.wall, other.wall), (one.cpu, other.cpu)


def quartiles(values: list[float]) -> list[float]:
    """Return the lower and the upper quartile."""
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
    """Return how many times faster ``fast`` is, on the wall and of the processor: medians of each round's ratio."""
    wall, cpu = ([a / b for a, b in zip(*both, strict=True) if b > 0] for both in _clocks(slow, fast))
    return {
        "wall": statistics.median(wall),
        "wall_quartiles": quartiles(wall),
        "cpu": statistics.median(cpu) if cpu else None,
    }


def both_clocks(measured: Mapping[str, float], digits: int = 2) -> list[str]:
    """Return the cells of a ratio: on the wall, and of the processor."""
    return [f"{measured[clock]:,.{digits}f}" for clock in ("wall", "cpu")]


def times_data(taken: Mapping[str, Times]) -> dict[str, Any]:
    """Return measured times as a JSON file has them."""
    return {name: times.to_dict() for name, times in taken.items()}


# --- processes ----------------------------------------------------------------------------------------------------


def start(function: Callable[..., object], *values: Any, env: Mapping[str, str] | None = None) -> subprocess.Popen:
    """Call a benchmark's function with JSON values in a new process; ``answer`` waits for what it returns."""
    spec = function.__globals__["__spec__"]  # its name is the module's also where that runs as __main__
    command = [sys.executable, "-m", "benchmarks.harness", spec.name, function.__name__, json.dumps(values)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def answer(process: subprocess.Popen) -> Any:
    """Return what the function of ``start`` returned, as JSON has it; end the benchmark if it failed."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(process.args)}: exit code {process.returncode}")
    return json.loads(output.splitlines()[-1])


def in_process(function: Callable[..., object], *values: Any) -> Any:
    """Return what ``function`` returns in a process of its own: its peak memory and its settings are its own."""
    return answer(start(function, *values))


def process_tree(root: int) -> Iterator[int]:
    """Yield a process and all its descendants; Linux only."""
    yield root
    try:
        children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    except OSError:  # it has ended
        return
    for child in children:
        yield from process_tree(int(child))


# --- limits of the machine ----------------------------------------------------------------------------------------


def product_rates(device: TorchDevice, precisions: Sequence[str]) -> dict[str, Callable[[], float]]:
    """Return, by precision, calls that take one big matrix product and return its FLOP/s: the limit for a model's step.

    On a processor the float32 product is taken both ways, as torch has it and as our learner has chosen: the faster.
    """
    return {precision: _product_rate(device, precision) for precision in precisions}


def _product_rate(device: TorchDevice, precision: str) -> Callable[[], float]:
    import torch

    size = 2048 if device.name == "cpu" else 8192
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(size, size, generator=generator).to(device.torch_device, getattr(torch, precision))
    right = left.t().contiguous()

    def run() -> float:
        best, chosen = float("inf"), torch.get_float32_matmul_precision()
        for way in (chosen, "highest") if device.name == "cpu" and precision == "float32" else (chosen,):
            torch.set_float32_matmul_precision(way)
            for _ in range(3):
                device.synchronize()
                begun = time.perf_counter()
                left @ right
                device.synchronize()
                best = min(best, time.perf_counter() - begun)
        torch.set_float32_matmul_precision(chosen)
        return 2 * size**3 / best

    return run


def copy_rate() -> float:
    """Return the bytes per second that one process copies in memory; read and written counts once."""
    source = np.ones(256 << 20, np.uint8)
    target = np.empty_like(source)
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        np.copyto(target, source)
        best = min(best, time.perf_counter() - begun)
    return source.nbytes / best


# --- output -------------------------------------------------------------------------------------------------------


def show_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *after: str, title: str | None = None, width: int | None = None
) -> None:
    """Print a table, and lines below it."""
    table = Table(*head, title=title)
    for row in rows:
        table.add_row(*row)
    Console(width=width).print(table, *after, sep="\n")


class Record:
    """A benchmark's JSON file: what was measured, where, when, of which commit, and how busy the machine was."""

    def __init__(self, benchmark: str, options: argparse.Namespace) -> None:
        self.out: Path | None = options.out
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
        settings.pop("out")
        self.data: dict[str, Any] = {"benchmark": benchmark, "when": utc_now(), "options": settings}
        self.data["load_average"] = {"before": list(os.getloadavg())}

    def save(self, **measured: Any) -> None:
        """Write the file, if one was asked for; a later call replaces it."""
        commit, dirty = source_version()
        self.data["load_average"]["after"] = list(os.getloadavg())
        self.data |= {"commit": commit, "dirty": dirty, "machine": machine(), "variables": variables(()), **measured}
        if self.out:
            write_json(self.out, self.data)


if __name__ == "__main__":
    module, function, values = sys.argv[1:]
    print(json.dumps(getattr(import_module(module), function)(*json.loads(values))))

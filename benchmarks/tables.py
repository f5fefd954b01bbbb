"""The tables of docs/performance.md and docs/fleet.md, made from the JSON files in benchmarks/results/.

    python -m benchmarks.tables

A test compares the page with them. After measuring again, run this, and replace the old tables by what it prints.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import both_clocks

RESULTS = Path(__file__).parent / "results"


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def whole(rates: Mapping[str, float]) -> list[str]:
    return [f"{rate:.0f}" for rate in rates.values()]


def train_step() -> str:
    batches = read("train_step")["batches"]
    head = ["ours in", "against"]
    for batch in batches:
        head += [f"batch {batch['batch']}: x faster, wall", "cpu", "at the limit"]
    rows = []
    for name in batches[0]["ratios"]:
        ours, peer = name.split(" / ")
        who, precision = peer.rsplit(" ", 1)
        row = [ours.removeprefix("ours "), f"{who.replace('peer tuned', 'tuned peer')} in {precision}"]
        for batch in batches:
            limit = batch["ratio_at_the_limit"].get(name)
            row += [*both_clocks(batch["ratios"][name]), f"{limit:.2f}" if limit else ""]
        rows.append(row)
    return markdown(head, rows)


def share_of_limit() -> str:
    rows = [
        [batch["batch"], precision, f"{batch['limit_flops'][precision] / 1e9:.0f}", f"{share['of_its_own']:.2f}"]
        for batch in read("train_step")["batches"]
        for precision, share in batch["share_of_limit"].items()
    ]
    return markdown(["batch", "precision", "product, GFLOP/s", "our step's share of that"], rows)


def step_profile() -> str:
    shares = {name: ways["kept"]["shares"] for name, ways in read("step_profile")["precisions"].items()}
    first = next(iter(shares.values()))
    names = sorted(first, key=lambda name: (name == "the rest", -first[name]))
    rows = [[name, *(percent(share[name]) for share in shares.values())] for name in names]
    return markdown(["operations", *shares], rows)


def encode() -> str:
    measured = read("encode")
    rows = [
        [name, *both_clocks(measured["ratios"][side]), f"{measured['share_of_limit'][side]:.2f}"]
        for side, name in (("images", "images"), ("texts", "captions"), ("both", "both together"))
    ]
    return markdown(["what", "x faster, wall", "cpu", "share of the float32 product rate"], rows)


def second_evaluation() -> str:
    ratios = read("loader")["second_evaluation"]["ratios"]
    rows = [[name, *both_clocks(ratio, 0)] for name, ratio in ratios.items()]
    return markdown(["from", "x faster than transforming, wall", "cpu"], rows)


def loader() -> str:
    measured = read("loader")
    rows = [
        [f"{name}, per core", *whole(side["images_per_cpu_second"]), *both_clocks(side["ratio"])]
        for name, side in measured["one_core"].items()
    ]
    several = measured["with_workers"]
    name = f"training, {several['workers']} workers, on the wall"
    rows.append([name, *whole(several["images_per_second"]), f"{several['ratio']['wall']:.2f}", ""])
    return markdown(["input", "ours, images/s", "plain", "x faster, wall", "cpu"], rows)


def recall() -> str:
    measured = read("recall")
    rows = [
        [
            name,
            *(f"{1e3 * times[f'{clock}_seconds']:.0f}" for clock in ("wall", "cpu")),
            *both_clocks(measured["ratios"][f"{name} / sorting"], 1),
        ]
        for name, times in measured["times"].items()
    ]
    return markdown(["how", "ms", "cpu ms", "x faster than sorting, wall", "cpu"], rows)


def engines() -> str:
    rows = []
    for one in read("engines")["measured"]:
        speeds = (f"{one['pairs_per_second'][engine]:.4g}" for engine in ("torch", "jax"))
        ratios = (f"{one['jax_to_torch'][clock]:.2f}" for clock in ("wall", "cpu"))
        seconds = f"{one['learners']['jax']['compile_seconds']:.0f}"
        rows.append([one["model"], one["precision"], str(one["batch"]), *speeds, *ratios, seconds])
    heads = [
        "model",
        "precision",
        "batch",
        "torch, pairs/s",
        "JAX, pairs/s",
        "JAX / torch, wall",
        "cpu",
        "compiling, s",
    ]
    return markdown(heads, rows)


def startup() -> str:
    measured = read("startup")
    rows = [
        [f"`{name}`", f"{times['wall_seconds']:.2f}", f"{measured['ratios'].get(name, {'wall': 1})['wall']:.1f}"]
        for name, times in measured["commands"].items()
    ]
    first = sorted(measured["first_step_seconds"])
    rows.append(["quickstart, from the command to its first step", f"{first[len(first) // 2]:.2f}", ""])
    return markdown(["what", "seconds", "x `import click`"], rows)


def startup_turns() -> str:
    measured = read("startup_turns")
    rows = [
        [f"quickstart's first step, {name}", *(f"{times[f'{clock}_seconds']:.2f}" for clock in ("cpu", "wall"))]
        for name, times in measured["first_step"].items()
    ]
    rows.append(["x faster", *both_clocks(measured["ratio"])[::-1]])
    return markdown(["what", "cpu seconds", "wall seconds"], rows)


def process_memory() -> str:
    rows = []
    for workers, sides in read("process_memory")["peak_bytes"].items():
        ours, plain = (statistics.median(sides[side]) for side in ("ours", "plain"))
        rows.append([workers, f"{ours / 2**20:,.0f}", f"{plain / 2**20:,.0f}", f"{ours / plain:.2f}"])
    return markdown(["loader processes", "clipbench, MiB", "plain program, MiB", "of plain"], rows)


def growth(name: str, what: str) -> Callable[[], str]:
    def table() -> str:
        measured = read(name)["growth"][what]["rows"]
        sized = "file_bytes" in measured[0]
        head = ["size", "cpu seconds", "per unit, ms"] + ["file, MB", "added peak memory, MB"] * sized
        rows = [
            [
                f"{row['size']:,}",
                f"{row['cpu_seconds']:.4f}",
                f"{1e3 * row['cpu_seconds'] / row['size']:.4f}",
                *(f"{row[key] / 1e6:,.0f}" for key in ("file_bytes", "added_peak_bytes") if sized),
            ]
            for row in measured
        ]
        return markdown(head, rows)

    return table


def fleet() -> str:
    """The table of docs/fleet.md."""
    stages = {name: grown["rows"] for name, grown in read("growth_fleet")["growth"].items()}
    rows = []
    for at_size in zip(*stages.values(), strict=True):
        peak = max(row["added_peak_bytes"] for row in at_size)
        seconds = (f"{row['cpu_seconds']:.2f}" for row in at_size)
        rows.append([f"{at_size[0]['size']:,}", *seconds, f"{peak / 1e6:,.0f}"])
    return markdown(["nodes", *stages, "most added memory, MB"], rows)


def memory() -> str:
    ways = read("memory")["ways"]
    plain = ways["plain"]
    rows = [
        [
            name if name in ("plain", "all of them") else f"`{name}`",
            f"{way['beyond_weights_bytes'] / 1e6:,.0f}",
            *(f"{way[key] / plain[key]:.2f}" for key in ("beyond_weights_bytes", "cpu_seconds_per_step")),
        ]
        for name, way in ways.items()
    ]
    return markdown(["way", "MB", "of plain", "x cpu time"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "a training step": train_step,
    "share of the limit": share_of_limit,
    "where a step's time goes": step_profile,
    "evaluation": encode,
    "a second evaluation": second_evaluation,
    "recall": recall,
    "input": loader,
    "two engines": engines,
    "start-up": startup,
    "start-up, in turns": startup_turns,
    "memory of a whole run": process_memory,
    "growth with the batch": growth("growth", "batch"),
    "growth with annotation entries": growth("growth", "entries"),
    "growth with evaluation images": growth("growth_images", "images"),
    "growth with captions": growth("growth_results", "captions"),
    "growth with results": growth("growth_results", "results"),
    "growth with ranks": growth("growth_ranks", "ranks"),
    "memory": memory,
}


def main() -> None:
    for name, table in TABLES.items():
        print(f"{name}:\n\n{table()}\n")
    print(f"docs/fleet.md:\n\n{fleet()}\n")


if __name__ == "__main__":
    main()

"""The tables of docs/performance.md, made from the JSON files in benchmarks/results/.

    python -m benchmarks.tables

A test holds the page to them, so after measuring again: run this, and put what it prints in the place of the old ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


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
            found = batch["ratios"][name]
            row += [f"{found['wall']:.2f}", f"{found['cpu']:.2f}", f"{limit:.2f}" if limit else ""]
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
    return markdown(
        ["operations", *shares], [[name, *(percent(share[name]) for share in shares.values())] for name in names]
    )


def encode() -> str:
    found = read("encode")
    sides = {"images": "images", "texts": "captions", "both": "both together"}
    return markdown(
        ["what", "x faster, wall", "cpu", "share of the float32 product rate"],
        [
            [
                named,
                *(f"{found['ratios'][side][clock]:.2f}" for clock in ("wall", "cpu")),
                f"{found['share_of_limit'][side]:.2f}",
            ]
            for side, named in sides.items()
        ],
    )


def second_evaluation() -> str:
    rows = [
        [name, *(f"{ratio[clock]:,.0f}" for clock in ("wall", "cpu"))]
        for name, ratio in read("loader")["second_evaluation"]["ratios"].items()
    ]
    return markdown(["from", "x faster than transforming, wall", "cpu"], rows)


def loader() -> str:
    found = read("loader")
    rows = [
        [
            f"{name}, per core",
            *(f"{value:.0f}" for value in side["images_per_cpu_second"].values()),
            *(f"{side['ratio'][clock]:.2f}" for clock in ("wall", "cpu")),
        ]
        for name, side in found["one_core"].items()
    ]
    several = found["with_workers"]
    rows.append(
        [
            f"training, {several['workers']} workers, on the wall",
            *(f"{value:.0f}" for value in several["images_per_second"].values()),
            f"{several['ratio']['wall']:.2f}",
            "",
        ]
    )
    return markdown(["input", "ours, images/s", "plain", "x faster, wall", "cpu"], rows)


def recall() -> str:
    found = read("recall")
    rows = []
    for name, times in found["times"].items():
        ratio = found["ratios"][f"{name} / sorting"]
        milliseconds = (f"{1e3 * times[f'{clock}_seconds']:.0f}" for clock in ("wall", "cpu"))
        rows.append([name, *milliseconds, f"{ratio['wall']:.1f}", f"{ratio['cpu']:.1f}"])
    return markdown(["how", "ms", "cpu ms", "x faster than sorting, wall", "cpu"], rows)


def growth(name: str, what: str) -> Callable[[], str]:
    def table() -> str:
        rows = read(name)["growth"][what]["rows"]
        sized = "file_bytes" in rows[0]
        head = ["size", "cpu seconds", "per unit, ms"] + ["file, MB", "added peak memory, MB"] * sized
        return markdown(
            head,
            [
                [
                    f"{row['size']:,}",
                    f"{row['cpu_seconds']:.4f}",
                    f"{1e3 * row['cpu_seconds'] / row['size']:.4f}",
                    *(f"{row[key] / 1e6:,.0f}" for key in ("file_bytes", "added_peak_bytes") if sized),
                ]
                for row in rows
            ],
        )

    return table


def memory() -> str:
    ways = read("memory")["ways"]
    plain = ways["plain"]
    rows = [
        [
            name if name in ("plain", "all of them") else f"`{name}`",
            f"{found['beyond_weights_bytes'] / 1e6:,.0f}",
            f"{found['beyond_weights_bytes'] / plain['beyond_weights_bytes']:.2f}",
            f"{found['cpu_seconds_per_step'] / plain['cpu_seconds_per_step']:.2f}",
        ]
        for name, found in ways.items()
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


if __name__ == "__main__":
    main()

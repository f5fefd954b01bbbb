"""How often `clipbench diagnose` calls a healthy node slow, and how often it finds a slow one, on simulated fleets.

    python -m benchmarks.sick_nodes [--quick] [--trials 1000] [--seed 1] [--out benchmarks/results/sick_nodes.json]

The logarithm of a run's pairs/s is normal about its node's, and that about the fleet's. A slow node is one of the
fleet, and a third of the trials is made of it. Every fleet is judged twice: with the smallest loss that counts by
default, and with none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Record, arguments, parse
from clipbench.compare.nodes.outliers import speeds

NOTHING = 1e-9
LIMITS = {"default": 0.03, "none": NOTHING}
Random = np.random.Generator


@dataclass(frozen=True)
class Fleet:
    """``runs`` of each of ``nodes``, that spread by ``noise``; ``tails``: by Student's t of so many degrees.

    ``sick`` is the share of other nodes that are 10 % slow, ``slow`` how slow the first one is. With ``uneven`` runs,
    every tenth node has one run.
    """

    nodes: int = 1_000
    runs: int = 1
    noise: float = 0.02
    slow: float = 0.0
    sick: float = 0.0
    tails: int = 0
    uneven: bool = False


FLEETS: Sequence[tuple[str, Fleet]] = (
    ("healthy, 5 nodes", Fleet(nodes=5)),
    ("healthy, 10 nodes", Fleet(nodes=10)),
    ("healthy, 30 nodes", Fleet(nodes=30)),
    ("healthy, 100 nodes", Fleet(nodes=100)),
    ("healthy, 1,000 nodes", Fleet()),
    ("healthy, 1,000 nodes of 3 runs", Fleet(runs=3)),
    ("healthy, 1,000 nodes of 5 runs, every tenth of 1", Fleet(runs=5, uneven=True)),
    ("healthy, 1,000 nodes, noise of 0.5 %", Fleet(noise=0.005)),
    ("healthy, 1,000 nodes, heavy tails (Student's t of 5)", Fleet(tails=5)),
    ("the same, 9 runs", Fleet(runs=9, tails=5)),
    ("5 % slow, windows noisy by 2 %, 40 a run", Fleet(noise=0.02 / math.sqrt(40), slow=0.05)),
    ("the same, 30 nodes", Fleet(nodes=30, noise=0.02 / math.sqrt(40), slow=0.05)),
    ("5 % slow, runs noisy by 2 %, 1 run", Fleet(slow=0.05)),
    ("5 % slow, runs noisy by 2 %, 3 runs", Fleet(runs=3, slow=0.05)),
    ("5 % slow, runs noisy by 2 %, 6 runs", Fleet(runs=6, slow=0.05)),
    ("5 % slow, runs noisy by 2 %, 12 runs", Fleet(runs=12, slow=0.05)),
    ("the same, and every fifth of the others 10 % slow", Fleet(runs=12, slow=0.05, sick=0.2)),
)


def simulated(fleet: Fleet, random: Random) -> dict[int, list[float]]:
    """Return the pairs/s of every run, by node."""
    shape = fleet.nodes, fleet.runs
    noise = random.standard_t(fleet.tails, shape) if fleet.tails else random.standard_normal(shape)
    of_node = np.zeros(fleet.nodes)
    of_node[1 : 1 + round(fleet.sick * fleet.nodes)] = math.log(0.9)
    of_node[0] = math.log(1 - fleet.slow)
    rates = 1000 * np.exp(of_node[:, None] + fleet.noise * noise)
    return {node: own[: 1 if fleet.uneven and node % 10 == 0 else None] for node, own in enumerate(rates.tolist())}


def trial(fleet: Fleet, random: Random, *limits: float) -> list[tuple[bool, bool]]:
    """Return, for each smallest loss that counts, whether a healthy node was called slow, and whether the first was."""
    judged = speeds(simulated(fleet, random), fleet.nodes, NOTHING)
    healthy = range(1 + round(fleet.sick * fleet.nodes), fleet.nodes)

    def slow(node: int, least: float) -> bool:
        return judged[node].slow and judged[node].below > least

    return [(any(slow(node, least) for node in healthy), slow(0, least)) for least in limits]


def row(name: str, fleet: Fleet, trials: int, random: Random) -> dict[str, Any]:
    """Return the shares of trials with a false alarm, and of those that found the slow node, for both limits."""
    trials = max(1, trials // 3) if fleet.slow else trials
    outcomes = [trial(fleet, random, *LIMITS.values()) for _ in range(trials)]
    shares = {}
    for place, limit in enumerate(LIMITS):
        alarms, first = ([outcome[place][which] for outcome in outcomes] for which in (0, 1))
        if not fleet.slow:  # the first node is healthy too
            alarms = [one or other for one, other in zip(alarms, first, strict=True)]
        shares[limit] = {"false_alarm": sum(alarms) / trials, "found": sum(first) / trials if fleet.slow else None}
    done = {"fleet": name, **asdict(fleet), "trials": trials, "least": shares}
    print(line(done), flush=True)
    return done


def line(done: dict[str, Any]) -> str:
    """Return one row of the table in docs/fleet.md."""
    cells = []
    for limit in LIMITS:
        share = done["least"][limit]
        cells.append(f"{share['false_alarm']:.1%}")
        cells.append("" if share["found"] is None else f"{share['found']:.1%}")
    return f"| {done['fleet']} | {' | '.join(cells)} |".replace("%", " %").replace("  %", " %")


def table(path: Path) -> str:
    """Return all rows of a file as docs/fleet.md has them."""
    return "\n".join(map(line, json.loads(path.read_text(encoding="utf-8"))["rows"]))


def main() -> None:
    chosen = parse(arguments(__doc__, trials=1_000, seed=20_261_126), trials=4)
    record, random = Record("sick_nodes", chosen), np.random.default_rng(chosen.seed)
    record.save(rows=[row(name, fleet, chosen.trials, random) for name, fleet in FLEETS])


if __name__ == "__main__":
    main()

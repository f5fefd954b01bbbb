"""How often the gate against a baseline raises a false alarm, and how often it finds a loss, on simulated runs.

    python -m benchmarks.false_alarms [--out benchmarks/results/false_alarms.json] [--trials 2000] [--seed 1]

Recalls: every query has a difficulty, shared by both runs, and noise of its own in each run, part of it shared by the
queries of one image; a rank is below K where the sum is below a threshold. Thresholds give the published recalls; a
loss moves them until the expected overall recall mean has lost so many points. Throughput: windows with correlated
noise, and runs that differ as wholes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from benchmarks.harness import Record, arguments, parse
from clipbench.api.result import EpochMetrics, Metrics, QueryRanks, Result
from clipbench.compare.deciding import by_significance
from clipbench.compare.statistics.bootstrap import hits_of
from clipbench.compare.statistics.more_runs import runs_needed
from clipbench.compare.statistics.significance import (
    RUNS_TO_RANK,
    Effect,
    Limits,
    Thresholds,
    recall_effects,
    speed_effect,
)
from clipbench.compare.verdicts import Cause, status_of
from clipbench.results.measures.metrics import RECALL_AT, RECALL_NAMES, metric
from tests.support.made_results import made_result

IMAGES, CAPTIONS = 1_000, 5
# As published for the fine-tuned ViT-B/16: shares of hits at 1, 5 and 10.
RECALLS = {"text": (0.857, 0.973, 0.992), "image": (0.7178, 0.9412, 0.9734)}
NORMAL = NormalDist()
TEMPLATE = made_result()
THRESHOLDS = Thresholds()
VERDICTS = ("fail", "inconclusive", "better", "pass")
Random = np.random.Generator


@dataclass(frozen=True)
class Recalls:
    """How runs differ: ``noise`` is the share of a query's difficulty that is drawn anew in each run, ``runs`` the
    standard deviation of a whole run and ``loss`` what is lost, both in points of overall recall mean."""

    noise: float
    runs: float = 0.0
    loss: float = 0.0
    repeats: int = 1
    seeds: str = "one seed"


@dataclass(frozen=True)
class Speed:
    """``noise`` of a window and ``runs`` of a whole run as shares; ``correlation`` of neighbouring windows."""

    noise: float
    slowdown: float = 0.0
    correlation: float = 0.0
    runs: float = 0.0
    repeats: int = 1
    windows: int = 200


def shift_for(points: float) -> float:
    """Return the shift of all thresholds that costs so many points of overall recall mean, by bisection."""
    low, high = -3.0, 3.0
    for _ in range(60):
        middle = (low + high) / 2
        lost = 100 * sum(p - NORMAL.cdf(NORMAL.inv_cdf(p) - middle) for side in RECALLS.values() for p in side) / 6
        low, high = (middle, high) if lost < points else (low, middle)
    return low


def simulated_result(
    difficulty: dict[str, np.ndarray], case: Recalls, lost: float, seed: int, random: Random
) -> Result:
    """Return a result with the query ranks of one run on queries of a given difficulty."""
    owner = np.repeat(np.arange(IMAGES), CAPTIONS)
    of_image = random.standard_normal(IMAGES)
    shift = shift_for(lost + case.runs * random.standard_normal()) if lost or case.runs else 0.0
    sides = {}
    for side, shares in RECALLS.items():
        shared = of_image if side == "text" else of_image[owner]
        own = random.standard_normal(len(shared))
        drawn = math.sqrt(0.3) * shared + math.sqrt(0.7) * own
        score = math.sqrt(1 - case.noise) * difficulty[side] + math.sqrt(case.noise) * drawn + shift
        sides[side] = np.select([score < NORMAL.inv_cdf(p) for p in shares], [k - 1 for k in RECALL_AT], RECALL_AT[-1])
    ranks = QueryRanks(1, sides["text"], sides["image"], owner)
    last = EpochMetrics(1, {name: metric(name, value, None) for name, value in hits_of(ranks).recalls().items()})
    return replace(TEMPLATE, seed=seed, query_ranks=ranks, metrics=Metrics(last, last))


def recall_trial(case: Recalls, random: Random) -> tuple[str, bool]:
    """Return the whole verdict over all recalls, and whether the overall recall mean alone fails."""
    statuses = {
        name: status
        for name, (status, _) in recall_verdicts(*[side(case.repeats) for side in recall_world(case, random)])
    }
    return worst(statuses.values()), statuses["recall_mean"] == "fail"


def recall_world(case: Recalls, random: Random) -> list[Callable[[int], list[Result]]]:
    """Return both sides of a trial: each gives its first so many runs, the same ones however often it is asked."""
    of_image = random.standard_normal(IMAGES)
    owner = np.repeat(np.arange(IMAGES), CAPTIONS)
    difficulty = {
        "text": math.sqrt(0.3) * of_image + math.sqrt(0.7) * random.standard_normal(IMAGES),
        "image": math.sqrt(0.3) * of_image[owner] + math.sqrt(0.7) * random.standard_normal(IMAGES * CAPTIONS),
    }
    apart = {"one seed": (0, 0), "same seeds": (1, 0), "other seeds": (1, 1_000)}[case.seeds]

    def side(lost: float, first: int) -> Callable[[int], list[Result]]:
        def make(number: int) -> Result:
            return simulated_result(difficulty, case, lost, apart[0] * number + first, random)

        return grown(make)

    return [side(case.loss, 0), side(0.0, apart[1])]


def grown(make: Callable[[int], Any]) -> Callable[[int], list[Any]]:
    """Return what gives the first so many of ``make(0)``, ``make(1)`` ..., each made once."""
    made: list[Any] = []

    def first(count: int) -> list[Any]:
        made.extend(make(number) for number in range(len(made), count))
        return made[:count]

    return first


def recall_verdicts(ours: Sequence[Result], theirs: Sequence[Result]) -> list[tuple[str, tuple[str, int | None]]]:
    """Return the status of each recall, and how many seeds a side would decide where it is inconclusive."""
    effects = recall_effects(ours, theirs, THRESHOLDS)
    return [(name, judged(effect, THRESHOLDS.of_recall(name))) for name, effect in effects.items()]


def judged(effect: Effect, limits: Limits) -> tuple[str, int | None]:
    """Return the status of an effect, and how many runs a side would decide what is inconclusive."""
    cause = by_significance(effect, limits).cause
    status = status_of(cause)
    needed = RUNS_TO_RANK if cause is Cause.OUTLIERS else runs_needed(effect, limits)
    return status, needed if status == "inconclusive" else None


def recall_advice(case: Recalls, random: Random) -> tuple[int, bool] | None:
    """Return how many seeds a side were advised where a trial is inconclusive, and whether they decided it."""
    ours, theirs = recall_world(case, random)
    first = [verdict for _, verdict in recall_verdicts(ours(case.repeats), theirs(case.repeats))]
    advised = [needed for status, needed in first if status == "inconclusive" and needed]
    if worst(status for status, _ in first) != "inconclusive" or not advised:
        return None
    again = recall_verdicts(ours(max(advised)), theirs(max(advised)))
    return max(advised), worst(status for _, (status, _) in again) != "inconclusive"


def simulated_windows(case: Speed, slower: float, random: Random) -> list[float]:
    """Return seconds per pair of the windows of one run."""
    noise = random.standard_normal(case.windows)
    for k in range(1, case.windows):
        noise[k] = case.correlation * noise[k - 1] + math.sqrt(1 - case.correlation**2) * noise[k]
    whole = 1 + case.runs * random.standard_normal()
    return list(0.01 * whole / (1 - slower) * np.maximum(1 + case.noise * noise, 0.1))


def speed_trial(case: Speed, random: Random) -> str:
    return speed_verdict(*[side(case.repeats) for side in speed_world(case, random)])[0]


def speed_world(case: Speed, random: Random) -> list[Callable[[int], list[list[float]]]]:
    """Return both sides of a trial, as ``recall_world`` does."""

    def side(slower: float) -> Callable[[int], list[list[float]]]:
        return grown(lambda _: simulated_windows(case, slower, random))

    return [side(case.slowdown), side(0.0)]


def speed_verdict(ours: Sequence[list[float]], theirs: Sequence[list[float]]) -> tuple[str, int | None]:
    """Return the status, and how many runs a side would decide where it is inconclusive."""
    rates = tuple(float(np.mean([len(run) / sum(run) for run in side])) for side in (ours, theirs))
    limits = THRESHOLDS.of_speed()
    return judged(speed_effect(ours, theirs, limits, (rates[0], rates[1])), limits)


def speed_advice(case: Speed, random: Random, share: float = 1.0) -> tuple[int, bool] | None:
    """Return how many runs a side were advised where a trial is inconclusive, and whether they decided it.

    ``share`` of the runs that were advised are made.
    """
    ours, theirs = speed_world(case, random)
    status, needed = speed_verdict(ours(case.repeats), theirs(case.repeats))
    if status != "inconclusive" or not needed:
        return None
    made = max(case.repeats, math.ceil(share * needed))
    return needed, speed_verdict(ours(made), theirs(made))[0] != "inconclusive"


def worst(statuses: Iterable[str]) -> str:
    return min(statuses, key=VERDICTS.index)


def discordant(case: Recalls, random: Random) -> dict[str, float]:
    """Return the share of queries that one run finds at 1 and another does not: what the noise comes to."""
    both = [recall_discordance(case, random) for _ in range(20)]
    return {side: float(np.mean([pair[side] for pair in both])) for side in RECALLS}


def recall_discordance(case: Recalls, random: Random) -> dict[str, float]:
    difficulty = {"text": random.standard_normal(IMAGES), "image": random.standard_normal(IMAGES * CAPTIONS)}
    runs = [simulated_result(difficulty, case, 0.0, 0, random).query_ranks for _ in range(2)]
    return {side: float(np.mean((getattr(runs[0], side) < 1) != (getattr(runs[1], side) < 1))) for side in RECALLS}


RECALL_CASES: Sequence[tuple[str, Recalls]] = (
    ("no change, queries differ a little", Recalls(noise=0.005)),
    ("no change, queries differ as between seeds", Recalls(noise=0.12)),
    ("no change, runs spread by 0.1 points", Recalls(noise=0.05, runs=0.1)),
    ("no change, 3 seeds against 3 others, spread 0.3", Recalls(noise=0.12, runs=0.3, repeats=3, seeds="other seeds")),
    ("1.5 points lost, queries differ a little", Recalls(noise=0.005, loss=1.5)),
    ("1.5 points lost, queries differ as between seeds", Recalls(noise=0.12, loss=1.5)),
    (
        "1.5 points lost, 3 seeds, each on both sides",
        Recalls(noise=0.12, runs=0.1, loss=1.5, repeats=3, seeds="same seeds"),
    ),
    ("1.5 points lost, one seed against another", Recalls(noise=0.12, runs=0.3, loss=1.5, seeds="other seeds")),
)
SPEED_CASES: Sequence[tuple[str, Speed]] = (
    ("no change, 2% noise", Speed(0.02)),
    ("no change, 2% noise, neighbours correlate by 0.8", Speed(0.02, correlation=0.8)),
    ("no change, 10% noise", Speed(0.10)),
    ("no change, 2% noise, runs spread by 0.75%", Speed(0.02, runs=0.0075)),
    ("no change, 2% noise, runs spread by 2%", Speed(0.02, runs=0.02)),
    ("no change, 2% noise, runs spread by 2%, 3 runs a side", Speed(0.02, runs=0.02, repeats=3)),
    ("no change, 2% noise, runs spread by 2%, 6 runs a side", Speed(0.02, runs=0.02, repeats=6)),
    ("5% slower, 2% noise", Speed(0.02, slowdown=0.05)),
    ("5% slower, 2% noise, neighbours correlate by 0.8", Speed(0.02, slowdown=0.05, correlation=0.8)),
    ("5% slower, 2% noise, 30 windows a run", Speed(0.02, slowdown=0.05, windows=30)),
    ("5% slower, 2% noise, runs spread by 0.5%", Speed(0.02, slowdown=0.05, runs=0.005)),
    ("5% slower, 2% noise, runs spread by 0.5%, 3 runs a side", Speed(0.02, slowdown=0.05, runs=0.005, repeats=3)),
    ("5% slower, 2% noise, runs spread by 2%, 6 runs a side", Speed(0.02, slowdown=0.05, runs=0.02, repeats=6)),
)


def rates(statuses: Sequence[str]) -> dict[str, float]:
    """Return the share of each verdict."""
    return {name: statuses.count(name) / len(statuses) for name in VERDICTS}


def recall_row(name: str, case: Recalls, trials: int, random: Random) -> dict[str, Any]:
    verdicts = [recall_trial(case, random) for _ in range(trials)]
    row = {"case": name, "trials": trials, **asdict(case), **rates([status for status, _ in verdicts])}
    return row | {
        "recall_mean_fails": sum(fails for _, fails in verdicts) / trials,
        "discordant": discordant(case, random),
    }


def speed_row(name: str, case: Speed, trials: int, random: Random) -> dict[str, Any]:
    return {"case": name, "trials": trials, **asdict(case), **rates([speed_trial(case, random) for _ in range(trials)])}


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """Print a row as soon as it is there, and return it."""
    print(f"{row['case']:<58} {'  '.join(f'{name} {row[name]:6.2%}' for name in VERDICTS)}", flush=True)
    return row


def table(recall: Sequence[dict[str, Any]], speed: Sequence[dict[str, Any]]) -> str:
    """Return the figures as docs/comparing.md has them."""
    lines = []
    for kind, rows in (("recall", recall), ("throughput", speed)):
        lines += [f"| {kind} | trials | `fail` | `inconclusive` | `better` | `pass` |", "|---|---|---|---|---|---|"]
        for row in rows:
            shares = " | ".join(f"{100 * row[name]:.1f} %" for name in VERDICTS)
            lines.append(f"| {row['case'].replace('%', ' %')} | {row['trials']} | {shares} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def main() -> None:
    chosen = parse(arguments(__doc__, trials=2_000, seed=20_261_123), trials=4)
    record, random, begun = Record("false_alarms", chosen), np.random.default_rng(chosen.seed), time.perf_counter()
    recall = [shown(recall_row(name, case, max(1, chosen.trials // 4), random)) for name, case in RECALL_CASES]
    speed = [shown(speed_row(name, case, chosen.trials, random)) for name, case in SPEED_CASES]
    seconds, names = time.perf_counter() - begun, list(RECALL_NAMES)
    record.save(
        seed=chosen.seed, seconds=seconds, thresholds=asdict(THRESHOLDS), metrics=names, recall=recall, speed=speed
    )
    print(table(recall, speed))


if __name__ == "__main__":
    main()

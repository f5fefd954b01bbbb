"""How large and how sure the difference between runs is: recalls over the same queries, throughput by windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipbench.compare.verdicts import VerdictStatus
from clipbench.results.metrics import RECALL_NAMES
from clipbench.results.references import finite_number
from clipbench.results.result import Result

if TYPE_CHECKING:
    from clipbench.compare.bootstrap import Floats, Hits

RECALL_ALPHA = 0.005  # chance that any of the nine recalls is called worse though nothing changed
SPEED_ALPHA = 0.002  # the same for throughput
# Degrees of freedom that assumed spreads weigh as much as: of recalls, of throughput.
RECALL_WEIGHT, SPEED_WEIGHT = 10, 4
SEED_SPREAD = 0.5  # of the least effect: how far single seeds are taken to spread until they tell
REPEAT_SPREAD = 0.25  # of the least effect: how far repeats of one seed are taken to spread until they tell
RUNS_FOR_RANKS = 6  # repeats on each side from which runs are ranked, not windows


@dataclass(frozen=True)
class Thresholds:
    """The least effects that count: points of recall, for a mean and for one R@K; a share of throughput."""

    recall_mean: float = 0.5
    recall_at: float = 1.0
    speed: float = 0.03

    def of_recall(self, name: str) -> Limits:
        if "@" in name:
            return Limits(self.recall_at, 4 * self.recall_at, RECALL_ALPHA / len(RECALL_NAMES), 0.02)
        return Limits(self.recall_mean, 3 * self.recall_mean, RECALL_ALPHA / len(RECALL_NAMES), 0.02)

    def of_speed(self) -> Limits:
        return Limits(self.speed, 3 * self.speed, SPEED_ALPHA, 0.05)


@dataclass(frozen=True)
class Limits:
    """What is held against an effect, in its unit: the ``least`` that counts, the loss that must be ruled out to pass
    (``open``), and the chances at which it is sure (``alpha``) and at which it is suspicious (``doubtful``)."""

    least: float
    open: float
    alpha: float
    doubtful: float


@dataclass(frozen=True)
class Effect:
    """How one figure differs from the baseline's.

    ``gain`` is positive on the good side; ``error`` is half the width of its 95 % interval; ``worse`` and ``better``
    are the chances of at least so much on either side if nothing had changed; ``doubt`` is what speaks against it.
    """

    gain: float
    error: float
    worse: float
    better: float
    limits: Limits
    doubt: str | None = None

    @property
    def chance(self) -> float:
        """Of so much on the side on which it is."""
        return self.worse if self.gain < 0 else self.better

    def judge(self) -> tuple[VerdictStatus, str | None]:
        """Status, and why it is inconclusive: fails and is better only where it is both large enough and sure."""
        large = abs(self.gain) >= self.limits.least
        if large and not self.doubt and self.chance <= self.limits.alpha:
            return ("fail", None) if self.gain < 0 else ("better", None)
        if large and self.gain < 0 and (self.doubt or self.chance <= self.limits.doubtful):
            return "inconclusive", self.doubt or "it may still be chance"
        if self.gain - self.error < -self.limits.open:
            return "inconclusive", f"the error leaves a loss of {self.limits.open:g} open"
        return "pass", None


# --- recall -------------------------------------------------------------------------------------------------------


def recall_effects(
    ours: Sequence[Result], theirs: Sequence[Result], thresholds: Thresholds
) -> tuple[dict[str, Effect], str | None]:
    """Effects by recall and how they were found; none where ranks are missing or do not give the stated recall."""
    hits = [[hit for hit in map(checked_hits, side) if hit is not None] for side in (ours, theirs)]
    if len(hits[0]) < len(ours) or len(hits[1]) < len(theirs):
        return {}, None
    return _recall_effects(hits, ours, theirs, thresholds)


def _recall_effects(
    hits: Sequence[Sequence[Hits]], ours: Sequence[Result], theirs: Sequence[Result], thresholds: Thresholds
) -> tuple[dict[str, Effect], str]:
    """Effects by recall, over draws of the images and, with what repeats say, of the runs."""
    import numpy as np

    from clipbench.compare import bootstrap as stats
    from clipbench.compare.rank_test import student_draws

    means = [stats.mean_hits(side) for side in hits]
    same_queries = _same_queries(ours, theirs) and means[0].images == means[1].images
    draws = (stats.paired_draws if same_queries else stats.unpaired_draws)(means[0], means[1])
    errors, degrees, words = _run_errors(hits, ours, theirs, thresholds)
    draws += student_draws(degrees, len(draws), stats.SEED + 2)[:, None] * np.asarray(errors)
    gains = [a - b for a, b in zip(means[0].recalls().values(), means[1].recalls().values(), strict=True)]
    count = len(draws) + 1
    effects = {}
    for name, gain, column in zip(RECALL_NAMES, gains, draws.T, strict=True):
        low, high = np.percentile(column, [2.5, 97.5])
        worse, better = (1 + int((column >= 0).sum())) / count, (1 + int((column <= 0).sum())) / count
        effects[name] = Effect(gain, float(high - low) / 2, worse, better, thresholds.of_recall(name))
    way = "paired" if same_queries else "unpaired"
    return effects, f"{way} bootstrap over {means[0].images} images; {words}"


def _run_errors(
    hits: Sequence[Sequence[Hits]], ours: Sequence[Result], theirs: Sequence[Result], thresholds: Thresholds
) -> tuple[list[float], int, str]:
    """Standard error of each recall's difference that comes of runs, its degrees of freedom, and that in words.

    With the same seeds on both sides runs are paired by seed. With other seeds, seeds are what is drawn. What single
    runs cannot tell is assumed: seeds spread by half the least effect, repeats of one seed by a quarter of it.
    """
    import numpy as np

    from clipbench.compare.rank_test import spread_of_runs

    sides = []
    for side, results in zip(hits, (ours, theirs), strict=True):
        by_seed: dict[int, list[list[float]]] = {}
        for hit, result in zip(side, results, strict=True):
            by_seed.setdefault(result["seed"], []).append(list(hit.recalls().values()))
        sides.append({seed: np.asarray(runs) for seed, runs in by_seed.items()})
    first, second = sides
    same = first.keys() == second.keys()
    assumed = [thresholds.of_recall(name).least * (REPEAT_SPREAD if same else SEED_SPREAD) for name in RECALL_NAMES]
    if same and len(first) > 1:
        units = [np.asarray([first[seed].mean(axis=0) - second[seed].mean(axis=0) for seed in first])]
        assumed = [math.sqrt(2) * spread for spread in assumed]
        words = f"{len(first)} seeds, each on both sides"
    elif same:
        units = [next(iter(side.values())) for side in sides]
        words = "one seed on both sides"
    else:
        units = [np.asarray([runs.mean(axis=0) for runs in side.values()]) for side in sides]
        words = f"{len(first)} seeds against {len(second)} others"
    scale = math.sqrt(sum(1 / len(side) for side in units))
    spreads = [
        spread_of_runs(at, RECALL_WEIGHT, *(side[:, column] for side in units)) for column, at in enumerate(assumed)
    ]
    return [spread * scale for spread, _ in spreads], spreads[0][1], words


def checked_hits(result: Result) -> Hits | None:
    """Hits of the last evaluation, if they give the recall that the result states."""
    from clipbench.compare.bootstrap import hits_of

    last, ranks = result["metrics"]["last"], result["ranks"]
    if last is None or ranks is None or ranks["epoch"] != last["epoch"]:
        return None
    hits = hits_of(ranks)
    stated = finite_number(last["values"].get("recall_mean", {}).get("value"))
    agrees = hits is not None and stated is not None and abs(hits.recalls()["recall_mean"] - stated) < 1e-6
    return hits if agrees else None


def _same_queries(ours: Sequence[Result], theirs: Sequence[Result]) -> bool:
    return (ours[0]["dataset"] or {}).get("val") == (theirs[0]["dataset"] or {}).get("val")


# --- speed --------------------------------------------------------------------------------------------------------


def speed_effect(
    ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], gain: float, limits: Limits
) -> tuple[Effect, str]:
    """Effect on throughput as a share of the baseline's, from each run's seconds per pair, window by window.

    Blocks of windows are ranked, and runs as well from ``RUNS_FOR_RANKS`` on each side. With fewer runs, yet more than
    one, the difference must also stand out from how runs spread.
    """
    import numpy as np

    from clipbench.compare import rank_test as samples

    runs = [[float(np.mean(run)) for run in side] for side in (ours, theirs)]
    blocks = [np.concatenate([samples.block_means(run) for run in side]) for side in (ours, theirs)]
    if min(map(len, runs)) >= RUNS_FOR_RANKS:
        worse, better, error = _ranked(runs[0], runs[1])
        detail = f"rank test over {len(runs[0])} and {len(runs[1])} runs"
    elif math.comb(len(blocks[0]) + len(blocks[1]), len(blocks[0])) > 1 / SPEED_ALPHA:
        worse, better, error = _ranked(blocks[0], blocks[1])
        detail = f"rank test over {len(blocks[0])} and {len(blocks[1])} blocks of windows"
    else:
        worse, better, error = _spread(blocks[0], blocks[1], limits.least)
        detail = f"t test over {len(blocks[0])} and {len(blocks[1])} blocks of windows, too few to rank"
    if max(map(len, runs)) > 1 and min(map(len, runs)) < RUNS_FOR_RANKS:
        by_runs = _spread(runs[0], runs[1], REPEAT_SPREAD * limits.least)
        worse, better, error = (max(pair) for pair in zip((worse, better, error), by_runs, strict=True))
        detail += f", {len(runs[0])} and {len(runs[1])} runs as they spread"
    medians = [float(np.median(np.concatenate([np.asarray(run) for run in side]))) for side in (ours, theirs)]
    typical = medians[1] / medians[0] - 1
    doubt = None
    if abs(gain) >= limits.least and (abs(typical) < limits.least or (gain < 0) != (typical < 0)):
        doubt = f"the median window is {typical:+.1%}: a few windows make the difference"
    return Effect(gain, error, worse, better, limits, doubt), detail


def _ranked(ours: Sequence[float] | Floats, theirs: Sequence[float] | Floats) -> tuple[float, float, float]:
    """Chances that ours is slower and faster for nothing, by ranks, and half the 95 % interval of the log ratio."""
    import numpy as np

    from clipbench.compare.rank_test import rank_test

    error = 1.96 * math.sqrt(sum(float(np.log(side).var(ddof=1)) / len(side) for side in (ours, theirs)))
    return rank_test(theirs, ours), rank_test(ours, theirs), error


def _spread(
    ours: Sequence[float] | Floats, theirs: Sequence[float] | Floats, assumed: float
) -> tuple[float, float, float]:
    """The same by Student's t for few samples, which are taken to spread by ``assumed`` until they tell."""
    import numpy as np

    from clipbench.compare.rank_test import spread_of_runs, student_draws

    sides = [np.log(side) for side in (ours, theirs)]
    spread, degrees = spread_of_runs(assumed, SPEED_WEIGHT, *sides)
    draws = spread * math.sqrt(sum(1 / len(side) for side in sides)) * student_draws(degrees, 100_000, seed=3)
    apart = float(sides[0].mean() - sides[1].mean())
    error = float(np.percentile(np.abs(draws), 95))
    return float(np.mean(draws >= apart)), float(np.mean(draws <= apart)), error


def seconds_per_pair(result: Result) -> list[float]:
    """Of every timed window of a run; windows cut short by the end of an epoch are left out."""
    windows = [window for record in result["epochs"] for window in record["windows"] if window[0] > 0 and window[1] > 0]
    longest = max((window[0] for window in windows), default=0)
    batch = result["config"]["train"]["batch_size"]
    return [window[1] / (window[0] * batch) for window in windows if 2 * window[0] > longest]


def pairs_per_second(side: Sequence[Sequence[float]]) -> float:
    """Pairs per second over all windows of all runs, every run counting the same."""
    return len(side) / sum(sum(run) / len(run) for run in side)

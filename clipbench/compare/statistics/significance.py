"""How large and how sure a difference is: recalls and accuracies over the same pictures, throughput by windows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clipbench.api import QueryRanks, Result, value_at
from clipbench.compare.statistics import bootstrap
from clipbench.compare.statistics.bootstrap import Floats, Hits, hits_of, hits_of_classes
from clipbench.compare.statistics.rank_test import block_means, rank_test, spread_of_runs, student_draws
from clipbench.compare.verdicts import Bootstrap, TimingTest
from clipbench.results.measures.metrics import ACCURACY_NAMES, BEST_METRIC, RECALL_NAMES

# Chance that any of the nine recalls is called worse though nothing changed; with three accuracies a third more.
RECALL_ALPHA = 0.005
SPEED_ALPHA = 0.002  # the same for throughput
# Degrees of freedom that assumed spreads weigh as much as: of recalls, of throughput.
RECALL_WEIGHT, SPEED_WEIGHT = 10, 4
SEED_SPREAD = 0.5  # of the smallest effect: assumed spread of single seeds, until they show their own
REPEAT_SPREAD = 0.25  # of the smallest effect: assumed spread of repeats of one seed, until they show their own
RUNS_TO_RANK = 6  # repeats on each side from which runs are ranked, not windows


@dataclass(frozen=True)
class Limits:
    """What an effect is compared with, in its unit.

    ``min_effect`` is the smallest that counts, ``max_undetected_loss`` the loss that must be ruled out to pass;
    ``alpha`` and ``warn_alpha`` are the p-values up to which it is sure, and suspicious.
    """

    min_effect: float
    max_undetected_loss: float
    alpha: float
    warn_alpha: float


@dataclass(frozen=True)
class Thresholds:
    """The smallest effects that count: points, of a mean recall, and of one R@K or accuracy; a share of throughput."""

    recall_mean: float = 0.5
    recall_at: float = 1.0
    speed: float = 0.03

    def of_recall(self, name: str) -> Limits:
        """Return the limits of one recall or accuracy, in points."""
        if "@" in name or name in ACCURACY_NAMES:
            return Limits(self.recall_at, 4 * self.recall_at, RECALL_ALPHA / len(RECALL_NAMES), 0.02)
        return Limits(self.recall_mean, 3 * self.recall_mean, RECALL_ALPHA / len(RECALL_NAMES), 0.02)

    def of_speed(self) -> Limits:
        """Return the limits of throughput, as shares."""
        return Limits(self.speed, 3 * self.speed, SPEED_ALPHA, 0.05)


@dataclass(frozen=True)
class Effect:
    """How one figure differs from the baseline's, in points of recall or as a share of the baseline's throughput.

    ``gain`` is positive on the good side; ``error`` is half the width of its 95 % interval; ``worse`` and ``better``
    are the chances of at least so much on either side if nothing had changed. ``runs`` has the number on each side
    (of recalls: of seeds), ``spread`` is the standard deviation of the figure of one, as far as it is known, and
    ``degrees`` the degrees of freedom that its assumed part weighs as much as. ``typical`` is the gain of the median
    window, None where windows decide nothing. ``scale`` is the metric's unit in units of the effect.
    """

    gain: float
    error: float
    worse: float
    better: float
    evidence: Bootstrap | TimingTest
    runs: tuple[int, int]
    spread: float
    degrees: int
    typical: float | None = None
    scale: float = 1.0

    @property
    def p_value(self) -> float:
        """The chance of so much on the side on which it is."""
        return self.worse if self.gain < 0 else self.better


# --- recall -------------------------------------------------------------------------------------------------------


def recall_effects(ours: Sequence[Result], theirs: Sequence[Result], thresholds: Thresholds) -> dict[str, Effect]:
    """Return effects by recall, over draws of the images and, with what repeats show, of the runs.

    None at all where query ranks are missing or do not give the recall that the result states.
    """
    return _effects(ours, theirs, checked_hits, thresholds)


def accuracy_effects(ours: Sequence[Result], theirs: Sequence[Result], thresholds: Thresholds) -> dict[str, Effect]:
    """Return effects by accuracy of a classification, as ``recall_effects`` does; none where there was none."""
    return _effects(ours, theirs, last_hits_of_classes, thresholds)


def _effects(
    ours: Sequence[Result], theirs: Sequence[Result], hits_in: Callable[[Result], Hits | None], thresholds: Thresholds
) -> dict[str, Effect]:
    hits = [_all_hits(side, hits_in) for side in (ours, theirs)]
    names = {hit.names for side in hits for hit in side}
    if not all(hits) or len(names) > 1:
        return {}
    means = [bootstrap.mean_hits(side) for side in hits]
    images = len(means[0].table)
    same_split = value_at(ours[0], "dataset.val") == value_at(theirs[0], "dataset.val")
    paired = same_split and images == len(means[1].table)
    draws = (bootstrap.paired_draws if paired else bootstrap.unpaired_draws)(means[0], means[1])
    seeds = [_by_seed(side, results) for side, results in zip(hits, (ours, theirs), strict=True)]
    errors, degrees = _run_errors(seeds[0], seeds[1], [thresholds.of_recall(name) for name in means[0].names])
    draws += student_draws(degrees, len(draws), bootstrap.SEED + 2)[:, None] * np.asarray(errors)
    evidence = Bootstrap(images, paired, (len(seeds[0]), len(seeds[1])), seeds[0].keys() == seeds[1].keys())
    recalls = [mean.recalls() for mean in means]
    columns = zip(means[0].names, draws.T, strict=True)
    return {name: _of_draws(recalls[0][name] - recalls[1][name], column, evidence) for name, column in columns}


def _all_hits(results: Sequence[Result], hits_in: Callable[[Result], Hits | None]) -> list[Hits]:
    """Return the hits of every result; none where any has none."""
    hits = [hit for hit in map(hits_in, results) if hit]
    return hits if len(hits) == len(results) else []


def _of_draws(gain: float, draws: Floats, evidence: Bootstrap) -> Effect:
    low, high = np.percentile(draws, [2.5, 97.5])
    count = len(draws) + 1
    worse, better = (1 + int((draws >= 0).sum())) / count, (1 + int((draws <= 0).sum())) / count
    error = float(high - low) / 2
    return Effect(gain, error, worse, better, evidence, evidence.seeds, _of_one(error, evidence.seeds), RECALL_WEIGHT)


def _of_one(error: float, runs: tuple[int, int]) -> float:
    """Return the standard deviation of one run's figure, from half the 95 % interval of a difference of means."""
    return error / 1.96 / math.sqrt(sum(1 / count for count in runs))


def _by_seed(hits: Sequence[Hits], results: Sequence[Result]) -> dict[int, Floats]:
    """Return (runs, names) figures by seed."""
    runs: dict[int, list[list[float]]] = {}
    for hit, result in zip(hits, results, strict=True):
        runs.setdefault(result.seed, []).append(list(hit.recalls().values()))
    return {seed: np.asarray(recalls) for seed, recalls in runs.items()}


def _run_errors(
    ours: dict[int, Floats], theirs: dict[int, Floats], limits: Sequence[Limits]
) -> tuple[list[float], int]:
    """Return the standard error of each figure's difference that comes of runs, and its degrees of freedom.

    With the same seeds on both sides runs are paired by seed. With other seeds, seeds are what is drawn. What single
    runs cannot show is assumed: seeds spread by half the smallest effect, repeats of one seed by a quarter of it.
    """
    factor, share = 1.0, REPEAT_SPREAD
    if ours.keys() != theirs.keys():
        units, share = [_seed_means(ours), _seed_means(theirs)], SEED_SPREAD
    elif len(ours) > 1:
        units, factor = [_seed_means(ours) - _seed_means({seed: theirs[seed] for seed in ours})], math.sqrt(2)
    else:
        units = [*ours.values(), *theirs.values()]
    scale = math.sqrt(sum(1 / len(side) for side in units))
    errors, degrees = [], 0
    for column, limit in enumerate(limits):
        assumed = factor * (limit.min_effect * share)
        spread, degrees = spread_of_runs(assumed, RECALL_WEIGHT, *(side[:, column] for side in units))
        errors.append(spread * scale)
    return errors, degrees


def _seed_means(side: dict[int, Floats]) -> Floats:
    """Return (seeds, names) figures."""
    return np.asarray([runs.mean(axis=0) for runs in side.values()])


def last_query_ranks(result: Result) -> QueryRanks | None:
    """Return the query ranks of the last evaluation, or None where they are not stored."""
    last, ranks = result.metrics.last, result.query_ranks
    return ranks if last and ranks and ranks.epoch == last.epoch else None


def checked_hits(result: Result) -> Hits | None:
    """Return the hits of the last evaluation, if they give the recall that the result states."""
    hits, stated = hits_of(last_query_ranks(result)), result.value(BEST_METRIC)
    agrees = hits is not None and stated is not None and abs(hits.recalls()[BEST_METRIC] - stated) < 1e-6
    return hits if agrees else None


def last_hits_of_classes(result: Result) -> Hits | None:
    """Return the hits of the last classification, or None where there was none."""
    last, kept = result.metrics.last, result.per_query
    return hits_of_classes(kept.values.get("classification")) if last and kept and kept.epoch == last.epoch else None


def sampling_errors(result: Result) -> dict[str, float]:
    """Return half the width of the 95 % interval of every recall and accuracy, from the ranks; {} without them."""
    both = (hits_of(last_query_ranks(result)), last_hits_of_classes(result))
    return {name: error for hits in both if hits for name, error in bootstrap.recall_errors(hits).items()}


# --- speed --------------------------------------------------------------------------------------------------------

Timings = Sequence[Sequence[float]]  # seconds per pair by window, of each run
Chances = tuple[float, float, float]  # ours is slower for nothing, ours is faster for nothing, half the 95 % interval


def speed_effect(ours: Timings, theirs: Timings, limits: Limits, rates: tuple[float, float]) -> Effect:
    """Return the effect on throughput as a share of the baseline's.

    ``ours`` and ``theirs`` have each run's seconds per pair by window; ``rates`` is the throughput of either side.
    """
    medians = [float(np.median(np.concatenate([np.asarray(run) for run in side]))) for side in (ours, theirs)]
    typical = medians[1] / medians[0] - 1
    (worse, better, error), evidence = _test_timing(ours, theirs, limits, typical)
    gain, counts = rates[0] / rates[1] - 1, (len(ours), len(theirs))
    means = [[float(np.log(np.mean(run))) for run in side] for side in (ours, theirs)]
    of_runs, _ = spread_of_runs(REPEAT_SPREAD * limits.min_effect, SPEED_WEIGHT, *means)
    spread = max(_of_one(error, counts), of_runs)
    typical_gain = None if evidence.test == "runs ranked" else typical
    return Effect(gain, error, worse, better, evidence, counts, spread, SPEED_WEIGHT, typical_gain, rates[1])


def _test_timing(ours: Timings, theirs: Timings, limits: Limits, median_gain: float) -> tuple[Chances, TimingTest]:
    """Rank blocks of windows, and runs instead from ``RUNS_TO_RANK`` on each side.

    With fewer runs, yet more than one, the difference must also stand out from how runs spread.
    """
    runs = [[float(np.mean(run)) for run in side] for side in (ours, theirs)]
    blocks = [np.concatenate([block_means(run) for run in side]) for side in (ours, theirs)]
    counts, sizes = (len(runs[0]), len(runs[1])), (len(blocks[0]), len(blocks[1]))
    if min(counts) >= RUNS_TO_RANK:
        return _ranked(runs[0], runs[1]), TimingTest("runs ranked", counts, median_gain)
    by_runs = counts if max(counts) > 1 else None
    if math.comb(sum(sizes), sizes[0]) > 1 / SPEED_ALPHA:
        chances, evidence = _ranked(blocks[0], blocks[1]), TimingTest("blocks ranked", sizes, median_gain, by_runs)
    else:
        chances = _spread(blocks[0], blocks[1], limits.min_effect)
        evidence = TimingTest("t test", sizes, median_gain, by_runs)
    if by_runs:
        other = _spread(runs[0], runs[1], REPEAT_SPREAD * limits.min_effect)
        chances = max(chances[0], other[0]), max(chances[1], other[1]), max(chances[2], other[2])
    return chances, evidence


def _ranked(ours: Sequence[float] | Floats, theirs: Sequence[float] | Floats) -> Chances:
    """Return the chances by ranks, and the interval of the log ratio."""
    error = 1.96 * math.sqrt(sum(float(np.log(side).var(ddof=1)) / len(side) for side in (ours, theirs)))
    return rank_test(theirs, ours), rank_test(ours, theirs), error


def _spread(ours: Sequence[float] | Floats, theirs: Sequence[float] | Floats, assumed: float) -> Chances:
    """Return the same by Student's t for few samples, whose spread is ``assumed`` until they show their own."""
    sides = [np.log(side) for side in (ours, theirs)]
    spread, degrees = spread_of_runs(assumed, SPEED_WEIGHT, *sides)
    draws = spread * math.sqrt(sum(1 / len(side) for side in sides)) * student_draws(degrees, 100_000, seed=3)
    apart = float(sides[0].mean() - sides[1].mean())
    error = float(np.percentile(np.abs(draws), 95))
    return float(np.mean(draws >= apart)), float(np.mean(draws <= apart)), error


def seconds_per_pair(result: Result) -> list[float]:
    """Return seconds per pair of every timed window; windows cut short by the end of an epoch are left out."""
    windows = [w for record in result.epochs for w in record.windows if w.steps > 0 and w.seconds > 0]
    longest = max((w.steps for w in windows), default=0)
    batch = value_at(result, "config.train.batch_size")
    return [w.seconds / (w.steps * batch) for w in windows if 2 * w.steps > longest]

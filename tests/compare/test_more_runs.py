"""How many runs would decide: the arithmetic; that the advice is about right, benchmarks simulate."""

from dataclasses import replace

import numpy as np
import pytest

from clipbench.compare.statistics.more_runs import MOST, runs_needed, student_quantile
from clipbench.compare.statistics.significance import Effect, Limits
from clipbench.compare.verdicts import Bootstrap

LIMITS = Limits(min_effect=0.5, max_undetected_loss=1.5, alpha=0.001, warn_alpha=0.02)
EFFECT = Effect(
    -0.9, 0.7, 0.005, 0.995, Bootstrap(300, True, (1, 1), True), runs=(1, 1), spread=0.7 / 1.96 / 2**0.5, degrees=10
)


def test_the_noisier_the_more_runs():
    counts = [runs_needed(replace(EFFECT, spread=spread), LIMITS) for spread in (0.2, 0.4, 0.8)]
    assert counts == sorted(set(counts)) and counts[0] >= 2


def test_runs_that_are_there_count():
    once, thrice = (runs_needed(replace(EFFECT, runs=(n, n), spread=0.8), LIMITS) for n in (1, 3))
    assert once > 3 and thrice > 3


def test_no_number_of_runs_helps_where_the_spread_is_far_beyond_what_counts():
    assert runs_needed(replace(EFFECT, spread=20.0), LIMITS) is None
    assert (runs_needed(replace(EFFECT, spread=1.0), LIMITS) or MOST) <= MOST


@pytest.mark.parametrize("alpha", [0.05, 0.02, 0.002, 0.0006])
@pytest.mark.parametrize("degrees", [6, 10, 30])
def test_a_quantile_of_student_is_exceeded_as_often_as_it_says(alpha, degrees):
    draws = np.random.default_rng(0).standard_t(degrees, 400_000)
    assert np.mean(draws > student_quantile(alpha, degrees)) == pytest.approx(alpha, rel=0.2)

"""The rank test and blocks of windows: exact where that can be known, and no surer than chance allows."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.compare.statistics.rank_test import block_length, block_means, rank_test, spread_of_runs

small = st.lists(st.integers(0, 12), min_size=1, max_size=5)


# --- rank test ----------------------------------------------------------------------------------------------------


@given(small, small)
def test_the_rank_test_is_the_share_of_orders_with_as_many_pairs_won(low, high):
    """Brute force over all ways to split the values, which is the definition where none is equal to another."""
    low, high = [2 * value for value in low], [2 * value + 1 for value in high]
    if len({*low, *high}) < len(low) + len(high):
        return
    won = sum(b > a for a in low for b in high)
    values = {*low, *high}
    splits = [set(split) for split in itertools.combinations(values, len(high))]
    as_many = sum(sum(b > a for b in split for a in values - split) >= won for split in splits)
    assert rank_test(low, high) == pytest.approx(as_many / len(splits))


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40))
def test_p_is_a_chance_and_only_one_side_can_be_sure(low, high):
    both = rank_test(low, high), rank_test(high, low)
    assert all(0 <= p <= 1 for p in both)
    assert sum(both) >= 1 - 1e-9


def test_the_approximation_meets_the_exact_test_where_it_takes_over(monkeypatch):
    random = np.random.default_rng(1)
    low, high = random.standard_normal(20), random.standard_normal(20) + 0.8
    exact = rank_test(low, high)
    monkeypatch.setattr("clipbench.compare.statistics.rank_test.EXACT_UP_TO", 0)
    assert exact < 0.1
    assert rank_test(low, high) == pytest.approx(exact, rel=0.15)


def test_samples_that_are_all_equal_or_missing_tell_nothing():
    assert rank_test([1.0] * 9, [1.0] * 9) >= 0.5
    assert rank_test([], [1.0]) == rank_test([1.0], []) == 1.0


# --- windows ------------------------------------------------------------------------------------------------------


def correlated(count, correlation, draw=0):
    noise = np.random.default_rng(draw).standard_normal(count)
    for k in range(1, count):
        noise[k] = correlation * noise[k - 1] + math.sqrt(1 - correlation**2) * noise[k]
    return noise


@pytest.mark.parametrize("correlation", [0.6, 0.8, 0.9])
def test_blocks_of_correlated_windows_are_about_independent(correlation):
    series = correlated(20_000, correlation)
    means = block_means(series)
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.2
    assert len(means) < len(series) / 4


def test_windows_without_correlation_stay_single():
    lengths = [block_length(correlated(200, 0.0, draw)) for draw in range(40)]
    assert sorted(lengths)[20] == 1


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=60))
def test_blocks_leave_nothing_out(series):
    means = block_means(series)
    assert 1 <= len(means) <= len(series)
    assert min(series) - 1e-9 <= means.min() <= means.max() <= max(series) + 1e-9
    if len(means) == len(series):
        assert means == pytest.approx(series)


def test_what_repeats_say_of_their_spread_takes_over_from_what_is_assumed():
    assert spread_of_runs(0.5, 10, [1.0], [2.0]) == (0.5, 10)
    many = np.random.default_rng(0).standard_normal(2_000)
    spread, degrees = spread_of_runs(0.5, 10, many, [3.0])
    assert (round(spread, 1), degrees) == (1.0, 2_009)

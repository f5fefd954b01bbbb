"""Which nodes are slow: what robust means, and what a false alarm costs."""

import itertools
import math

import numpy as np
import pytest

from benchmarks import sick_nodes as simulation
from clipbench.compare.nodes.outliers import speeds, spread_of_runs, student_quantile

# Tables of Student's t: chance above, degrees, value.
TABLE = [(0.025, 1, 12.706), (0.025, 10, 2.228), (0.005, 3, 5.841), (0.0005, 30, 3.646), (0.025, 1000, 1.962)]


@pytest.mark.parametrize(("chance", "degrees", "value"), TABLE)
def test_the_quantile_of_students_t_is_that_of_the_tables(chance, degrees, value):
    assert student_quantile(chance, degrees) == pytest.approx(value, rel=1e-3)


def fleet(*slow, nodes=20):
    rates = {f"node{number}": [100 + number % 5 / 10] for number in range(nodes)}
    return rates | {f"slow{number}": [100 * (1 - share)] for number, share in enumerate(slow)}


def slow_ones(runs, least=0.03, family=None):
    return [node for node, speed in speeds(runs, family or len(runs), least).items() if speed.slow]


def test_a_slow_node_is_found_and_a_fast_one_is_none():
    assert slow_ones(fleet(0.05, -0.05)) == ["slow0"]


def test_nearly_half_of_the_nodes_may_be_slow():
    assert len(slow_ones(fleet(*[0.3] * 9))) == 9


def test_less_than_the_smallest_loss_that_counts_is_no_sickness():
    assert slow_ones(fleet(0.02)) == [] and slow_ones(fleet(0.02), least=0.01) == ["slow0"]


def test_nodes_that_are_all_equal_but_one_have_a_slow_one():
    assert slow_ones({**{f"node{n}": [100.0] for n in range(9)}, "slow": [90.0]}) == ["slow"]


def test_fewer_than_five_nodes_are_not_judged():
    assert speeds({f"node{n}": [100.0] for n in range(4)}, 4, 0.03) == {}


def test_one_run_that_stalled_does_not_make_its_node_slow():
    runs = {node: [rate] * 3 for node, (rate,) in fleet().items()}
    runs["node7"] = [100.0, 50.0, 100.0]
    assert slow_ones(runs) == []


def test_a_node_with_fewer_runs_than_usual_is_given_more_room():
    draws = np.random.default_rng(0)
    runs = {f"node{n}": (100 * np.exp(0.02 * draws.standard_normal(9))).tolist() for n in range(40)}
    runs["node0"] = runs["node0"][:1]
    found = speeds(runs, 40, 0.001)
    assert found["node0"].limit > 1.5 * found["node1"].limit
    assert spread_of_runs([sorted(map(math.log, own)) for own in runs.values()]) == pytest.approx(0.02, rel=0.15)


def test_a_larger_family_asks_for_more():
    draws = np.random.default_rng(1)
    runs = {f"node{n}": [float(100 * np.exp(0.02 * draws.standard_normal()))] for n in range(40)}
    limits = [next(iter(speeds(runs, family, 0.001).values())).limit for family in (40, 4_000, 400_000)]
    assert all(one < other for one, other in itertools.pairwise(limits))


def test_healthy_fleets_raise_no_alarm_and_a_slow_node_is_found():
    draws = np.random.default_rng(2)
    alarms = [simulation.trial(simulation.Fleet(nodes=200), draws, simulation.NOTHING)[0] for _ in range(40)]
    assert sum(any(alarm) for alarm in alarms) <= 2
    fleet = simulation.Fleet(nodes=200, runs=12, slow=0.05)
    assert sum(simulation.trial(fleet, draws, 0.03)[0][1] for _ in range(20)) >= 19

"""The loss trace: equal for equal bits alone, and it tells where two runs first differ."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest

from clipbench.results.measures.trace import Stretch, first_difference, loss_digests, loss_trace, stretches
from clipbench.results.result import read_result, result_data
from tests.support.made_results import made_result
from tests.support.numpy_runs import clipbench, results
from tests.support.stored_results import run, signed

LOSSES = [1 / (step + 3) for step in range(400)]


def traced(*epochs):
    """A made result whose epochs had these losses."""
    result = made_result(losses=tuple(range(1, len(epochs) + 1)))
    records = tuple(replace(r, loss_digests=loss_digests(e)) for r, e in zip(result.epochs, epochs, strict=True))
    return replace(result, epochs=records, loss_trace=loss_trace(records))


def changed_at(step, losses=LOSSES):
    """The same losses with the last bit of one flipped; steps count from 1."""
    return [math.nextafter(loss, 2) if index == step - 1 else loss for index, loss in enumerate(losses)]


@pytest.mark.parametrize("steps, count", [(1, 1), (5, 5), (8, 8), (9, 5), (400, 8), (401, 8)])
def test_stretches_are_equal_and_have_every_step_once(steps, count):
    spans = stretches(steps)
    assert len(spans) == count and spans[0][0] == 0 and spans[-1][1] == steps
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert len(loss_digests([0.5] * steps)) == count


@pytest.mark.parametrize("step, stretch", [(1, (1, 50)), (50, (1, 50)), (51, (51, 100)), (400, (351, 400))])
def test_one_bit_of_one_loss_is_found_in_its_stretch(step, stretch):
    ours, theirs = traced(LOSSES, LOSSES), traced(LOSSES, changed_at(step))
    assert ours.loss_trace != theirs.loss_trace and ours.loss_trace.steps == theirs.loss_trace.steps == 800
    assert first_difference(ours.epochs, theirs.epochs) == Stretch(2, *stretch)
    assert first_difference(ours.epochs, ours.epochs) is None


def test_a_withheld_step_is_told_from_any_loss():
    assert len({loss_digests([1.0, other, 2.0]) for other in (None, 0.0, -0.0, 1.0)}) == 4


def test_a_run_that_stopped_earlier_is_compared_as_far_as_it_goes():
    assert first_difference(traced(LOSSES).epochs, traced(LOSSES, changed_at(1)).epochs) is None


def test_what_has_no_digests_has_no_trace():
    assert made_result().loss_trace is None and loss_trace(()) is None


SEEN = {
    "another trace": (lambda data: data["loss_trace"].update(sha256="0" * 64), "loss_trace is 000000"),
    "another count": (lambda data: data["loss_trace"].update(steps=1), "of 1 steps, expected"),
    "no trace": (lambda data: data.update(loss_trace=None), "loss_trace is None, expected"),
    "a digest edited": (lambda data: data["epochs"][0]["loss_digests"].__setitem__(0, "0" * 16), "loss_trace is"),
    "a digest left out": (
        lambda data: data["epochs"][0]["loss_digests"].pop(),
        "epochs.0.loss_digests is 7 digests, expected 8, by its steps",
    ),
}


@pytest.mark.parametrize("seen", SEEN)
def test_a_trace_that_is_not_of_its_epochs_is_refused(seen, tmp_path):
    change, words = SEEN[seen]
    data = result_data(traced(LOSSES, LOSSES))
    change(data)
    assert words in " ".join(run("validate", signed(data, tmp_path / "made.json"), code=3).split())


def test_runs_of_one_seed_have_one_trace_and_other_seeds_another(suite, tmp_path):
    path = suite(matrix={"seed": [0, 1]})
    for _ in range(2):
        assert clipbench("run", path, cwd=tmp_path).returncode == 0
    found = results(tmp_path)
    assert len(found) == 4 and all(result.loss_trace.steps == 15 for result in found)
    traces = {seed: {r.loss_trace for r in found if r.seed == seed} for seed in (0, 1)}
    assert len(traces[0]) == len(traces[1]) == 1 and traces[0] != traces[1]


def test_a_result_names_its_machine(suite, tmp_path):
    assert clipbench("run", suite(), cwd=tmp_path, CLIPBENCH_HOST="node17").returncode == 0
    (path,) = (tmp_path / "results").glob("*.json")
    result = read_result(path)
    assert result.hosts == ("node17",) and result.environment["host"]["name"] == "node17"

"""How often a run evaluates: what decides whether transformed images are kept for a later evaluation."""

from types import SimpleNamespace

import pytest

from clipbench.training.loop import evaluation_count


@pytest.mark.parametrize(
    ("steps", "every", "count"),
    [(0, 1, 1), (5, 1, 1), (10, 1, 1), (11, 1, 2), (100, 1, 10), (100, 0, 1), (100, 3, 4), (90, 3, 3), (10, 5, 1)],
)
def test_evaluations_of_a_run_are_counted(steps, every, count):
    case = SimpleNamespace(eval=SimpleNamespace(every=every))
    assert evaluation_count(SimpleNamespace(case=case, steps=steps, steps_per_epoch=10)) == count

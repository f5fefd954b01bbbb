"""How often a run evaluates, which decides whether transformed images are kept; and what it does not fail for."""

from types import SimpleNamespace

import numpy as np
import pytest

from clipbench.api import QueryRanks, events
from clipbench.files.disk import DiskError
from clipbench.training.evaluating.evaluation import Evaluated
from clipbench.training.loop import Loop, evaluation_count

ONE = np.ones((1, 4))


@pytest.mark.parametrize(
    ("steps", "every", "count"),
    [(0, 1, 1), (5, 1, 1), (10, 1, 1), (11, 1, 2), (100, 1, 10), (100, 0, 1), (100, 3, 4), (90, 3, 3), (10, 5, 1)],
)
def test_evaluations_of_a_run_are_counted(steps, every, count):
    case = SimpleNamespace(eval=SimpleNamespace(every=every))
    assert evaluation_count(SimpleNamespace(case=case, steps=steps, steps_per_epoch=10)) == count


@pytest.mark.parametrize("error", [DiskError("the disk is full"), OSError(5, "the disk fails")])
def test_a_run_does_not_fail_for_pictures_that_cannot_be_kept(error):
    def keep(*_):
        raise error

    reported = []
    loop = SimpleNamespace(emit=reported.append, pictures=SimpleNamespace(keep=keep))
    evaluation = Evaluated(None, None, None, 0.0, QueryRanks(1, [0], [0], [0]), images=ONE, captions=ONE)
    assert Loop._keep(loop, evaluation) is None
    (warned,) = reported
    assert isinstance(warned, events.Warned) and "the disk" in warned.text

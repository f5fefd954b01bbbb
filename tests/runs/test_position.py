"""Where a run is, and what stopping it there would save and lose."""

from dataclasses import replace

import pytest

from clipbench.api import events as e
from clipbench.api.result import Attempt
from clipbench.files.bundled import bundled
from clipbench.runs.position import Position
from clipbench.suites.loading import load_suite
from tests.support.empty_record import EMPTY_RECORD

RESUMED = e.TrainingStarted((Attempt("now", 1, 4),), (replace(EMPTY_RECORD, steps=10),))


def under_way(steps, seconds=None):
    return e.StepsUnderWay(1, steps, steps, 0.5, 1e-3, seconds, None, None, None)


@pytest.fixture
def case():
    return load_suite(bundled("suites") / "quickstart.yaml").cases[0]


def position_of(*told):
    position = Position()
    for event in told:
        position = position.after(event)
    return position


@pytest.mark.parametrize(
    "told, expected",
    [
        ([e.Progress("framework", "torch")], Position(stage="framework")),
        ([e.Progress("model"), RESUMED], Position(14, 14, "model")),
        ([RESUMED, e.Progress("first step"), under_way(15, 2.0)], Position(15, 14, None, 2.0)),
        ([e.TrainingStarted(()), e.StepsTrained(1, 10, 10, 0.5, 1e-3, None)], Position(10, 0)),
        ([under_way(9, 2.0), e.CheckpointSaved("x", 9, 0.5), under_way(12, 3.0)], Position(12, 9, None, 3.0, 0.5)),
        ([under_way(9, 2.0), e.Progress("saving")], Position(9, 0, None, 2.0)),
        ([under_way(9, 2.0), e.Progress("images", "", 16, 500)], Position(9, 0, "images", 2.0)),
    ],
)
def test_events_move_it(told, expected):
    assert position_of(*told) == expected


def test_a_single_rank_stops_after_a_step_and_several_at_the_end_of_their_window(case):
    position = position_of(under_way(12, 3.0))
    assert position.stop(case, at_once=False) == e.StopRequested(False, None, 12, 0, 1, 3.0, None)
    assert position.stop(replace(case, world_size=4), at_once=False).steps_left == case.timing.window_steps
    assert replace(position, stage="texts").stop(case, at_once=True).steps_left == 0

"""What a run is doing, and what becomes of it where it is stopped, in words."""

from typing import get_args

import pytest

from clipbench.api import events
from clipbench.report.running.doing import STAGES, clock, doing, duration, stop_text, training


def test_every_stage_has_its_words():
    assert set(STAGES) == set(get_args(events.Stage))
    assert all("{}" not in doing(events.Progress(stage, "x")) for stage in STAGES)


def test_a_stage_says_what_it_is_done_to_and_how_far_it_is():
    assert doing(events.Progress("framework", "torch")) == "importing torch"
    assert doing(events.Progress("model")) == "building the model"
    assert doing(events.Progress("model", "ViT-B-16.pt")) == "loading the weights ViT-B-16.pt"
    assert doing(events.Progress("images", "", 320, 1000)) == "evaluating, images 320 of 1,000"


def test_training_in_figures_with_a_dash_for_what_is_not_known():
    event = events.StepsUnderWay(1, 3, 13, 2.5, 1e-4, 4.0, 8.04, 0.031, 5_100_000_000)
    assert training(event, 10) == (
        "epoch 1 step 3/10  loss 2.5000  lr 0.0001",
        "8.0 pairs/s  data wait 3.1%  memory 5.1 GB",
    )
    unknown = events.StepsUnderWay(1, 3, 13, None, 1e-4, None, None, None, None)
    assert training(unknown, None) == ("epoch 1 step 3/?  loss -  lr 0.0001", "- pairs/s  data wait -  memory -")


def stop(at_once=False, stage=None, steps=12, saved=0, left=1, step_seconds=None, save_seconds=None):
    return stop_text(events.StopRequested(at_once, stage, steps, saved, left, step_seconds, save_seconds))


@pytest.mark.parametrize(
    "text, told",
    [
        (
            stop(step_seconds=45.2, save_seconds=3.21),
            "stopping: finishing the step under way (a step takes about 45 s), then saving with the 12 steps before "
            "(about 3.2 s)\nCtrl-C again stops at once: 12 steps so far are lost",
        ),
        (
            stop(saved=11, left=10, step_seconds=0.5),
            "stopping: finishing at most 10 more steps (a step takes about 0.5 s), then saving with the 12 steps "
            "before\nCtrl-C again stops at once: the one step since the checkpoint of step 11 is lost",
        ),
        (
            stop(stage="first step", steps=0),
            "stopping: finishing the step under way, then saving\n"
            "Ctrl-C again stops at once: only the step under way is lost",
        ),
        (
            stop(stage="framework", steps=0, left=0),
            "stopping: nothing was trained yet, so that nothing is saved\n"
            "Ctrl-C again stops at once: nothing that was trained is lost",
        ),
        (
            stop(stage="texts", saved=4, left=0, save_seconds=200),
            "stopping: the evaluation under way is given up, then all 12 steps are saved (about 3 min)\n"
            "Ctrl-C again stops at once: 8 steps since the checkpoint of step 4 are lost",
        ),
        (stop(at_once=True, saved=10), "stopped at once: 2 steps since the checkpoint of step 10 are lost"),
    ],
)
def test_a_stop_says_what_is_saved_how_long_that_takes_and_what_a_second_one_loses(text, told):
    assert text == told


def test_times():
    assert [duration(seconds) for seconds in (0.21, 9.94, 45, 119, 180)] == ["0.2 s", "9.9 s", "45 s", "119 s", "3 min"]
    assert [clock(seconds) for seconds in (0, 65.9, 3661)] == ["0:00:00", "0:01:05", "1:01:01"]

"""When a run is saved, and what a checkpoint says of it."""

import time
from dataclasses import replace

import pytest

from clipbench.api import events
from clipbench.api.config import CheckpointConfig
from clipbench.errors import CaseFailedError
from clipbench.training import checkpoints
from clipbench.training.checkpointing import Checkpointer, peek
from clipbench.training.state import RunState
from tests.support.empty_record import EMPTY_RECORD
from tests.support.saving import state_of


class Learner:
    broken = None

    def not_finite(self):
        return self.broken

    def state(self):
        return state_of(1, size=2)


def checkpointer(root, epochs=1, minutes=10.0):
    return Checkpointer(root, CheckpointConfig(epochs, minutes, "all"), {"suite": {"seed": 0}})


def test_a_checkpoint_is_due_after_so_many_minutes(monkeypatch):
    now = time.monotonic()
    saver, elsewhere, never = checkpointer("somewhere"), checkpointer(None), checkpointer("somewhere", minutes=None)
    assert not saver.due()
    monkeypatch.setattr(time, "monotonic", lambda: now + 599)
    assert not saver.due()
    monkeypatch.setattr(time, "monotonic", lambda: now + 610)
    assert saver.due() and not elsewhere.due() and not never.due()


def test_epochs_are_saved_as_often_as_asked_with_the_recall_as_score(tmp_path):
    state, reported = RunState(), []
    saver = replace(checkpointer(tmp_path, epochs=2), emit=reported.append)
    for epoch, recall in ((1, 10.0), (2, 30.0), (3, 50.0), (4, 20.0)):
        state.finish_epoch(replace(EMPTY_RECORD, epoch=epoch, steps=5, recall={"recall_mean": recall}))
        saver.save_epoch(Learner(), state)
    folders = [tmp_path / "step-00000010", tmp_path / "step-00000020"]
    saved = [event for event in reported if isinstance(event, events.CheckpointSaved)]
    assert [(event.folder, event.steps) for event in saved] == [(str(folders[0]), 10), (str(folders[1]), 20)]
    assert reported[0] == events.Progress("saving") and all(event.seconds > 0 for event in saved)
    assert checkpoints.best(tmp_path).name == "step-00000010"
    assert saver.latest == folders[-1]
    assert peek(saver.latest).state == state and peek(saver.latest).identity == {"suite": {"seed": 0}}


def test_a_checkpoint_within_an_epoch_has_no_score(tmp_path):
    state = RunState([replace(EMPTY_RECORD, recall={"recall_mean": 50.0})])
    state.progress.steps = 3
    folder = checkpointer(tmp_path).save(Learner(), state)
    assert folder.name == "step-00000003" and checkpoints.best(tmp_path) is None


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    saver, learner = checkpointer(tmp_path), Learner()
    last_good = saver.save(learner, RunState())
    learner.broken = "image_weights"
    with pytest.raises(CaseFailedError, match="parameter image_weights is not finite") as refusal:
        saver.save(learner, RunState())
    assert refusal.value.checkpoint == last_good


def test_ranks_other_than_the_first_save_nothing():
    assert checkpointer(None).save(Learner(), RunState()) is None


def test_a_damaged_checkpoint_gives_nothing_to_peek_at(tmp_path):
    folder = checkpointer(tmp_path).save(Learner(), RunState())
    (folder / checkpoints.STATE).write_text("{")
    assert peek(folder) is None and peek(tmp_path / "nowhere") is None

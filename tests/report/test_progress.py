"""What is shown while a run goes: on a terminal, and in a log."""

import io

import pytest
from rich.console import Console

from clipbench.report import progress as shown
from clipbench.report.progress import LiveProgress, NoProgress, PlainProgress, make_progress
from clipbench.suites.loading import find_suite, load_suite

DEVICE = {"kind": "cpu", "name": "a processor", "precision": "float32"}
RECALL = {"text_recall@1": 12.5, "image_recall@1": 7.25, "recall_mean": 33.3}
RECORD = {
    "epoch": 1,
    "train_loss": 2.5,
    "val_loss": 2.25,
    "recall": RECALL,
    "samples_per_second": 123.4,
    "data_wait": 0.05,
}
EVENTS = [
    {"event": "checked", "missing": []},
    {"event": "environment", "environment": {}},
    {"event": "inputs", "weights": {"source": "random"}},
    {"event": "started", "model": {"name": "clip-tiny"}, "device": DEVICE, "steps": 20, "steps_per_epoch": 10},
    {"event": "step", "epoch": 1, "step": 10, "loss": 2.5, "learning_rate": 1e-4, "samples_per_second": 123.4},
    {"event": "evaluating", "epoch": 1},
    {"event": "epoch", "record": RECORD},
    {"event": "step", "epoch": 2, "step": 5, "loss": 2.0, "learning_rate": 2e-4, "samples_per_second": None},
]


@pytest.fixture
def case():
    (case,) = load_suite(find_suite("quickstart")).cases
    return case


def test_plain_lines_tell_the_story(case, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shown, "PLAIN_SECONDS", 0.0)
    progress = PlainProgress()
    progress.case_started(case, "run-1")
    for event in EVENTS:
        progress.event(event)
    error = {"type": "CaseFailedError", "message": "the loss is nan"}
    progress.case_finished({"case": "quickstart", "status": "failed", "error": error}, tmp_path / "r.json")
    out = capsys.readouterr().out
    for part in (
        "run-1",
        "clip-tiny from random weights on cpu (a processor), float32, 20 steps",
        "epoch 1 step 10/10  loss 2.5000  lr 0.0001  123.4 pairs/s",
        "recall mean 33.30",
        "epoch 2 step 5/10  loss 2.0000  lr 0.0002  - pairs/s",
        "CaseFailedError: the loss is nan",
    ):
        assert part in out
    assert len(out.splitlines()) == 7


def test_the_live_display_shows_step_rate_time_left_and_recalls(case, tmp_path):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, height=30, color_system=None)
    progress = LiveProgress(console)
    progress.case_started(case, "run-1")
    for event in EVENTS:
        progress.event(event)
    progress._live.refresh()
    text = screen.getvalue()
    for part in ("run-1", "12.50", "7.25", "33.30", "step 5/10", "lr 0.0002", "15/20 steps", "time left 0:00:0"):
        assert part in text
    progress.close()
    assert "\x1b[?25h" in screen.getvalue()  # the cursor is back
    progress.close()  # once more does no harm


def test_auto_is_plain_where_nobody_watches(monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert type(make_progress("auto")) is PlainProgress
    assert type(make_progress("none")) is NoProgress

"""What is shown while a run goes: on a terminal, and in a log."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from clipbench.api import Fingerprint, events
from clipbench.api.result import CaseError, DatasetUsed, WeightsUsed
from clipbench.report import progress as shown
from clipbench.report.live import LiveProgress
from clipbench.report.progress import NoProgress, PlainProgress, describe_end, make_progress
from clipbench.results.result import build_result
from clipbench.suites.loading import find_suite, load_suite
from tests.support.empty_record import EMPTY_RECORD
from tests.support.made_results import made_result

DEVICE = {"kind": "cpu", "name": "a processor", "precision": "float32"}
RECALL = {"text_recall@1": 12.5, "image_recall@1": 7.25, "recall_mean": 33.3}
RECORD = replace(EMPTY_RECORD, epoch=1, train_loss=2.5, val_loss=2.25, recall=RECALL, throughput=123.4, data_wait=0.05)
EVENTS = [
    events.DevicesChecked(),
    events.EnvironmentRead({}),
    events.InputsRead(DatasetUsed("shapes", None, Fingerprint("val", 1, 1, "")), WeightsUsed("random", None), 0),
    events.LearnerBuilt({"name": "clip-tiny"}, DEVICE, steps=20, steps_per_epoch=10),
    events.StepsTrained(1, 10, 10, loss=2.5, learning_rate=1e-4, throughput=123.4),
    events.EvaluationStarted(1),
    events.EpochFinished(RECORD),
    events.StepsTrained(2, 5, 15, loss=None, learning_rate=2e-4, throughput=None),
]


@pytest.fixture
def case():
    (case,) = load_suite(find_suite("quickstart")).cases
    return case


@pytest.fixture
def failed(case, tmp_path):
    error = CaseError("CaseFailedError", "the loss is nan", 4)
    result = build_result(case, "run-1", "2026-01-01T00:00:00.000Z", EVENTS, "failed", error)
    return events.CaseFinished(result, tmp_path / "r.json")


def test_plain_lines_tell_the_story(case, failed, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(shown, "PLAIN_SECONDS", 0.0)
    progress = PlainProgress()
    for event in (events.CaseStarted(case, "run-1", tmp_path), *EVENTS, failed):
        progress.handle(event)
    out = capsys.readouterr().out
    for part in (
        "run-1",
        "clip-tiny from random weights on cpu (a processor), float32, 20 steps",
        "epoch 1 step 10/10  loss 2.5000  lr 0.0001  123.4 pairs/s",
        "epoch 1 done  train loss 2.5000  val loss 2.2500  text R@1 12.50  image R@1 7.25  recall mean 33.30  123.4",
        "epoch 2 step 5/10  loss -  lr 0.0002  - pairs/s",
        "case quickstart failed: ",
        "CaseFailedError: the loss is nan",
    ):
        assert part in out
    assert len(out.splitlines()) == 7


def test_the_live_display_shows_step_rate_time_left_and_recalls(case, tmp_path):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, height=30, color_system=None)
    progress = LiveProgress(console)
    for event in (events.CaseStarted(case, "run-1", tmp_path), *EVENTS):
        progress.handle(event)
    progress._live.refresh()
    text = screen.getvalue()
    for part in ("run-1", "12.50", "7.25", "33.30", "step 5/10", "lr 0.0002", "15/20 steps", "time left 0:00:0"):
        assert part in text
    progress.close()
    assert "\x1b[?25h" in screen.getvalue()  # the cursor is back
    progress.close()  # once more does no harm


def test_the_live_display_ends_with_every_epoch_and_the_error(case, failed, tmp_path):
    screen = io.StringIO()
    progress = LiveProgress(Console(file=screen, width=100, height=30, color_system=None))
    for event in (events.CaseStarted(case, "run-1", tmp_path), *EVENTS, failed):
        progress.handle(event)
    text = screen.getvalue()
    for part in ("33.30", "case quickstart failed: ", "CaseFailedError: the loss is nan"):
        assert part in text


def test_the_end_has_the_throughput_of_the_whole_run(tmp_path):
    """The figure that compare shows: those of the epochs differ from it."""
    result = made_result(losses=(0.5, 0.25, 0.2), stalled=9.0)
    (said,) = describe_end(events.CaseFinished(result, tmp_path / "r.json"))
    assert said.startswith(f"case quickstart completed, {result.value('throughput'):.1f} pairs/s over all epochs: ")
    assert abs(result.epochs[-1].throughput - result.value("throughput")) > 1


def test_notices_and_warnings_are_shown_whatever_the_mode(capsys):
    for progress in (NoProgress(), PlainProgress()):
        progress.handle(events.Notice("resuming run x"))
        progress.handle(events.Warned("pictures are listed twice"))
        printed = capsys.readouterr()
        assert printed.err == "resuming run x\nwarning: pictures are listed twice\n" and not printed.out


def test_auto_is_plain_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert type(make_progress("auto")) is PlainProgress
    assert type(make_progress("none")) is NoProgress

"""What is shown while a run goes: on a terminal, and in a log."""

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from clipbench.api import Fingerprint, events
from clipbench.api.result import Attempt, CaseError, DatasetUsed, WeightsUsed
from clipbench.report.running import progress as shown
from clipbench.report.running.live import LiveProgress
from clipbench.report.running.progress import NoProgress, PlainProgress, describe_end, make_progress
from clipbench.results.result import build_result
from clipbench.suites.loading import find_suite, load_suite
from tests.support.empty_record import EMPTY_RECORD
from tests.support.made_results import made_result

DEVICE = {"kind": "cpu", "name": "a processor", "precision": "float32"}
RECALL = {"text_recall@1": 12.5, "image_recall@1": 7.25, "recall_mean": 33.3}
RECORD = replace(EMPTY_RECORD, epoch=1, train_loss=2.5, val_loss=2.25, recall=RECALL, throughput=123.4, data_wait=0.05)
EVENTS = [
    events.Progress("framework", "torch"),
    events.DevicesChecked(),
    events.EnvironmentRead({}),
    events.InputsRead(DatasetUsed("shapes", None, Fingerprint("val", 1, 1, "")), WeightsUsed("random", None), 0),
    events.LearnerBuilt({"name": "clip-tiny"}, DEVICE, steps=20, steps_per_epoch=10),
    events.StepsTrained(1, 10, 10, loss=2.5, learning_rate=1e-4, throughput=123.4),
    events.StepsUnderWay(1, 10, 10, 2.5, 1e-4, 0.4, 123.4, 0.05, 65_000_000),
    events.EvaluationStarted(1),
    events.Progress("images", "", 16, 500),
    events.EpochFinished(RECORD),
    events.StepsUnderWay(2, 5, 15, None, 2e-4, None, None, None, None),
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
        "importing torch",
        "epoch 1 step 10/10  loss 2.5000  lr 0.0001  123.4 pairs/s  data wait 5.0%  memory 65.0 MB",
        "evaluating, images 16 of 500",
        "epoch 1 done  train loss 2.5000  val loss 2.2500  text R@1 12.50  image R@1 7.25  recall mean 33.30  123.4",
        "epoch 2 step 5/10  loss -  lr 0.0002  - pairs/s  data wait -  memory -",
        "case quickstart failed: ",
        "CaseFailedError: the loss is nan",
    ):
        assert part in out
    assert len(out.splitlines()) == 9


@pytest.fixture
def screen():
    """A live display on a terminal of 80 columns, and what is on it after some events."""

    class Screen:
        def __init__(self):
            self.written = io.StringIO()
            self.display = LiveProgress(
                Console(file=self.written, force_terminal=True, width=80, height=30, color_system=None)
            )

        def after(self, *told):
            for event in told:
                self.display.handle(event)
            self.written.seek(0)
            self.written.truncate()
            self.display._live.refresh()
            return self.written.getvalue()

    made = Screen()
    yield made
    made.display.close()


def test_the_live_display_says_what_is_done_from_the_first_event(screen, case, tmp_path):
    assert "looking at the data of shapes, 0 s" in screen.after(events.Progress("data", "shapes"))
    assert "starting, 0 s" in screen.after(events.CaseStarted(case, "run-1", tmp_path))
    assert "importing torch, 0 s" in screen.after(events.Progress("framework", "torch"))
    text = screen.after(*EVENTS[1:6], events.TrainingStarted(()), events.Progress("first step"))
    assert "0/20 steps" in text and "left unknown" in text and "taking the first step, 0 s" in text


def test_the_live_display_shows_step_elapsed_time_left_loss_rate_wait_and_memory(screen, case, tmp_path):
    text = screen.after(events.CaseStarted(case, "run-1", tmp_path), *EVENTS[:7])
    for part in ("run-1", "epoch 1 step 10/10  loss 2.5000  lr 0.0001", "10/20 steps", "elapsed 0:00:0", "left 0:00:0"):
        assert part in text
    assert "123.4 pairs/s  data wait 5.0%  memory 65.0 MB" in text and "training, 0 s" in text
    text = screen.after(*EVENTS[7:9])
    assert "evaluating, images 16 of 500, 0 s" in text
    text = screen.after(*EVENTS[9:])
    for part in ("12.50", "7.25", "33.30", "step 5/10", "lr 0.0002", "15/20 steps", "left 0:00:0"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_slow_step_is_seen_to_be_waited_for(screen, case, tmp_path, monkeypatch):
    """The display is drawn anew without any event."""
    screen.after(events.CaseStarted(case, "run-1", tmp_path), *EVENTS[:7])
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 40)
    assert "training, 40 s" in screen.after()


def test_a_stop_is_shown_until_it_has_happened(screen, case, tmp_path):
    screen.after(events.CaseStarted(case, "run-1", tmp_path), *EVENTS[:7])
    screen.display.handle(events.StopRequested(False, None, 10, 0, 1, 45.0))
    assert "a step takes about 45 s" in screen.written.getvalue()
    assert "stopping after this: training" in screen.after()


def test_a_resumed_run_counts_its_own_steps_for_the_time_left(screen, case, tmp_path):
    resumed = events.TrainingStarted((Attempt("now", 0, 12),))
    text = screen.after(events.CaseStarted(case, "run-1", tmp_path), *EVENTS[:5], resumed)
    assert "12/20 steps" in text and "left unknown" in text


def test_the_cursor_is_back_when_the_live_display_is_closed(screen, case, tmp_path):
    screen.after(events.CaseStarted(case, "run-1", tmp_path))
    screen.display.close()
    assert "\x1b[?25h" in screen.written.getvalue()
    screen.display.close()  # once more does no harm


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

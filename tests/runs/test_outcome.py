"""The verdict on a case whose processes have ended."""

import signal

import pytest

from clipbench.api import events as e
from clipbench.api.result import CaseError
from clipbench.runs.outcome import verdict_of_run
from clipbench.runs.process import ProcessEnd

FINISHED = e.TrainingFinished({})
SAVED = [e.CheckpointSaved("step-1"), e.CheckpointSaved("step-2")]


def failed(rank, message="it broke", trace="Traceback", **more):
    return e.RankFailed(CaseError("RuntimeError", message, 4, trace, rank=rank), **more)


def test_a_finished_case_is_completed():
    assert verdict_of_run(ProcessEnd(0, [FINISHED])) == ("completed", None)
    # A second signal has come after the end.
    assert verdict_of_run(ProcessEnd(0, [FINISHED], [signal.SIGINT])) == ("completed", None)


@pytest.mark.parametrize(
    "signals, code, how",
    [
        ([signal.SIGINT], 130, "stopped from the keyboard"),
        ([signal.SIGTERM, signal.SIGINT], 143, "stopped by SIGTERM"),
        ([], 143, "stopped by a signal to its process"),
    ],
)
def test_a_stopped_case_is_interrupted_and_has_its_last_checkpoint(signals, code, how):
    status, error = verdict_of_run(ProcessEnd(130, [*SAVED, e.TrainingStopped("step-2")], signals))
    assert status == "interrupted"
    assert (error.exit_code, error.message, error.checkpoint) == (code, how, "step-2")


def test_a_case_ended_at_once_by_a_second_signal_is_interrupted():
    status, error = verdict_of_run(ProcessEnd(-9, SAVED, [signal.SIGINT, signal.SIGINT]))
    assert (status, error.exit_code) == ("interrupted", 130)


def test_the_first_rank_to_report_is_the_cause():
    status, error = verdict_of_run(ProcessEnd(4, [*SAVED, failed(1), failed(0, "connection closed")]))
    assert status == "failed"
    assert (error.rank, error.message, error.checkpoint) == (1, "it broke", "step-2")


def test_a_failure_before_the_signal_is_no_interruption():
    assert verdict_of_run(ProcessEnd(4, [failed(0)], [signal.SIGTERM]))[0] == "failed"


def test_a_rank_that_its_peers_name_is_the_cause_with_their_tracebacks():
    named = failed(2, "rank 2 has gone silent", trace=None, is_cause=True)
    _, error = verdict_of_run(ProcessEnd(4, [failed(0, trace="first"), failed(1, trace="second"), named]))
    assert (error.rank, error.message, error.traceback) == (2, "rank 2 has gone silent", "first\nsecond")


def test_a_killed_rank_is_the_cause_unless_it_has_reported_first():
    killed = e.RankKilled(1, "SIGKILL", 4711)
    _, error = verdict_of_run(ProcessEnd(4, [failed(0, "connection closed"), killed], log="the log"))
    assert (error.type, error.rank) == ("RankKilled", 1)
    assert error.message == "rank 1 was killed by SIGKILL (process 4711)"
    assert verdict_of_run(ProcessEnd(4, [killed], log="the log"))[1].traceback == "the log"
    # Its launcher ends a rank that has reported.
    assert verdict_of_run(ProcessEnd(4, [failed(1), killed]))[1].message == "it broke"


def test_a_process_that_dies_without_a_report_is_named_with_the_end_of_its_log():
    status, error = verdict_of_run(ProcessEnd(-signal.SIGSEGV, log="free(): invalid pointer"))
    assert (status, error.type, error.exit_code) == ("failed", "ProcessDied", 4)
    assert error.message == "the case's process ended with signal SIGSEGV and no report"
    assert error.traceback == "free(): invalid pointer"
    assert verdict_of_run(ProcessEnd(5))[1].exit_code == 5

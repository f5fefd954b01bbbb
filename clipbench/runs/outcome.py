"""The verdict on a case, from what its processes reported and how they ended."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from dataclasses import replace

from clipbench.api import events as e
from clipbench.api.result import CaseError, Status
from clipbench.errors import ExitCode
from clipbench.runs.process import ProcessEnd


def verdict_of_run(end: ProcessEnd) -> tuple[Status, CaseError | None]:
    """Return status and error of a case whose processes have ended."""
    if end.returncode == 0 and end.of(e.TrainingFinished):
        return "completed", None
    saved = end.of(e.CheckpointSaved)
    checkpoint = saved[-1].folder if saved else None
    error = _cause(end)
    # A launcher ends the other ranks by a signal where one has failed: that is no interruption.
    failed_first = bool(end.of(e.RankFailed)) or bool(end.of(e.RankKilled))
    if error is None or (end.signals and not failed_first):
        return "interrupted", _interrupted(end.signals, checkpoint)
    return "failed", replace(error, checkpoint=error.checkpoint or checkpoint)


def _interrupted(signals: Sequence[int], checkpoint: str | None) -> CaseError:
    if not signals:
        how, code = "by a signal to its process", ExitCode.TERMINATED
    elif signals[0] == signal.SIGTERM:
        how, code = "by SIGTERM", ExitCode.TERMINATED
    else:
        how, code = "from the keyboard", ExitCode.INTERRUPTED
    return CaseError("Interrupted", f"stopped {how}", int(code), checkpoint=checkpoint)


def _cause(end: ProcessEnd) -> CaseError | None:
    """Return the error that ended the case; None where it was stopped.

    It is that of the rank that was killed, of the rank that its peers named, or of the first to report.
    """
    failures = end.of(e.RankFailed)
    reported = [failure.error for failure in failures if not failure.is_cause]
    named = [failure.error for failure in failures if failure.is_cause]
    killed = end.of(e.RankKilled)
    if killed and not (reported and reported[0].rank == killed[0].rank):
        message = f"rank {killed[0].rank} was killed by {killed[0].signal} (process {killed[0].pid})"
        trace = _tracebacks(reported) or end.log
        return CaseError("RankKilled", message, int(ExitCode.CASE_FAILED), trace, rank=killed[0].rank)
    if named:
        return replace(named[0], traceback=named[0].traceback or _tracebacks(reported))
    if reported:
        return reported[0]
    if end.of(e.TrainingStopped) or end.signals:
        return None
    code = ExitCode.NOT_READY if end.returncode == ExitCode.NOT_READY else ExitCode.CASE_FAILED
    message = f"the case's process ended with {end.description} and no report"
    return CaseError("ProcessDied", message, int(code), end.log)


def _tracebacks(errors: Iterable[CaseError]) -> str | None:
    return "\n".join(error.traceback for error in errors if error.traceback) or None

"""The verdict on a case, from what its processes reported and how they ended."""

import signal
from collections.abc import Sequence
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
    reported, named, killed = _errors(end, is_cause=False), _errors(end, is_cause=True), end.of(e.RankKilled)
    if killed and killed[0].rank not in [error.rank for error in reported[:1]]:
        return _killed(killed[0], _tracebacks(reported) or end.log)
    if named:
        return replace(named[0], traceback=named[0].traceback or _tracebacks(reported))
    if reported:
        return reported[0]
    return None if end.of(e.TrainingStopped) or end.signals else _died(end)


def _errors(end: ProcessEnd, is_cause: bool) -> list[CaseError]:
    return [failure.error for failure in end.of(e.RankFailed) if failure.is_cause == is_cause]


def _tracebacks(errors: Sequence[CaseError]) -> str | None:
    return "\n".join(error.traceback for error in errors if error.traceback) or None


def _killed(event: e.RankKilled, trace: str | None) -> CaseError:
    message = f"rank {event.rank} was killed by {event.signal} (process {event.pid})"
    return CaseError("RankKilled", message, int(ExitCode.CASE_FAILED), trace, rank=event.rank)


def _died(end: ProcessEnd) -> CaseError:
    code = ExitCode.NOT_READY if end.returncode == ExitCode.NOT_READY else ExitCode.CASE_FAILED
    how = f"signal {signal.Signals(-end.returncode).name}" if end.returncode < 0 else f"exit code {end.returncode}"
    message = f"the case's process ended with {how} and no report"
    return CaseError("ProcessDied", message, int(code), end.log)

"""What became of a case, from what its processes reported and how they ended."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipbench.errors import ExitCode
from clipbench.results.events import Event
from clipbench.runs.process import how_it_ended, tail

Verdict = tuple[str, dict[str, Any] | None]


def verdict_of_run(events: Sequence[Event], returncode: int, signals: Sequence[int], log: Path) -> Verdict:
    """Status and error of a case whose process has ended; ``signals`` are those that asked for its end."""
    if returncode == 0 and any(event["event"] == "finished" for event in events):
        return "completed", None
    checkpoint = next((event["folder"] for event in reversed(events) if event["event"] == "checkpoint"), None)
    error = _cause(events, returncode, bool(signals), log)
    if error is None or (signals and not _failed_first(events)):
        return "interrupted", _interrupted(signals, checkpoint)
    return "failed", {**error, "checkpoint": error.get("checkpoint") or checkpoint}


def _interrupted(signals: Sequence[int], checkpoint: str | None) -> dict[str, Any]:
    terminated = bool(signals) and signals[0] == signal.SIGTERM
    how = "by SIGTERM" if terminated else "from the keyboard" if signals else "by a signal to its process"
    code = ExitCode.INTERRUPTED if not terminated and signals else ExitCode.TERMINATED
    return {**_error("Interrupted", f"stopped {how}", code, None), "checkpoint": checkpoint}


def _failed_first(events: Sequence[Event]) -> bool:
    """Whether a rank had reported a failure of its own: a launcher then ends the other ranks by a signal."""
    return any(event["event"] in ("error", "cause", "rank_killed") for event in events)


def _cause(events: Sequence[Event], returncode: int, stopped: bool, log: Path) -> dict[str, Any] | None:
    """The error that ended the case: of the rank that was killed, of the first to report, or of nobody known."""
    reported = [event for event in events if event["event"] == "error"]
    killed = next((event for event in events if event["event"] == "rank_killed"), None)
    told = next((event for event in events if event["event"] == "cause"), None)
    if killed is not None and not (reported and reported[0]["rank"] == killed["rank"]):
        said = "\n".join(event["traceback"] or "" for event in reported) or tail(log)
        message = f"rank {killed['rank']} was killed by {killed['signal']} (process {killed['pid']})"
        return {**_error("RankKilled", message, ExitCode.CASE_FAILED, said), "rank": killed["rank"]}
    if told is not None:
        return _of_rank(told, reported)
    if reported:
        return _of_rank(reported[0], ())
    if any(event["event"] == "stopped" for event in events):
        return None
    if stopped:
        return None
    message = f"the case's process ended with {how_it_ended(returncode)} and no report"
    code = ExitCode.NOT_READY if returncode == ExitCode.NOT_READY else ExitCode.CASE_FAILED
    return _error("ProcessDied", message, code, tail(log))


def _of_rank(event: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    trace = event["traceback"] or "\n".join(other["traceback"] or "" for other in others) or None
    optional = {key: event[key] for key in ("rank", "details", "checkpoint") if event.get(key) is not None}
    return {**_error(event["type"], event["message"], event["exit_code"], trace), **optional}


def _error(kind: str, message: str, code: int, trace: str | None) -> dict[str, Any]:
    return {"type": kind, "message": message, "exit_code": int(code), "traceback": trace}

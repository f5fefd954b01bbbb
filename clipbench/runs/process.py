"""The processes of a case: started, followed by their events, asked to stop, ended."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TypeVar

from clipbench.api import events as e
from clipbench.api.plain import from_plain
from clipbench.results.events import EventReader
from clipbench.runs.job import EVENTS, LAUNCHER_REPORT, LOG, STOP, Job
from clipbench.runs.position import Position

POLL_SECONDS = 0.05
LOG_LINES = 20
# From the first report of a failure to the end of all processes: long enough for every rank to report.
GRACE_SECONDS = 15.0
# A process that a driver holds ends once the driver lets it go, which may be never.
KILL_SECONDS = 10.0
# In the environment of all processes of one job: what tells them from others, whatever has become of their parents.
MARK = "CLIPBENCH_JOB"
# Events that are of interest only while they last.
PASSING = (e.Progress, e.StepsUnderWay)
SINGLE_PROCESS = (sys.executable, "-m")

EventT = TypeVar("EventT", bound=e.Event)


@dataclass
class ProcessEnd:
    """How a job's processes ended: exit code, events reported, ``signals`` received here meanwhile, the log's end."""

    returncode: int = 0
    events: list[e.Event] = field(default_factory=list)
    signals: list[int] = field(default_factory=list)
    log: str | None = None

    def of(self, kind: type[EventT]) -> list[EventT]:
        """Return the events of one class, in order."""
        return [event for event in self.events if isinstance(event, kind)]


def run_job(
    job: Job,
    launcher: Sequence[str] = SINGLE_PROCESS,
    variables: Mapping[str, str] | None = None,
    receive: Callable[[e.Event], None] = lambda _event: None,
    max_signals: int = 2,
) -> ProcessEnd:
    """Run a job to its end, handing on its events as they come.

    The first SIGINT or SIGTERM asks its processes to stop; at signal number ``max_signals`` they are ended at once.
    """
    end, reader, log = ProcessEnd(), EventReader(job.folder / EVENTS), job.folder / LOG
    mark, position = secrets.token_hex(8), Position()

    def take(events: Iterable[e.Event]) -> None:
        nonlocal position
        for event in events:
            position = position.after(event)
            if not isinstance(event, PASSING):
                end.events.append(event)
            receive(event)

    def tell_of_stop(at_once: bool) -> None:
        if job.case is not None:
            take([position.stop(job.case, at_once)])

    with log.open("ab") as output, counted_signals(end.signals):
        process = _start(
            [*launcher, "clipbench.runs.rank", str(job.write())], output, {**(variables or {}), MARK: mark}
        )
        asked, failed_at = False, None
        try:
            while process.poll() is None and len(end.signals) < max_signals:
                take(new := reader.new())
                if end.signals and not asked:
                    asked = True
                    with suppress(OSError):
                        (job.folder / STOP).touch()
                    tell_of_stop(at_once=False)
                if failed_at is None and any(isinstance(event, e.RankFailed) for event in new):
                    failed_at = time.monotonic()
                # A rank that hangs would be waited for, though its peers have reported already.
                if failed_at is not None and time.monotonic() - failed_at > GRACE_SECONDS:
                    break
                time.sleep(POLL_SECONDS)
            if len(end.signals) >= max_signals:
                tell_of_stop(at_once=True)
        finally:
            left = _kill_all(process, mark)
            end.returncode = -signal.SIGKILL if process.returncode is None else process.returncode
            take([*reader.new(), *_killed_rank(job.folder / LAUNCHER_REPORT)])
            if left:
                pids = ", ".join(map(str, left))
                take([e.Notice(f"warning: processes of the run do not end, and may hold the device: {pids}")])
            end.log = _tail(log)
    return end


def _start(command: Sequence[str], output: IO[bytes], variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, **variables},
        # Ctrl-C is for this process alone, which then asks the others to stop.
        start_new_session=True,
    )


def _kill_all(process: "subprocess.Popen[bytes]", mark: str) -> list[int]:
    """Kill what is left of a job: its process, its ranks, their loaders, and any that was stopped or lost its parent.

    Returns the ids of processes that are there all the same after KILL_SECONDS. Those that have left the group of
    ``process``, as the ranks of a launcher do, are found on Linux alone.
    """
    until = time.monotonic() + KILL_SECONDS
    while True:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        left = _marked(mark)
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        ended = process.poll() is not None
        if (ended and not left) or time.monotonic() > until:
            return left if ended else [process.pid, *left]
        time.sleep(0.01)


def _marked(mark: str) -> list[int]:
    """Return the ids of the processes, but those that have ended, with the mark in their environment."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is another user's
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


@contextmanager
def counted_signals(received: list[int]) -> Iterator[None]:
    """Add each SIGINT and SIGTERM to ``received`` instead of dying of it."""
    with ExitStack() as stack:
        with suppress(ValueError):  # not in the main thread
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, lambda number, _frame: received.append(number))
                stack.callback(signal.signal, number, before)
        yield


def _killed_rank(report: Path) -> list[e.RankKilled]:
    """Return what the launcher has reported, if anything: a rank that was killed cannot report itself."""
    with suppress(OSError, ValueError, TypeError):
        return [from_plain(e.RankKilled, json.loads(report.read_text(encoding="utf-8")))]
    return []


def _tail(log: Path) -> str | None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-LOG_LINES:]) or None

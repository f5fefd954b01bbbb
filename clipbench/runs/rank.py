"""One rank of one case, in a process of its own: ``python -m clipbench.runs.rank JOB``."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipbench.api import Group, World, events, exit_with_parent
from clipbench.api.plain import from_plain, to_plain
from clipbench.api.registry import load_registry
from clipbench.api.result import CaseError
from clipbench.errors import CaseFailedError, ClipbenchError, ExitCode
from clipbench.results.events import EventWriter
from clipbench.runs.build import run_case
from clipbench.runs.devices import check_device
from clipbench.runs.job import EVENTS, STOP, Job
from clipbench.runs.launch import world_of
from clipbench.training.collectives import SingleRank
from clipbench.training.stop import Stopped, StopRequest

# Errors of a disk that refuses are the machine's fault, wherever they come from.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def main(arguments: Sequence[str]) -> int:
    """Do the job in the file that ``arguments`` name; return the exit code."""
    job = Job.read(Path(arguments[0]))
    exit_with_parent(job.parent)
    stop = StopRequest(job.folder / STOP)
    stop.on_signals()
    reporter = Reporter(world_of(), EventWriter(job.folder / EVENTS))
    try:
        registry = load_registry()
        missing = [item for engine, device in job.checks if (item := check_device(registry, engine, device))]
        reporter.emit(events.DevicesChecked(tuple(missing)))
        if missing:
            return ExitCode.NOT_READY
        if job.case is not None:
            run_case(job, job.case, registry, reporter.world, stop, reporter.emit, reporter.joined)
        return ExitCode.PASS
    except Stopped as stopped:
        reporter.emit(events.TrainingStopped(str(stopped.checkpoint) if stopped.checkpoint else None))
        return ExitCode.INTERRUPTED
    except Exception as error:
        return reporter.failed(error)


@dataclass
class Reporter:
    """What this rank reports: events of the run, and its own failure or that of another rank."""

    world: World
    write: EventWriter
    group: Group = field(default_factory=SingleRank)

    def emit(self, event: events.Event) -> None:
        """Report for the whole run, which only rank 0 does."""
        if self.world.rank == 0:
            self.write(event)

    def joined(self, group: Group) -> None:
        """Report to ``group`` from here on, and end where one of its ranks fails while this one waits."""
        self.group = group
        group.on_failure(self._end)

    def failed(self, error: Exception) -> int:
        """Report ``error`` and, where another rank was the first to fail, that one's; return the exit code."""
        own = case_error(error, self.world.rank)
        # This rank's own error is written first: its peers may only see that it has gone.
        with suppress(OSError, ClipbenchError):
            self.write(events.RankFailed(own))
        self.group.fail(to_plain(own))
        self._report_cause(self.group.failure())
        return own.exit_code

    def _report_cause(self, report: Mapping[str, Any] | None) -> None:
        if report is not None and self.world.rank == 0:
            cause = from_plain(CaseError, {"exit_code": int(ExitCode.CASE_FAILED), **report})
            with suppress(OSError, ClipbenchError):
                self.write(events.RankFailed(cause, is_cause=True))

    def _end(self, report: Mapping[str, Any]) -> None:
        """End this process from another thread: this rank waits in vain for one that has failed."""
        self._report_cause(report)
        os._exit(ExitCode.CASE_FAILED)


def case_error(error: Exception, rank: int) -> CaseError:
    """Return ``error``, which is being handled, as results have it."""
    if isinstance(error, ClipbenchError):
        code = error.exit_code
    else:
        is_disk = isinstance(error, OSError) and error.errno in DISK_ERRORS
        code = ExitCode.NOT_READY if is_disk else ExitCode.CASE_FAILED
    failed = error if isinstance(error, CaseFailedError) else CaseFailedError("")
    return CaseError(
        type=type(error).__name__,
        message=str(error) or type(error).__name__,
        exit_code=int(code),
        traceback=traceback.format_exc(),
        rank=rank,
        checkpoint=str(failed.checkpoint) if failed.checkpoint else None,
        details=failed.details or None,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a rank reports: events of the run, its own failure, and that of another rank."""

import errno
import os
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from clipbench.api import Group, World, events
from clipbench.api.plain import from_plain, to_plain
from clipbench.api.result import CaseError
from clipbench.errors import CaseFailedError, ClipbenchError, ExitCode
from clipbench.training.collectives import SingleRank

# Errors of a disk that refuses are the machine's fault, wherever they come from.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
TELL_SECONDS = 1.0


@dataclass
class Reporter:
    """What this rank reports: events of the run, and its own failure or that of another rank."""

    world: World
    write: Callable[[events.Event], None]
    group: Group = field(default_factory=SingleRank)
    _told: float = field(init=False, default=0.0)

    def emit(self, event: events.Event) -> None:
        """Report for the whole run, which only rank 0 does."""
        if self.world.rank == 0:
            self.write(event)

    def tell(self, stage: events.Stage, subject: str = "", done: int = 0, total: int = 0) -> None:
        """Report what the run is doing; how far it is, at most once a second."""
        now = time.monotonic()
        if done == 0 or now - self._told >= TELL_SECONDS:
            self._told = now
            self.emit(events.Progress(stage, subject, done, total))

    def joined(self, group: Group) -> None:
        """Report to ``group`` from here on, and end where one of its ranks fails while this one waits."""
        self.group = group
        group.on_failure(self._end)

    def failed(self, error: BaseException) -> int:
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


def case_error(error: BaseException, rank: int) -> CaseError:
    """Return ``error``, which is being handled, as results have it."""
    if isinstance(error, ClipbenchError):
        code = error.exit_code
    else:
        is_disk = isinstance(error, OSError) and error.errno in DISK_ERRORS
        code = ExitCode.NOT_READY if is_disk else ExitCode.CASE_FAILED
    failed = error if isinstance(error, CaseFailedError) else CaseFailedError("")
    name, checkpoint = type(error).__name__, str(failed.checkpoint) if failed.checkpoint else None
    trace, details = traceback.format_exc(), failed.details or None
    return CaseError(name, str(error) or name, int(code), trace, rank, checkpoint, details)

"""One rank of one case, in a process of its own: ``python -m clipbench.worker JOB``."""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench.api import Group, World
from clipbench.api.registry import Registry, load_registry
from clipbench.errors import CaseFailedError, ClipbenchError, ExitCode
from clipbench.results.events import EventWriter
from clipbench.runs.build import CaseRun
from clipbench.runs.devices import check_device
from clipbench.runs.launch import world_of
from clipbench.suites.loading import Case
from clipbench.training.collectives import Alone
from clipbench.training.stop import Stopped, StopRequest


@dataclass(frozen=True)
class Job:
    """What the worker is told: the devices to check first, then the case to run, if any.

    ``checks`` are (engine, device) names. ``case`` None only checks. ``folder`` is where the run keeps what is its own:
    the file ``stop`` in it asks for an end in order. Rank 0 keeps ``checkpoints``. ``started`` is when
    this attempt began.
    """

    events: Path
    parent: int
    checks: tuple[tuple[str, str], ...]
    case: Case | None
    folder: Path | None = None
    checkpoints: Path | None = None
    started: str = ""

    def write(self, path: Path) -> None:
        data = {
            "events": str(self.events),
            "parent": self.parent,
            "checks": self.checks,
            "case": self.case.to_dict() if self.case else None,
            "folder": str(self.folder) if self.folder else None,
            "checkpoints": str(self.checkpoints) if self.checkpoints else None,
            "started": self.started,
        }
        path.write_text(json.dumps(data), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        data = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            events=Path(data["events"]),
            parent=data["parent"],
            checks=tuple((engine, device) for engine, device in data["checks"]),
            case=Case.from_dict(data["case"]) if data["case"] else None,
            folder=Path(data["folder"]) if data["folder"] else None,
            checkpoints=Path(data["checkpoints"]) if data["checkpoints"] else None,
            started=data["started"],
        )


def main(arguments: Sequence[str]) -> int:
    job = Job.read(Path(arguments[0]))
    world = world_of()
    _die_with(job.parent)
    writer = EventWriter(job.events)
    stop = StopRequest(job.folder / "stop" if job.folder else None)
    stop.on_signals()
    rank = _Rank(world, writer)
    try:
        registry = load_registry()
        missing = [item for engine, device in job.checks if (item := check_device(registry, engine, device))]
        rank.emit("checked", missing=[vars(item) for item in missing])
        if missing:
            return ExitCode.NOT_READY
        if job.case is not None:
            run_case(job, job.case, registry, rank, stop)
        return ExitCode.PASS
    except Stopped as stopped:
        rank.emit("stopped", checkpoint=str(stopped.checkpoint) if stopped.checkpoint else None)
        return ExitCode.INTERRUPTED
    except Exception as error:
        return rank.failed(error)


def run_case(job: Job, case: Case, registry: Registry, rank: _Rank, stop: StopRequest) -> None:
    """Build everything that a case names, report it, then train and evaluate."""
    with CaseRun(case, registry, rank.world, rank.emit, stop, rank.joined) as run:
        run.open_device()
        run.open_data(job.folder)
        run.build_learner()
        run.restore(job.checkpoints if rank.world.rank == 0 else None, job.started)
        run.train()


class _Rank:
    """This process among its peers: what it reports as events, and how it ends when something goes wrong."""

    def __init__(self, world: World, writer: EventWriter) -> None:
        self.world, self._writer = world, writer
        self._group: Group = Alone()

    def emit(self, event: str, **values: Any) -> None:  # noqa: ANN401
        """Report for the whole run, which rank 0 does."""
        if self.world.rank == 0:
            self._writer(event, **values)

    def joined(self, group: Group) -> None:
        """The peers are there: from here on, one that fails is everybody's end."""
        self._group = group
        listen: Callable[[Callable[[Mapping[str, Any]], None]], None] | None = getattr(group, "on_failure", None)
        if listen is not None:
            listen(self._end_for)

    def failed(self, error: Exception) -> int:
        """Report what has gone wrong, here or at the rank that was the first to fail; the exit code."""
        code = _exit_code(error)
        report = {
            "type": type(error).__name__,
            "message": str(error) or type(error).__name__,
            "exit_code": int(code),
            "traceback": traceback.format_exc(),
            "rank": self.world.rank,
            **_particulars(error),
        }
        # An error of this rank's own goes first: what its peers then see is only that it has gone.
        with suppress(OSError, ClipbenchError):
            self._writer("error", **report)
        self._group.fail(report)
        cause = self._group.failure()
        if cause is not None and self.world.rank == 0:
            with suppress(OSError, ClipbenchError):
                self._writer("cause", **_whole(cause))
        return code

    def _end_for(self, report: Mapping[str, Any]) -> None:
        """End from another thread: a peer is gone, and this rank waits for it in vain."""
        with suppress(OSError, ClipbenchError):
            if self.world.rank == 0:
                self._writer("cause", **_whole(report))
        os._exit(ExitCode.CASE_FAILED)


def _whole(report: Mapping[str, Any]) -> dict[str, Any]:
    return {"exit_code": int(ExitCode.CASE_FAILED), "traceback": None, **report}


def _exit_code(error: Exception) -> ExitCode:
    if isinstance(error, ClipbenchError):
        return error.exit_code
    # A disk that refuses is the machine's fault, wherever it was found out.
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
    return ExitCode.NOT_READY if full else ExitCode.CASE_FAILED


def _particulars(error: Exception) -> dict[str, Any]:
    if not isinstance(error, CaseFailedError):
        return {}
    checkpoint = str(error.checkpoint) if error.checkpoint else None
    return {"details": error.details, "checkpoint": checkpoint} if error.details else {"checkpoint": checkpoint}


def _die_with(parent: int) -> None:
    """End this process when the one that started it is gone: nobody would read what it does."""

    def watch() -> None:
        while True:
            time.sleep(1.0)
            try:
                os.kill(parent, 0)
            except ProcessLookupError:
                os._exit(ExitCode.INTERRUPTED)
            except PermissionError:
                pass

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

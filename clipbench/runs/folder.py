"""What a run keeps for itself while it is not finished: ``OUT/.work/RUN_ID/``."""

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from clipbench.api import Case
from clipbench.api.door import conforms
from clipbench.api.plain import from_plain, to_plain, value_at
from clipbench.files.disk import writing
from clipbench.files.json_file import JsonError, read_json, write_json
from clipbench.results.result import new_run_id, utc_now
from clipbench.runs.job import EVENTS, LAUNCHER_REPORT, PROCESS_FILES, STOP
from clipbench.training import checkpoints
from clipbench.training.checkpointing import peek

WORK, RECORD = ".work", "run.json"
UNFINISHED = ("running", "interrupted", "failed")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, and what ``run.json`` in it says: the case, when the run began, its ``status``.

    A status is running, interrupted, failed, completed or replaced, since ``updated``. ``process`` on ``host`` is the
    command's. ``task`` is the id of the task of a plan that it is of, if any.
    """

    path: Path
    run_id: str
    suite: str
    case: str
    started: str
    status: str = "running"
    updated: str = ""
    process: int | None = None
    host: str | None = None
    task: str | None = None

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def has_checkpoint(self) -> bool:
        """Return whether there is a checkpoint; a damaged one counts, so that it is not ignored in silence."""
        return bool(checkpoints.folders(self.checkpoints))

    def tuning(self) -> Mapping[str, Any] | None:
        """Return what the device of an unfinished run was tuned to, as its last readable checkpoint has it."""
        saved = filter(None, map(peek, reversed(checkpoints.folders(self.checkpoints))))
        return next((value_at(run.identity, "device.tuning") for run in saved), None)

    def mark(self, status: str) -> "RunFolder":
        """Write that the run now has ``status``; return the folder with its new record."""
        now, host = utc_now(), socket.gethostname()
        marked = replace(self, status=status, updated=now, process=os.getpid(), host=host)
        record = to_plain(marked)
        del record["path"]
        with writing("the run's own record", self.path, 1000):
            write_json(self.path / RECORD, record)
        return marked

    def begin_attempt(self) -> "RunFolder":
        """Remove what an earlier attempt has left that this one must not read."""
        for name in (EVENTS, STOP, LAUNCHER_REPORT):
            (self.path / name).unlink(missing_ok=True)
        return self.mark("running")

    def set_aside(self) -> Path:
        """Keep the run under another name, where no later one resumes it; return its new folder."""
        aside, number = self.path.with_name(f"{self.run_id}.replaced"), 1
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.run_id}.replaced-{number}")
        with writing("the earlier run's new name", aside, 0):
            self.mark("replaced").path.rename(aside)
        return aside

    def complete(self, keep: str) -> None:
        """Remove all but the checkpoints to ``keep`` (``best``, ``all``, ``none``) and the record."""
        best = checkpoints.best(self.checkpoints) if keep == "best" else None
        if keep == "none" or (keep == "best" and best is None) or not self.checkpoints.is_dir():
            shutil.rmtree(self.path)
            return
        for folder in self.checkpoints.iterdir():
            if best is not None and folder != best:
                shutil.rmtree(folder)
        for name in PROCESS_FILES:
            (self.path / name).unlink(missing_ok=True)
        self.mark("completed")


def new_run_folder(out: Path, case: Case, task: str | None = None) -> "RunFolder":
    """Make the folder of a run that begins now."""
    run_id = new_run_id(case)
    path = out / WORK / run_id
    with writing("the run's own folder", path, 0):
        path.mkdir(parents=True)
    return RunFolder(path, run_id, case.suite, case.name, utc_now(), task=task).mark("running")


def run_folders(out: Path) -> tuple[list[RunFolder], list[str]]:
    """Return every run that keeps something under ``out``, the oldest first, and what is wrong with other records."""
    folders, problems = [], []
    for path in sorted((out / WORK).glob(f"*/{RECORD}")):
        try:
            folders.append(_read_record(path))
        except (JsonError, TypeError) as error:
            problems.append(f"{path}: not the record of a run ({error}); the folder is left alone: remove it")
    return sorted(folders, key=lambda folder: (folder.started, folder.run_id)), problems


def _read_record(path: Path) -> RunFolder:
    """Return what ``mark`` has written; raise TypeError for anything else, JsonError for what is no JSON."""
    folder = from_plain(RunFolder, {**read_json(path), "path": path.parent})
    for name, hint in get_type_hints(RunFolder).items():
        if not conforms(getattr(folder, name), hint):
            raise TypeError(f"{name}: unexpected {type(getattr(folder, name)).__name__}")
    # Set aside, the folder has another ending.
    if path.parent.name != folder.run_id and not path.parent.name.startswith(f"{folder.run_id}.replaced"):
        raise TypeError(f"it is of the run {folder.run_id[:100]}")
    return folder


def unfinished(out: Path, case: Case, task: str | None = None) -> tuple[RunFolder | None, list[str]]:
    """Return the newest run of this suite's case and task that did not complete and has a checkpoint, or None.

    Beside it, what is wrong with records that cannot be read: one of them may be of that run.
    """
    folders, problems = run_folders(out)
    for run in reversed(folders):
        is_same = (run.suite, run.case, run.task) == (case.suite, case.name, task)
        if is_same and run.status in UNFINISHED and run.has_checkpoint():
            return run, problems
    return None, problems

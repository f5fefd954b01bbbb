"""What a run keeps for itself while it is not finished: ``OUT/.work/RUN_ID/``."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench.errors import ClipbenchError
from clipbench.files.disk import writing
from clipbench.files.json_file import JsonError, read_json, write_json
from clipbench.results.result import new_run_id, utc_now
from clipbench.suites.loading import Case
from clipbench.training import checkpoints

WORK = ".work"
UNFINISHED = ("running", "interrupted", "failed")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run. ``run`` is what ``run.json`` in it says: whose it is, when it began, what became of it."""

    path: Path
    run: dict[str, Any]

    @property
    def run_id(self) -> str:
        run_id: str = self.run["run_id"]
        return run_id

    @property
    def started(self) -> str:
        started: str = self.run["started"]
        return started

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "worker.log"

    @property
    def stop(self) -> Path:
        return self.path / "stop"

    def has_checkpoint(self) -> bool:
        """Whether there is anything to go on from; what is damaged counts, so that it is not passed over in silence."""
        return bool(checkpoints.folders(self.checkpoints))

    def tuning(self) -> dict[str, str]:
        """CLIPBENCH_TUNING for a run that goes on: what its device was tuned to, as its last checkpoint has it."""
        for folder in reversed(checkpoints.folders(self.checkpoints)):
            with suppress(JsonError, KeyError, TypeError):
                state = read_json(folder / checkpoints.STATE)
                return {"CLIPBENCH_TUNING": json.dumps(state["progress"]["identity"]["device"]["tuning"])}
        return {}

    def mark(self, status: str) -> RunFolder:
        """The run is now ``status``: running, interrupted, failed, completed or replaced."""
        run = {**self.run, "status": status, "updated": utc_now(), "process": os.getpid(), "host": socket.gethostname()}
        with writing("the run's own record", self.path, 1000):
            write_json(self.path / "run.json", run)
        return RunFolder(self.path, run)

    def begin_attempt(self) -> RunFolder:
        """Clear what an earlier attempt has left that this one must not read."""
        for path in (self.events, self.stop):
            path.unlink(missing_ok=True)
        return self.mark("running")

    def set_aside(self) -> Path:
        """Keep the run under another name, where no later one goes on from it; its new folder."""
        aside = self.path.with_name(f"{self.run_id}.replaced")
        number = 1
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.run_id}.replaced-{number}")
        with writing("the earlier run's new name", aside, 0):
            self.mark("replaced").path.rename(aside)
        return aside

    def complete(self, keep: str) -> None:
        """The run is done: keep of its checkpoints what is wanted (``best``, ``all``, ``none``), and else nothing."""
        best = checkpoints.best(self.checkpoints) if keep == "best" else None
        if keep == "none" or (keep == "best" and best is None) or not self.checkpoints.is_dir():
            shutil.rmtree(self.path)
            return
        for folder in self.checkpoints.iterdir():
            if best is not None and folder != best:
                shutil.rmtree(folder)
        for path in (self.events, self.log, self.path / "job.json", self.path / "rank0.lock", self.stop):
            path.unlink(missing_ok=True)
        self.mark("completed")


def new_run_folder(out: Path, case: Case) -> RunFolder:
    """A folder for a run that begins now."""
    run_id = new_run_id(case)
    path = out / WORK / run_id
    run = {"run_id": run_id, "suite": case.suite, "case": case.name, "started": utc_now()}
    with writing("the run's own folder", path, 0):
        path.mkdir(parents=True)
    return RunFolder(path, run).mark("running")


def run_folders(out: Path) -> Iterator[RunFolder]:
    """Every run that keeps something under ``out``, the oldest first; what is not a run's folder is passed over."""
    work = out / WORK
    if not work.is_dir():
        return
    found = []
    for path in work.iterdir():
        if (path / "run.json").is_file():
            try:
                found.append(RunFolder(path, read_json(path / "run.json")))
            except JsonError as error:
                raise ClipbenchError(f"{path / 'run.json'}: {error}; remove that folder") from None
    yield from sorted(found, key=lambda folder: (folder.started, folder.run_id))


def unfinished(out: Path, case: Case) -> RunFolder | None:
    """The newest run of this suite's case that did not complete and that something can go on from, or None."""
    mine = [
        folder
        for folder in run_folders(out)
        if (folder.run["suite"], folder.run["case"]) == (case.suite, case.name)
        and folder.run["status"] in UNFINISHED
        and folder.has_checkpoint()
    ]
    return mine[-1] if mine else None

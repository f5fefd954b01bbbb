"""What lies in an output folder: finished, failed, interrupted and resumable runs."""

import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path

from clipbench.results.collecting.collect import Tell, survey
from clipbench.results.collecting.entries import Entry
from clipbench.results.measures.metrics import BEST_METRIC
from clipbench.runs.folder import RunFolder, run_folders
from clipbench.training import checkpoints
from clipbench.training.checkpointing import peek


@dataclass(frozen=True)
class Run:
    """One run: its ``status`` (running, completed, interrupted, failed, killed, replaced), its progress, its files.

    ``resumable``: the command that began it resumes it. ``bytes`` are those of its checkpoints.
    """

    run_id: str
    case: str
    status: str
    started: str
    epochs: int = 0
    steps: int | None = None
    recall_mean: float | None = None
    result: str | None = None
    checkpoints: str | None = None
    bytes: int = 0
    resumable: bool = False
    message: str | None = None


def find_runs(out: Path, tell: Tell = lambda _done, _of: None) -> tuple[list[Run], tuple[str, ...]]:
    """Return every run under ``out``, the oldest first, and what is wrong with files that were left out."""
    collected = survey([out], tell)
    runs = {run_id: _of_entry(entry) for run_id, entry in collected.entries.items()}
    replaced = []
    folders, problems = run_folders(out)
    for folder in folders:
        if folder.status == "replaced":
            replaced.append(_of_folder(folder, None))
        else:
            runs[folder.run_id] = _of_folder(folder, runs.get(folder.run_id))
    return sorted([*runs.values(), *replaced], key=lambda run: (run.started, run.run_id)), (
        *collected.problems,
        *problems,
    )


def _of_entry(entry: Entry) -> Run:
    result = entry.result
    return Run(
        result.run_id,
        result.case,
        result.status,
        result.started,
        epochs=entry.epoch,
        recall_mean=result.value(BEST_METRIC),
        result=entry.file,
        message=result.error.message if result.error else None,
    )


def _of_folder(folder: RunFolder, run: Run | None) -> Run:
    """Return the run of a folder; ``run`` is what its result says, if it has one."""
    status = "killed" if folder.status == "running" and not _is_alive(folder) else folder.status
    run_id = folder.path.name if status == "replaced" else folder.run_id
    run = replace(run or Run(run_id, folder.case, status, folder.started), status=status)
    saved = checkpoints.folders(folder.checkpoints)
    if not saved:
        return run
    newest = peek(saved[-1])
    return replace(
        run,
        epochs=max(run.epochs, len(newest.state.epochs) if newest else 0),
        steps=newest.state.progress.steps if newest else None,
        checkpoints=str(folder.checkpoints),
        bytes=sum(file.stat().st_size for checkpoint in saved for file in checkpoint.iterdir()),
        resumable=status in ("interrupted", "failed", "killed"),
    )


def _is_alive(folder: RunFolder) -> bool:
    """Return whether the process that runs it is there; one on another machine is taken to be."""
    if folder.host != socket.gethostname():
        return True
    if folder.process is None:
        return False
    try:
        os.kill(folder.process, 0)
    except OSError as error:
        return isinstance(error, PermissionError)
    return True

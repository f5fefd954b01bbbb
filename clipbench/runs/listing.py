"""What lies in an output folder: finished, failed, interrupted and resumable runs."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

from clipbench.api import Result
from clipbench.results.collect import collect
from clipbench.results.metrics import BEST_METRIC
from clipbench.runs.folder import UNFINISHED, RunFolder, RunRecord, run_folders
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
    epochs: int
    steps: int | None
    recall_mean: float | None
    result: str | None
    checkpoints: str | None
    bytes: int
    resumable: bool
    message: str | None


def find_runs(out: Path) -> tuple[list[Run], tuple[str, ...]]:
    """Return every run under ``out``, the oldest first, and what is wrong with files that were left out."""
    collected = collect([out])
    results = {result.run_id: result for result in collected.results}
    runs = []
    for folder in run_folders(out):
        # A run that was replaced has no result of its own.
        result = None if folder.record.status == "replaced" else results.pop(folder.run_id, None)
        runs.append(_unfinished_run(out, folder, result))
    runs += [_finished_run(out, result) for result in results.values()]
    return sorted(runs, key=lambda run: (run.started, run.run_id)), collected.problems


def _unfinished_run(out: Path, folder: RunFolder, result: Result | None) -> Run:
    """Return a run that has a folder, completed or not."""
    record = folder.record
    saved = checkpoints.folders(folder.checkpoints)
    epochs, steps = _position(saved)
    status = "killed" if record.status == "running" and not _is_alive(record) else record.status
    return Run(
        run_id=folder.path.name if status == "replaced" else record.run_id,
        case=record.case,
        status=status,
        started=record.started,
        epochs=max(epochs, _epochs(result)),
        steps=steps,
        recall_mean=result.value(BEST_METRIC) if result else None,
        result=None if status == "replaced" else _result_file(out, record.run_id),
        checkpoints=str(folder.checkpoints) if saved else None,
        bytes=sum(file.stat().st_size for checkpoint in saved for file in checkpoint.iterdir()),
        resumable=bool(saved) and status in (*UNFINISHED, "killed") and status != "running",
        message=_message(result),
    )


def _finished_run(out: Path, result: Result) -> Run:
    return Run(
        run_id=result.run_id,
        case=result.case,
        status=result.status,
        started=result.started,
        epochs=_epochs(result),
        steps=None,
        recall_mean=result.value(BEST_METRIC),
        result=_result_file(out, result.run_id),
        checkpoints=None,
        bytes=0,
        resumable=False,
        message=_message(result),
    )


def _position(saved: list[Path]) -> tuple[int, int | None]:
    """Return the epochs that are done and the steps of the next one, as the newest checkpoint has them."""
    run = peek(saved[-1]) if saved else None
    return (len(run.state.epochs), run.state.progress.steps) if run else (0, None)


def _epochs(result: Result | None) -> int:
    return result.epochs[-1].epoch if result and result.epochs else 0


def _result_file(out: Path, run_id: str) -> str | None:
    path = out / f"{run_id}.json"
    return str(path) if path.is_file() else None


def _message(result: Result | None) -> str | None:
    return result.error.message if result and result.error else None


def _is_alive(record: RunRecord) -> bool:
    """Return whether the process that runs it is there; one on another machine is taken to be."""
    if record.host != socket.gethostname():
        return True
    if record.process is None:
        return False
    try:
        os.kill(record.process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True

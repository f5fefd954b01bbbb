"""What lies in an output folder: finished, failed, interrupted and resumable runs."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench.files.json_file import JsonError, read_json
from clipbench.results.collect import collect
from clipbench.results.result import BEST_METRIC
from clipbench.runs.folder import UNFINISHED, RunFolder, run_folders
from clipbench.training import checkpoints


@dataclass(frozen=True)
class Run:
    """One run: its ``status`` (running, completed, interrupted, failed, killed, replaced), how far it is, its files.

    ``resumable``: the command that began it goes on with it. ``bytes`` are those of its checkpoints.
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
    """Every run under ``out``, the oldest first, and what is wrong with files that were passed over."""
    found = collect([out])
    results = {result["run_id"]: result for result in found.results}
    folders = {folder.run_id: folder for folder in run_folders(out) if folder.run["status"] != "replaced"}
    runs = [_run(out, run_id, results.get(run_id), folders.get(run_id)) for run_id in {**results, **folders}]
    runs += [
        _run(out, folder.run_id, None, folder) for folder in run_folders(out) if folder.run["status"] == "replaced"
    ]
    return sorted(runs, key=lambda run: (run.started, run.run_id)), found.problems


def _run(out: Path, run_id: str, result: Mapping[str, Any] | None, folder: RunFolder | None) -> Run:
    saved = checkpoints.folders(folder.checkpoints) if folder is not None else []
    epochs, steps = _position(saved[-1]) if saved else (0, None)
    if result is not None and result["epochs"]:
        epochs = max(epochs, result["epochs"][-1]["epoch"])
    status = folder.run["status"] if folder is not None else result["status"] if result is not None else "failed"
    if folder is not None and status == "running" and not _is_alive(folder):
        status = "killed"
    best = ((result or {}).get("metrics") or {}).get("last")
    path = out / f"{run_id}.json"
    return Run(
        run_id=run_id if status != "replaced" or folder is None else folder.path.name,
        case=str((result or (folder.run if folder else {}))["case"]),
        status=status,
        started=str((result or (folder.run if folder else {}))["started"]),
        epochs=epochs,
        steps=steps,
        recall_mean=best["values"][BEST_METRIC]["value"] if best else None,
        result=str(path) if path.is_file() and status != "replaced" else None,
        checkpoints=str(folder.checkpoints) if folder is not None and saved else None,
        bytes=sum(file.stat().st_size for place in saved for file in place.iterdir()),
        resumable=bool(saved) and status in (*UNFINISHED, "killed") and status != "running",
        message=result["error"]["message"] if result is not None and result["error"] else None,
    )


def _position(checkpoint: Path) -> tuple[int, int | None]:
    """Epochs that are done and steps of the next one, as a checkpoint has them."""
    try:
        state = read_json(checkpoint / checkpoints.STATE)["progress"]["state"]
        return len(state["epochs"]), state["partial"]["steps"]
    except (JsonError, KeyError, TypeError):
        return 0, None


def _is_alive(folder: RunFolder) -> bool:
    """Whether the process that runs it is there; on another machine that cannot be told, and is believed."""
    if folder.run.get("host") != socket.gethostname():
        return True
    try:
        os.kill(int(folder.run["process"]), 0)
    except (ProcessLookupError, ValueError, KeyError):
        return False
    except PermissionError:
        pass
    return True

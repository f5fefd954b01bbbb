"""The job of one process of a case, as a file: what ``python -m clipbench.runs.rank JOB`` reads."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clipbench.api import Case, ClipConfig
from clipbench.api.plain import from_plain, to_plain

# Files that a case's processes use while they run, in the folder of the job.
JOB, EVENTS, LOG, STOP = "job.json", "events.jsonl", "worker.log", "stop"
LAUNCHER_REPORT, RANK_LOCK, RETRIEVED = "launcher.json", "rank0.lock", "retrieved.zip"
PROCESS_FILES = (JOB, EVENTS, LOG, STOP, LAUNCHER_REPORT, RANK_LOCK, RETRIEVED)


@dataclass(frozen=True)
class WeightsCheck:
    """Weights, and the engine's model that they have to fit; its vocabulary is as large as its file.

    ``text_weights`` are of the text tower alone.
    """

    engine: str
    model: str
    config: ClipConfig
    weights: Path | None
    vocabulary: Path
    text_weights: Path | None = None

    @property
    def files(self) -> str:
        """The files of weights, in words."""
        return " and ".join(str(path) for path in (self.weights, self.text_weights) if path)


@dataclass(frozen=True)
class Checks:
    """What is looked for before anything else: devices, as (engine, device) names, and whether weights fit."""

    devices: tuple[tuple[str, str], ...]
    weights: tuple[WeightsCheck, ...] = ()


@dataclass(frozen=True)
class Job:
    """The ``checks`` to make first, then the case to run, or whose numerics to check, if any, on ``device``.

    ``folder`` holds the files of its processes; ``parent`` is the process id of the one that started them. Rank 0 saves
    under ``checkpoints``. ``started`` is when this attempt began. ``tuning`` is what the device was tuned to when an
    unfinished run began.
    """

    folder: Path
    parent: int
    checks: Checks
    case: Case | None = None
    checkpoints: Path | None = None
    started: str = ""
    tuning: Mapping[str, Any] | None = None
    device: str = ""
    task: Literal["run", "check numerics"] = "run"

    def write(self) -> Path:
        """Write the job into its folder; return the file."""
        path = self.folder / JOB
        path.write_text(json.dumps(to_plain(self)), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: Path) -> "Job":
        """Return the job that ``write`` wrote to ``path``."""
        return from_plain(cls, json.loads(path.read_text(encoding="utf-8")))

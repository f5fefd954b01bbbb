"""What is known of submitted tasks: a folder for each submission, with the tasks, and a file for each that began."""

import secrets
import signal
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from clipbench.api.plain import from_plain, to_plain
from clipbench.files.disk import writing
from clipbench.files.json_file import JsonError, read_json, write_json

JOBS, SUBMISSION = ".jobs", "submission.json"
LOG_LINES = 10
Engine = Literal["slurm", "local"]


@dataclass(frozen=True)
class Submitted:
    """A task that was given to an engine: its command, and the engine's ``job`` that runs it."""

    id: str
    command: tuple[str, ...]
    job: str = ""


@dataclass(frozen=True)
class Submission:
    """What one call of ``clipbench submit`` on ``host`` has given to the engine ``on``; ``folder`` has its files."""

    folder: Path
    on: Engine
    host: str
    submitted: str
    tasks: tuple[Submitted, ...]

    def write(self) -> None:
        """Write it into its folder."""
        record = to_plain(self)
        del record["folder"]
        path = self.folder / SUBMISSION
        with writing("the record of the submitted tasks", path, 200 * len(self.tasks)):
            write_json(path, record)


@dataclass(frozen=True)
class Attempt:
    """The last attempt of a task: by which process on which host, since when, and how it ended, if it has."""

    host: str
    process: int
    started: str
    attempts: int
    ended: str | None = None
    exit_code: int | None = None

    @property
    def was_stopped(self) -> bool:
        """Whether it ended because it was asked to stop: what it has saved is gone on from."""
        return self.exit_code in (128 + signal.SIGINT, 128 + signal.SIGTERM)


def new_folder(out: Path) -> Path:
    """Make the folder of a submission under ``out``; its name sorts by time."""
    now = datetime.now(timezone.utc)
    folder = out / JOBS / f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    with writing("the folder of the submission", folder, 0):
        folder.mkdir(parents=True)
    return folder


def read_submissions(out: Path) -> tuple[list[Submission], list[str]]:
    """Return every submission under ``out``, the oldest first, and what is wrong with records that cannot be read."""
    found, problems = [], []
    for path in sorted((out / JOBS).glob(f"*/{SUBMISSION}")):
        try:
            found.append(from_plain(Submission, {**read_json(path), "folder": path.parent}))
        except (JsonError, TypeError) as error:
            problems.append(f"{path}: not the record of a submission ({error}); its tasks are not shown: remove it")
    return found, problems


def attempt_file(folder: Path, task_id: str) -> Path:
    """Return the file with the last attempt of a task."""
    return folder / "tasks" / f"{task_id}.json"


def log_file(folder: Path, task_id: str) -> Path:
    """Return the file with what a task's command has printed, of all attempts."""
    return folder / "tasks" / f"{task_id}.log"


def read_attempt(folder: Path, task_id: str) -> Attempt | None:
    """Return the last attempt of a task; None where it has not begun, or its record is only half a file."""
    with suppress(JsonError, TypeError):
        return from_plain(Attempt, read_json(attempt_file(folder, task_id)))
    return None


def last_words(folder: Path, task_id: str) -> str:
    """Return the last error that a task's command has printed, else its last line that is not empty."""
    try:
        with log_file(folder, task_id).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - 10_000))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    said = [number for number, line in enumerate(lines) if line.startswith("clipbench: ")]
    if said:
        return "\n".join(lines[said[-1] :][:LOG_LINES]).strip()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")

"""How far submitted tasks are, and their end: by their results, their records, and the jobs that are still there."""

import os
import signal
import socket
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from clipbench.errors import NotReadyError
from clipbench.fleet import slurm
from clipbench.fleet.found import Findings, find_results
from clipbench.fleet.records import (
    Attempt,
    Submission,
    Submitted,
    last_words,
    log_file,
    read_attempt,
    read_submissions,
)
from clipbench.results.collecting.collect import Tell

State = Literal["completed", "running", "queued", "interrupted", "failed", "lost", "not run"]
UNDER_WAY: tuple[State, ...] = ("running", "queued")


@dataclass(frozen=True)
class TaskState:
    """Where a submitted task is, by its last submission.

    Completed: it has a valid result, and does not wait or run once more. Lost: it began, and its job is gone without a
    word. Not run: its job is gone, and it never began. ``message`` is the last error of a task that failed, ``log`` the
    file with all it has printed, ``result`` its valid result.
    """

    id: str
    state: State
    job: str
    host: str | None = None
    attempts: int = 0
    exit_code: int | None = None
    message: str | None = None
    log: Path | None = None
    result: Path | None = None


@dataclass(frozen=True)
class Jobs:
    """Every task that was submitted under a folder, and what is wrong with files there.

    ``notes`` say what could not be asked.
    """

    tasks: tuple[TaskState, ...]
    problems: tuple[str, ...]
    findings: Findings
    notes: tuple[str, ...] = ()

    def count(self, *states: State) -> int:
        """Return how many tasks are in any of ``states``."""
        return sum(task.state in states for task in self.tasks)


def look_at(out: Path, tell: Tell) -> Jobs:
    """Return how far the tasks are that were submitted under ``out``; ``tell`` hears of results that are read."""
    findings = find_results(out, tell)
    submissions, problems = read_submissions(out)
    notes = list[str]()
    try:
        alive = _live_jobs(submissions)
    except NotReadyError as error:
        notes.append(f"which jobs wait or run is not known ({error}); those without an end are shown as if they did")
        alive = {(submission.folder, task.job) for submission in submissions for task in submission.tasks}
    states = [
        _state(submission, task, findings, (submission.folder, task.job) in alive)
        for submission, task in _last(submissions)
    ]
    return Jobs(tuple(states), (*problems, *findings.problems), findings, tuple(notes))


def are_under_way(out: Path) -> bool:
    """Return whether tasks wait or run that were submitted under ``out``: what can be told without their results."""
    submissions, _ = read_submissions(out)
    try:
        alive = _live_jobs(submissions)
    except NotReadyError:  # whoever looks at them says so
        return False
    return any(
        (submission.folder, task.job) in alive and _word(read_attempt(submission.folder, task.id), True) in UNDER_WAY
        for submission, task in _last(submissions)
    )


def _live_jobs(submissions: Sequence[Submission]) -> set[tuple[Path, str]]:
    """Return the folder of the submission and the id of each job that waits or runs."""
    of_slurm = slurm.live_jobs() if any(submission.on == "slurm" for submission in submissions) else set()
    alive = set()
    for submission in submissions:
        for job in {task.job for task in submission.tasks}:
            if job in of_slurm if submission.on == "slurm" else _runs_here(submission, job):
                alive.add((submission.folder, job))
    return alive


def cancel(out: Path) -> int:
    """End every job that waits or runs; tasks under way are saved first. Return how many jobs there were."""
    submissions, _ = read_submissions(out)
    alive = _live_jobs(submissions)
    by_folder = {submission.folder: submission for submission in submissions}
    slurm.cancel_jobs(sorted(job for folder, job in alive if by_folder[folder].on == "slurm"))
    for folder, job in alive:
        if by_folder[folder].on == "local":
            with suppress(ProcessLookupError):
                os.kill(int(job), signal.SIGTERM)
    return len(alive)


def _last(submissions: Sequence[Submission]) -> Iterable[tuple[Submission, Submitted]]:
    """Return every task with its last submission."""
    return {task.id: (submission, task) for submission in submissions for task in submission.tasks}.values()


def _runs_here(submission: Submission, job: str) -> bool:
    """Return whether the process of a local job is there, and is that job's: numbers of processes are used again."""
    if submission.host != socket.gethostname():
        return True
    try:
        words = Path(f"/proc/{job}/cmdline").read_bytes()
    except FileNotFoundError:
        if Path("/proc/self/cmdline").exists():
            return False
        try:  # not Linux
            os.kill(int(job), 0)
        except OSError:
            return False
        return True
    return str(submission.folder).encode() in words


def _state(submission: Submission, task: Submitted, findings: Findings, is_alive: bool) -> TaskState:
    attempt, valid = read_attempt(submission.folder, task.id), findings.valid(task.id)
    word = _word(attempt, is_alive)
    if valid is not None and word not in UNDER_WAY:
        word = "completed"
    state = TaskState(task.id, word, task.job, result=valid.path if valid else None)
    if attempt is None:
        return state
    state = replace(state, host=attempt.host, attempts=attempt.attempts)
    if word == "completed":
        return state
    message = last_words(submission.folder, task.id) if word in ("failed", "lost") else None
    return replace(state, exit_code=attempt.exit_code, message=message, log=log_file(submission.folder, task.id))


def _word(attempt: Attempt | None, is_alive: bool) -> State:
    """Return the state of a task, whatever its result."""
    if attempt is None:
        return "queued" if is_alive else "not run"
    if attempt.ended is None:
        return "running" if is_alive else "lost"
    if attempt.was_stopped:
        return "queued" if is_alive else "interrupted"  # where it was requeued, it goes on
    return "failed"

"""Tasks: what a fleet runs one at a time. A case with a seed, a device and the number of its repeat, and its id."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from clipbench.api import Case

HASH_DIGITS = 10
_ID = re.compile(
    r"(?P<work>.+)-s(?P<seed>[0-9]+)-r(?P<repeat>[0-9]+)-(?P<hash>[0-9a-f]{10})(@(?P<node>[A-Za-z0-9][A-Za-z0-9_.-]*))?"
)


@dataclass(frozen=True)
class Task:
    """One run of ``case``: its repeat, counted from 1, and the ``node`` that it is for, if any one will not do."""

    case: Case
    repeat: int = 1
    node: str | None = None

    @property
    def id(self) -> str:
        return id_of(self, self.case.sha256())


def id_of(task: Task, hashed: str) -> str:
    """Return the id of a task: ``SUITE-DEVICE-sSEED-rREPEAT-HASH[@NODE]``; ``hashed`` is its case's SHA-256.

    It is the same on every machine, and safe as a file name. A device's colon (``pjrt:NAME``) is written as a plus.
    """
    case, node = task.case, f"@{task.node}" if task.node else ""
    device = case.device.replace(":", "+")
    return f"{case.suite}-{device}-s{case.seed}-r{task.repeat}-{hashed[:HASH_DIGITS]}{node}"


def is_task_id(text: str) -> bool:
    """Return whether ``text`` is written as the id of a task."""
    return _ID.fullmatch(text) is not None


def hash_of_id(task_id: str) -> str | None:
    """Return the digits in a task's id that are of its case; None for a text that is no id."""
    match = _ID.fullmatch(task_id)
    return match["hash"] if match else None


def node_of_id(task_id: str) -> str | None:
    """Return the node that a task is for, or None."""
    match = _ID.fullmatch(task_id)
    return match["node"] if match else None


def find_task(task_id: str, cases: Iterable[Case]) -> Task | None:
    """Return the task with this id among all seeds and devices of ``cases``, or None."""
    if (match := _ID.fullmatch(task_id)) is None:
        return None
    for case in cases:
        device = match["work"].removeprefix(f"{case.suite}-").replace("+", ":")
        task = Task(replace(case, seed=int(match["seed"]), device=device), int(match["repeat"]), match["node"])
        if task.id == task_id:
            return task
    return None

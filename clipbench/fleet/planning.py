"""The plan of a fleet: every task of some suites, how long each may take, and which have a result already."""

import hashlib
import itertools
import json
import shlex
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipbench.api import Case
from clipbench.api.config import FREE_KEYS
from clipbench.api.registry import Registry
from clipbench.errors import UsageError
from clipbench.fleet.found import Findings
from clipbench.suites.loading import find_suite, load_suite
from clipbench.suites.plan import make_plan
from clipbench.suites.tasks import Task, id_of

MOST_TASKS = 100_000


@dataclass(frozen=True)
class Request:
    """What a fleet is to run: suites by name or file, changed by ``changes``, their ``cases`` (wildcards) only.

    Every case on each of ``devices`` (none: the suite's own), with as many ``seeds`` from its own on, each repeated.
    ``nodes``: every task once on each of them.
    """

    suites: Sequence[str]
    changes: Sequence[str] = ()
    cases: Sequence[str] = ()
    devices: Sequence[str] = ()
    seeds: int = 1
    repeats: int = 1
    nodes: Sequence[str] = ()


@dataclass(frozen=True)
class PlannedTask:
    """A task, the suite and changes that it came from, its steps, and about how many seconds it takes.

    None: unknown. ``seconds_of`` says which results the seconds are of, ``result`` is the file of its valid result.
    """

    id: str
    suite: str
    changes: tuple[str, ...]
    task: Task
    steps: int | None = None
    seconds: float | None = None
    seconds_of: str | None = None
    result: Path | None = None

    def command(self, out: Path) -> list[str]:
        """Return the words that run it; each task writes into a folder of its own, so that many can run at once."""
        changes = (word for change in self.changes for word in ("--set", change))
        return ["clipbench", "run", self.suite, *changes, "--case", self.id, "--out", str(out / self.id)]

    def line(self, out: Path) -> str:
        """Return the command as a line of a shell."""
        return shlex.join(self.command(out))


def make_tasks(request: Request) -> list[PlannedTask]:
    """Return every task of the request, in the order of suites, cases, devices, seeds, repeats, nodes.

    Raises UsageError for two tasks with one id, and where both the matrix of a suite and an option vary one thing.
    """
    tasks: dict[str, PlannedTask] = {}
    for name in request.suites:
        cases = _cases(name, request)
        each = max(1, len(request.devices)) * request.seeds * request.repeats * max(1, len(request.nodes))
        if len(tasks) + len(cases) * each > MOST_TASKS:
            raise UsageError(f"{name}: makes more than {MOST_TASKS:,} tasks; plan fewer seeds, repeats or devices")
        for planned in itertools.chain.from_iterable(_of_case(name, case, request) for case in cases):
            if (other := tasks.setdefault(planned.id, planned)) is not planned:
                raise _clash(planned, other)
    return list(tasks.values())


def complete(tasks: Iterable[PlannedTask], registry: Registry, findings: Findings) -> list[PlannedTask]:
    """Return the tasks with steps, seconds and results: what can be known of them on this machine."""
    seconds = _seconds_by_work(findings)
    steps: dict[str, int | None] = {}
    works: dict[int, str] = {}  # of each case, which its repeats share
    completed = []
    for planned in tasks:
        case = planned.task.case
        if (work := works.get(id(case))) is None:
            work = works[id(case)] = _work_of(case.to_dict())
        if work not in steps:
            steps[work] = make_plan(case, registry).steps
        about, basis = seconds.get(work, (None, None))
        valid = findings.valid(planned.id)
        completed.append(
            replace(planned, steps=steps[work], seconds=about, seconds_of=basis, result=valid.path if valid else None)
        )
    return completed


def shard(tasks: Sequence[PlannedTask], part: int, parts: int) -> list[PlannedTask]:
    """Return every ``parts``-th task from number ``part`` (from 1) on: the same ones whatever has been run already."""
    return list(tasks[part - 1 :: parts])


def _cases(name: str, request: Request) -> Sequence[Case]:
    suite = load_suite(find_suite(name), request.changes).select(request.cases)
    if suite.task is not None:
        raise UsageError(f"--case {suite.task}: is the id of one task; a plan takes names of cases")
    varied = {choice.partition("=")[0] for case in suite.cases for choice in case.name.partition("@")[2].split(",")}
    for option, key, given in (("--seeds", "seed", request.seeds > 1), ("--devices", "device", request.devices)):
        if given and key in varied:
            raise UsageError(f"{option}: the matrix of {suite.path} has '{key}' already; leave one of the two out")
    return suite.cases


def _of_case(name: str, case: Case, request: Request) -> Iterable[PlannedTask]:
    devices, seeds = request.devices or (case.device,), range(case.seed, case.seed + request.seeds)
    for device, seed in itertools.product(devices, seeds):
        own = replace(case, device=device, seed=seed)
        hashed = own.sha256()  # once for all repeats and nodes: it takes most of the time
        for repeat, node in itertools.product(range(1, request.repeats + 1), request.nodes or (None,)):
            task = Task(own, repeat, node)
            yield PlannedTask(id_of(task, hashed), name, tuple(request.changes), task)


def _clash(planned: PlannedTask, other: PlannedTask) -> UsageError:
    if planned.task.case.sha256() == other.task.case.sha256():
        return UsageError(
            f"{planned.suite}: its task {planned.id} is also one of {other.suite}; name each suite and device once"
        )
    return UsageError(
        f"{planned.suite}: its case {planned.task.case.name} has the id {planned.id}, as the case "
        f"{other.task.case.name} of {other.suite}; give one of the two suites another name"
    )


def _work_of(config: Mapping[str, Any]) -> str:
    """Return a hash of all that a case computes but its seed."""
    kept = {key: value for key, value in config.items() if key not in (*FREE_KEYS, "seed")}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _seconds_by_work(findings: Findings) -> dict[str, tuple[float, str]]:
    """Return for each case that has results the median of their seconds, on the slowest device if it had several."""
    works: dict[str, str] = {}  # of each setup, which many results share
    taken: dict[str, dict[str, list[float]]] = {}
    for entry in findings.all():
        device = entry.result.device_name
        if entry.seconds is not None and device is not None:
            if (work := works.get(entry.setup)) is None:
                work = works[entry.setup] = _work_of(entry.result.config)
            taken.setdefault(work, {}).setdefault(device, []).append(entry.seconds)
    return {work: max(map(_median, devices.items())) for work, devices in taken.items()}


def _median(of_device: tuple[str, list[float]]) -> tuple[float, str]:
    device, seconds = of_device
    count = len(seconds)
    return statistics.median(seconds), f"{count} result{'s' if count > 1 else ''} on {device}"

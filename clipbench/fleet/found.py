"""What tasks have left: the results in a folder, one read at a time, so that ten thousand take little memory."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from clipbench import __version__
from clipbench.api import Case, InvalidFileError, Result
from clipbench.api.config import FREE_KEYS
from clipbench.api.plain import value_at
from clipbench.results.collecting.collect import read_file
from clipbench.suites.tasks import HASH_DIGITS, hash_of_id, node_of_id


@dataclass(frozen=True)
class Found:
    """What is kept of one result: its file, what it is of, where it ran and how many seconds it took.

    ``work`` tells whether two results are of one case, whatever their seeds; ``written`` is the file's time and size.
    """

    path: Path
    written: tuple[int, int]
    run_id: str
    task: str | None
    completed: bool
    version: str
    work: str
    device: str | None
    host: str | None
    machine: str | None
    seconds: float | None

    @property
    def is_valid(self) -> bool:
        """Whether its task need not be run again: it completed, with this version of clipbench."""
        return self.completed and self.version == __version__


@dataclass
class Findings:
    """The results under a folder, by task; ``others`` are of no task, ``problems`` name what was refused, and why."""

    tasks: dict[str, list[Found]] = field(default_factory=dict)
    others: list[Found] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def valid(self, task_id: str) -> Found | None:
        """Return the newest valid result of a task, or None."""
        valid = [found for found in self.tasks.get(task_id, ()) if found.is_valid]
        return max(valid, key=lambda found: found.run_id, default=None)

    def all(self) -> Iterator[Found]:
        """Yield every result that was found."""
        yield from self.others
        for results in self.tasks.values():
            yield from results


def find_results(folder: Path, earlier: Findings | None = None) -> Findings:
    """Return what lies in ``folder`` and below it, hidden folders left out; nothing where there is no folder.

    A file that ``earlier`` has, and that is as it was, is not read again.

    Half a file of a node that died, two contents of one run, and an id that is not of the result's own case are
    problems that name the file; everything else is there.
    """
    findings, runs = Findings(), dict[str, Found]()
    known = {found.path: found for found in earlier.all()} if earlier else {}
    for path in _json_files(folder):
        try:
            if (found := _read(path, known.get(path))) is None:
                continue
        except InvalidFileError as error:
            findings.problems.append(str(error))
            continue
        if other := runs.get(found.run_id):
            if path.read_bytes() != other.path.read_bytes():
                findings.problems.append(
                    f"{path}: the run {found.run_id} is also in {other.path}, with other content; "
                    "keep the one that is it"
                )
            continue
        runs[found.run_id] = found
        (findings.others if found.task is None else findings.tasks.setdefault(found.task, [])).append(found)
    return findings


def odd(findings: Findings) -> list[str]:
    """Return a sentence for each thing that makes results of a fleet doubtful, though each of them can be read.

    Results of other versions of clipbench, several of one task, and nodes that call themselves alike.
    """
    sentences = []
    versions = dict[str, int]()
    for found in findings.all():
        versions[found.version] = versions.get(found.version, 0) + 1
    for version, count in sorted(versions.items()):
        if version != __version__:
            sentences.append(
                f"{count} result{'s are' if count > 1 else ' is'} of clipbench {version}; this is {__version__}: "
                "they do not count as results of tasks"
            )
    for task_id, results in findings.tasks.items():
        valid = [found for found in results if found.is_valid]
        if len(valid) > 1:
            paths = ", ".join(str(found.path) for found in valid)
            sentences.append(f"the task {task_id} has {len(valid)} results: {paths}; the newest counts")
    return [*sentences, *_alike(findings)]


def work_of(config: Mapping[str, Any]) -> str:
    """Return a hash of all that a case computes but its seed."""
    kept = {key: value for key, value in config.items() if key not in (*FREE_KEYS, "seed")}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def work_of_case(case: Case) -> str:
    """Return ``work_of`` a case that is still to be run."""
    return work_of(case.to_dict())


def _alike(findings: Findings) -> Iterator[str]:
    """Yield a sentence for each host name that two machines have: by their machine ids, or by the nodes of tasks."""
    machines, nodes = dict[str, set[str]](), dict[str, set[str]]()
    for found in findings.all():
        if found.host is None:
            continue
        if found.machine is not None:
            machines.setdefault(found.host, set()).add(found.machine)
        if found.task is not None and (node := node_of_id(found.task)):
            nodes.setdefault(found.host, set()).add(node)
    for host in sorted({*machines, *nodes}):
        if len(machines.get(host, ())) > 1:
            yield f"{len(machines[host])} machines call themselves {host}: their results cannot be told apart by it"
        elif len(nodes.get(host, ())) > 1:
            names = ", ".join(sorted(nodes[host]))
            yield f"the nodes {names} call themselves {host}: their results cannot be told apart by it"


def _json_files(folder: Path) -> Iterator[Path]:
    """Yield the files in order; a folder that a running task removes meanwhile is passed over."""
    for place, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if name.endswith(".json") and not name.startswith("."))


def _read(path: Path, known: Found | None) -> Found | None:
    """Return what is kept of the result in a file, None for another file; ``known`` is what an earlier look kept."""
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidFileError(f"{path}: cannot be read: {error.strerror}") from None
    written = status.st_mtime_ns, status.st_size
    if known is not None and known.written == written:
        return known
    result = read_file(path)
    if not isinstance(result, Result):
        return None
    if result.task is not None and hash_of_id(result.task) != result.config_sha256[:HASH_DIGITS]:
        raise InvalidFileError(f"{path}: says that it is of the task {result.task}, and is of another case")
    return Found(
        path=path,
        written=written,
        run_id=result.run_id,
        task=result.task,
        completed=result.completed,
        version=result.clipbench.version,
        work=work_of(result.config),
        device=result.device_name,
        host=next(iter(result.hosts), None),
        machine=value_at(result, "environment.host.machine"),
        seconds=_seconds(result),
    )


def _seconds(result: Result) -> float | None:
    """Return what a completed run took: from its start to its end, or its epochs alone where it was resumed."""
    if not result.completed:
        return None
    if len(result.attempts) > 1:
        return sum(record.seconds.total for record in result.epochs)
    try:
        started, ended = (
            datetime.fromisoformat(when.replace("Z", "+00:00")) for when in (result.started, result.ended)
        )
    except ValueError:
        return None
    return max((ended - started).total_seconds(), 0.0)

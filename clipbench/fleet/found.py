"""What tasks have left: the results in a folder, of each an entry, so that ten thousand take little memory."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clipbench import __version__
from clipbench.results.collecting.collect import Tell, survey
from clipbench.results.collecting.entries import Entry
from clipbench.suites.tasks import HASH_DIGITS, hash_of_id, node_of_id


@dataclass
class Findings:
    """The results under a folder, by task; ``others`` are of no task, ``problems`` name what was refused, and why."""

    tasks: dict[str, list[Entry]] = field(default_factory=dict)
    others: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def valid(self, task_id: str) -> Entry | None:
        """Return the newest valid result of a task, or None."""
        valid = filter(is_valid, self.tasks.get(task_id, ()))
        return max(valid, key=lambda entry: entry.result.run_id, default=None)

    def all(self) -> Iterator[Entry]:
        """Yield every result that was found."""
        yield from self.others
        for results in self.tasks.values():
            yield from results


def is_valid(entry: Entry) -> bool:
    """Return whether the task of a result need not be run again: it completed, with this version of clipbench."""
    return entry.result.completed and entry.result.clipbench.version == __version__


def find_results(folder: Path, tell: Tell) -> Findings:
    """Return what lies in ``folder`` and below it, hidden folders left out; nothing where there is no folder.

    Half a file of a node that died, two contents of one run, and an id that is not of the result's own case are
    problems that name the file; everything else is there. ``tell`` is called as ``survey`` calls it.
    """
    findings = Findings()
    if not folder.is_dir():
        return findings
    collection = survey([folder], tell)
    findings.problems.extend(collection.problems)
    for entry in collection.entries.values():
        task = entry.result.task
        if task is None:
            findings.others.append(entry)
        elif hash_of_id(task) == entry.result.config_sha256[:HASH_DIGITS]:
            findings.tasks.setdefault(task, []).append(entry)
        else:
            findings.problems.append(f"{entry.path}: says that it is of the task {task}, and is of another case")
    return findings


def odd(findings: Findings) -> list[str]:
    """Return a sentence for each thing that makes results of a fleet doubtful, though each of them can be read.

    Results of other versions of clipbench, several of one task, and nodes that call themselves alike.
    """
    sentences = []
    versions = Counter(entry.result.clipbench.version for entry in findings.all())
    for version, count in sorted(versions.items()):
        if version != __version__:
            sentences.append(
                f"{count} result{'s are' if count > 1 else ' is'} of clipbench {version}; this is {__version__}: "
                "they do not count as results of tasks"
            )
    for task_id, results in findings.tasks.items():
        valid = [str(entry.path) for entry in results if is_valid(entry)]
        if len(valid) > 1:
            sentences.append(f"the task {task_id} has {len(valid)} results: {', '.join(valid)}; the newest counts")
    return [*sentences, *_alike(findings)]


def _alike(findings: Findings) -> Iterator[str]:
    """Yield a sentence for each host name that two machines have: by their machine ids, or by the nodes of tasks."""
    machines, nodes = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for entry in findings.all():
        for host in entry.hosts[:1]:
            machines[host] |= {entry.machine} if entry.machine else set()
            node = node_of_id(entry.result.task or "")
            nodes[host] |= {node} if node else set()
    for host in sorted(machines):
        if len(machines[host]) > 1:
            yield f"{len(machines[host])} machines call themselves {host}: their results cannot be told apart by it"
        elif len(nodes[host]) > 1:
            names = ", ".join(sorted(nodes[host]))
            yield f"the nodes {names} call themselves {host}: their results cannot be told apart by it"

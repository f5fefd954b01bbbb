"""Diagnose: which nodes of a fleet are sick, judged by the other nodes with the same device, software and case."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from clipbench.api import ExitCode, Result, to_plain
from clipbench.compare.comparability import signature
from clipbench.compare.nodes import odd_nodes
from clipbench.compare.nodes.odd_nodes import Drift, Node, Odd, OddKind
from clipbench.compare.nodes.outliers import LEAST_NODES, Speed, speeds
from clipbench.compare.nodes.vote import Vote, vote
from clipbench.compare.trend import age
from clipbench.results.collecting.collect import Collection
from clipbench.results.collecting.entries import Entry
from clipbench.results.measures.metrics import THROUGHPUT
from clipbench.results.measures.trace import Stretch, first_difference

Status = Literal["pass", "fail", "unknown"]
Kind = Literal["loss trace", "query ranks"]


@dataclass(frozen=True)
class Slow:
    """A node that is slower than others of its ``group``."""

    speed: Speed
    group: str


@dataclass(frozen=True)
class Corrupt:
    """A run whose bits are not those of ``usual`` of ``nodes`` nodes; ``where`` its losses first differ, if they do."""

    run_id: str
    kind: Kind
    usual: int
    nodes: int
    where: Stretch | None = None


@dataclass(frozen=True)
class Failed:
    """The newest run of a case, which failed."""

    run_id: str
    message: str


@dataclass(frozen=True)
class NodeVerdict:
    """What the results of a node come to; it is ``unknown`` where nothing of it could be judged.

    ``name`` is the host's, with the machine where several have that name. ``bits_compared``: its bits were
    compared with those of other nodes, ``speed`` is that of the group in which it is the furthest below.
    """

    node: Node
    name: str
    results: int
    sick: tuple[Slow | Corrupt | Failed, ...] = ()
    speed: Speed | None = None
    bits_compared: bool = False

    @property
    def status(self) -> Status:
        if self.sick:
            return "fail"
        return "pass" if self.speed or self.bits_compared else "unknown"


@dataclass(frozen=True)
class Diagnosis:
    """All nodes, the sick ones first; ``odd`` is what keeps something from being judged, or should be looked at."""

    nodes: tuple[NodeVerdict, ...]
    groups: int
    results: int
    drift: tuple[Drift, ...] = ()
    odd: tuple[Odd, ...] = ()
    problems: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        return sum(node.status == status for node in self.nodes)

    def hosts(self, status: Status) -> list[str]:
        """Return the host names of nodes with that status, each once, as a scheduler has them."""
        return sorted({node.node.host for node in self.nodes if node.status == status})

    @property
    def exit_code(self) -> ExitCode:
        """3 a file was refused; 4 there is no node, or a case failed on one; 1 a node is slow or corrupt; else 0."""
        sick = [one for node in self.nodes for one in node.sick]
        if self.problems:
            return ExitCode.NOT_COMPARABLE
        if not self.nodes or any(isinstance(one, Failed) for one in sick):
            return ExitCode.CASE_FAILED
        return ExitCode.GATE_FAILED if sick else ExitCode.PASS


@dataclass
class _Findings:
    """What is found of each node, group by group."""

    sick: dict[Node, list[Slow | Corrupt | Failed]] = field(default_factory=dict)
    speed: dict[Node, Speed] = field(default_factory=dict)
    compared: set[Node] = field(default_factory=set)
    odd: list[Odd] = field(default_factory=list)

    def add(self, node: Node, one: Slow | Corrupt | Failed) -> None:
        self.sick.setdefault(node, []).append(one)


def diagnose(found: Collection, least: float = 0.03) -> Diagnosis:
    """Judge every node by the others; ``found`` is a survey, ``least`` the smallest share that a slow node is below.

    Files of runs whose bits differ from those of most are read in full, to find where they first differ.
    """
    entries = [*found.entries.values(), *found.clashing]
    by_node, elsewhere = _by_node(entries)
    names, findings = _names(by_node), _Findings()
    pairs = [(node, entry) for node, own in by_node.items() for entry in own]
    _failures(by_node, findings)
    groups = _grouped(pairs, _speed_key)
    _slow_nodes(groups, findings, names, least)
    for group in _grouped(pairs, _bits_key).values():
        _corrupt_nodes(_label(group[0][1].result), group, findings, lambda entry: found.in_full([entry.result])[0])
    nodes = [
        NodeVerdict(node, names[node], len(own), tuple(findings.sick.get(node, ())), findings.speed.get(node), bits)
        for node, own in by_node.items()
        for bits in [node in findings.compared]
    ]
    order: Sequence[Status] = ("fail", "unknown", "pass")
    nodes.sort(key=lambda one: (order.index(one.status), one.name))
    named = {names[node]: own for node, own in by_node.items()}
    odd = [*findings.odd, *odd_nodes.unjudged(elsewhere), *odd_nodes.namesakes(names), *odd_nodes.clocks(named)]
    drift = tuple(odd_nodes.drift(named))
    return Diagnosis(tuple(nodes), len(groups), len(entries), drift, tuple(odd), found.problems)


def diagnosis_data(diagnosis: Diagnosis) -> dict[str, object]:
    """Return all of it as plain data, for ``--format json``."""
    nodes = [
        {
            "name": node.name,
            **node.node._asdict(),
            "status": node.status,
            "results": node.results,
            "speed": to_plain(node.speed),
            "bits_compared": node.bits_compared,
            "sick": [{"kind": type(one).__name__.lower(), **to_plain(one)} for one in node.sick],
        }
        for node in diagnosis.nodes
    ]
    counts = {"groups": diagnosis.groups, "results": diagnosis.results}
    lists = {"drift": to_plain(diagnosis.drift), "odd": to_plain(diagnosis.odd), "problems": list(diagnosis.problems)}
    head = {"kind": "clipbench.diagnosis", "schema_version": 1, "exit_code": int(diagnosis.exit_code)}
    return {**head, **counts, "nodes": nodes, **lists}


# --- nodes ----------------------------------------------------------------------------------------------------------


def _by_node(entries: Iterable[Entry]) -> tuple[dict[Node, list[Entry]], list[Entry]]:
    """Return the entries of every node, oldest first by its own clock, and those that are not of one node."""
    nodes: dict[Node, list[Entry]] = {}
    elsewhere = []
    for entry in entries:
        if len(entry.hosts) == 1:
            nodes.setdefault(Node(entry.hosts[0], entry.machine), []).append(entry)
        else:
            elsewhere.append(entry)
    for own in nodes.values():
        own.sort(key=lambda entry: age(entry.result))
    return nodes, elsewhere


def _names(nodes: Iterable[Node]) -> dict[Node, str]:
    listed = list(nodes)
    count = Counter(node.host for node in listed)
    full = {node: f"{node.host} ({node.machine or 'machine unknown'})" for node in listed}
    return {node: node.host if count[node.host] == 1 else name for node, name in full.items()}


def _failures(by_node: Mapping[Node, Sequence[Entry]], findings: _Findings) -> None:
    for node, own in by_node.items():
        newest = {(entry.result.suite, entry.result.case): entry.result for entry in own}
        for result in newest.values():
            if result.status == "failed":
                lines = result.error.message.splitlines() if result.error else []
                findings.add(node, Failed(result.run_id, lines[0] if lines else "no error is stored"))


# --- groups ---------------------------------------------------------------------------------------------------------

Key = tuple[object, ...]
Group = list[tuple[Node, Entry]]


def _grouped(pairs: Iterable[tuple[Node, Entry]], key_of: Callable[[str, Result], Key]) -> dict[Key, Group]:
    """Return completed runs in groups of one key, which is computed once for each setup."""
    keys: dict[str, Key] = {}
    groups: dict[Key, Group] = {}
    for node, entry in pairs:
        if entry.result.completed:
            if entry.setup not in keys:
                keys[entry.setup] = key_of(entry.setup, entry.result)
            groups.setdefault(keys[entry.setup], []).append((node, entry))
    return groups


def _speed_key(_setup: str, result: Result) -> Key:
    return (result.suite, signature(result, state=True))


def _bits_key(setup: str, result: Result) -> Key:
    """What has equal bits: one seed, tuned alike, with the same kernels, on the same kind of processor."""
    stored = json.loads(setup)
    chosen = [stored["model"], stored["environment"]["device"].get("tuning"), stored["environment"]["cpu"]]
    return (*_speed_key(setup, result), result.seed, json.dumps(chosen, sort_keys=True))


def _label(result: Result) -> str:
    return ", ".join(filter(None, [result.case_without_seed, result.device_name, result.precision]))


def _slow_nodes(groups: Mapping[Key, Group], findings: _Findings, names: Mapping[Node, str], least: float) -> None:
    measured = [(_label(group[0][1].result), _throughputs(group)) for group in groups.values()]
    family = sum(len(runs) for _, runs in measured)
    for label, runs in measured:
        if 0 < len(runs) < LEAST_NODES:
            findings.odd.append(Odd("few nodes", label, tuple(sorted(names[node] for node in runs))))
        for node, speed in speeds(runs, family, least).items():
            worst = findings.speed.get(node, speed)
            findings.speed[node] = max(worst, speed, key=lambda one: one.below - one.limit)
            if speed.slow:
                findings.add(node, Slow(speed, label))


def _throughputs(group: Group) -> dict[Node, list[float]]:
    """Return the pairs/s of every run that was timed, by node."""
    runs: dict[Node, list[float]] = {}
    for node, entry in group:
        if value := entry.result.value(THROUGHPUT):
            runs.setdefault(node, []).append(value)
    return runs


# --- bits -----------------------------------------------------------------------------------------------------------


def _corrupt_nodes(label: str, group: Group, findings: _Findings, in_full: Callable[[Entry], Result]) -> None:
    trained = [(node, trace.sha256, entry) for node, entry in group if (trace := entry.result.loss_trace)]
    usual = _judge_bits(label, "loss trace", vote(trained), findings, in_full)
    # Other losses give other ranks: only runs with the usual losses tell more.
    if usual is not None or not trained:
        trace = usual.result.loss_trace if usual else None
        same = [(node, entry.ranks, entry) for node, entry in group if entry.ranks and entry.result.loss_trace == trace]
        _judge_bits(label, "query ranks", vote(same), findings, in_full)


def _judge_bits(
    label: str, kind: Kind, found: Vote[Node, Entry], findings: _Findings, in_full: Callable[[Entry], Result]
) -> Entry | None:
    """Note the nodes that differ, or why nobody can tell which do; return a run with the right bits, if that is known.

    Where there is one node alone, its bits are compared with nobody's.
    """
    known = {entry.repeats for entry in found.voters} - {None}
    if found.others and (False in known or not found.settled(known == {True})):
        why: OddKind = "bits not repeated" if False in known else "bits not settled"
        findings.odd.append(Odd(why, f"{label}: {kind} of {found.count} of {found.nodes} nodes", ()))
        return None
    if found.nodes > 1:
        findings.compared |= found.members
    for node, entry in found.others.items():
        where = _where(entry, found.usual, in_full) if kind == "loss trace" else None
        findings.add(node, Corrupt(entry.result.run_id, kind, found.count, found.nodes, where))
    return found.usual


def _where(entry: Entry, usual: Entry | None, in_full: Callable[[Entry], Result]) -> Stretch | None:
    return first_difference(in_full(entry).epochs, in_full(usual).epochs) if usual else None

"""The diagnosis of a fleet as text, for ``clipbench diagnose``."""

from collections.abc import Iterator, Mapping, Sequence

from clipbench.compare.nodes.diagnosis import Corrupt, Diagnosis, Failed, Slow, Status
from clipbench.compare.nodes.odd_nodes import Drift, Odd, OddKind
from clipbench.errors import ExitCode
from clipbench.report.quantity import counted

MOST = 20  # names or findings in one list; the rest are counted
MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.PASS: "no node is sick",
    ExitCode.GATE_FAILED: "a node is sick",
    ExitCode.NOT_COMPARABLE: "a file was refused",
    ExitCode.CASE_FAILED: "a case failed on a node, or there is no node",
}
ODD: Mapping[OddKind, str] = {
    "few nodes": "speed is not judged, fewer than 5 nodes with one device and software: {about}",
    "bits not repeated": "bits are not judged, the device does not repeat them: {about}",
    "bits not settled": "bits are not judged, too few nodes agree: {about} agree",
    "no host": "not judged, results that do not say on which machine they ran ({about}), {count} in all",
    "several hosts": "not judged, runs on several machines at once ({about}), {count} in all",
    "namesakes": "{count} machines have the host name {about}",
    "clock": "a clock that may be wrong, its runs are {about}",
}


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Return the sick nodes, what is odd, and the counts."""
    sick = [node for node in diagnosis.nodes if node.status == "fail"]
    unknown = [node.name for node in diagnosis.nodes if node.status == "unknown"]
    lines = [f"FAIL {node.name}: {words}" for node in sick for words in map(finding_words, node.sick)]
    lines += [f"not judged: {listed(unknown)}"] if unknown else []
    lines += [line for one in diagnosis.drift for line in _drift_lines(one)]
    lines += [f"odd: {_odd_words(one)}" for one in diagnosis.odd]
    lines += [f"refused file: {problem}" for problem in diagnosis.problems]
    return "\n".join([*lines, *_ending(diagnosis)])


def hosts_text(diagnosis: Diagnosis, status: Status) -> str:
    """Return the host names of nodes with that status, one a line."""
    return "".join(f"{host}\n" for host in diagnosis.hosts(status))


def finding_words(one: Slow | Corrupt | Failed) -> str:
    """Return what is wrong with a node."""
    if isinstance(one, Failed):
        return f"the case failed: {one.message} ({one.run_id})"
    if isinstance(one, Slow):
        runs = "1 run" if one.speed.runs == 1 else f"median of {one.speed.runs} runs"
        apart = f"{one.speed.below:.1%} slower than the median of its group, more than {one.speed.limit:.1%}"
        return f"{apart} ({runs}; {one.group})"
    where = ""
    if one.where:
        where = f", first in epoch {one.where.epoch}, steps {one.where.first} to {one.where.last}"
    differs = "differs from that" if one.kind == "loss trace" else "differ from those"
    return f"its {one.kind} {differs} of {one.usual} of {one.nodes} nodes{where} ({one.run_id})"


def listed(names: Sequence[str]) -> str:
    """Return names with commas, the first twenty; the others are counted."""
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more


def _drift_lines(one: Drift) -> Iterator[str]:
    for value, names in one.others.items():
        usual = f"{one.usual} on {one.usual_nodes:,} nodes"
        yield f"drift on {one.device}: {one.path} is {value} on {listed(names)}; it is {usual}"


def _odd_words(one: Odd) -> str:
    words = ODD[one.kind].format(about=one.about, count=len(one.nodes))
    return f"{words}: {listed(one.nodes)}" if one.nodes else words


def _ending(diagnosis: Diagnosis) -> Iterator[str]:
    found = [node.speed.found for node in diagnosis.nodes if node.speed]
    compared = sum(node.bits_compared for node in diagnosis.nodes)
    results, nodes = counted(diagnosis.results, "result"), counted(len(diagnosis.nodes), "node")
    yield f"diagnosed: {results} of {nodes}, {counted(diagnosis.groups, 'group')}"
    if found:
        judged, slower = counted(len(found), "node"), f"{max(found):.1%} slower"
        yield f"speed: {judged} judged; one that is {slower} would be found, 99 times in 100"
    yield f"bits: {counted(compared, 'node')} compared"
    counts = ", ".join(f"{diagnosis.count(status):,} {status}" for status in ("pass", "fail", "unknown"))
    yield f"{counts}: exit code {int(diagnosis.exit_code)}, {MEANINGS[diagnosis.exit_code]}"

"""What is odd about a fleet and judges no node: software that drifts, clocks, names, results of no single node."""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from clipbench.compare.comparability import software
from clipbench.results.collecting.entries import Entry
from clipbench.results.result import from_utc

CLOCK_DAYS = 30.0  # that a node's runs are apart from those of the others
CLOCK_SPREADS = 10.0  # median absolute deviations, beside that
OddKind = Literal[
    "few nodes",  # of one device and software, so that speed is not judged
    "bits not repeated",  # by the device, as a check of numerics has found
    "bits not settled",  # too few nodes have the same ones
    "no host",  # the results do not say on which machine they ran
    "several hosts",  # one run on many machines
    "namesakes",  # machines of one host name
    "clock",  # far from the others'
]


class Node(NamedTuple):
    """A machine: its host name, and what tells it from others of that name, where its results have that."""

    host: str
    machine: str | None = None


@dataclass(frozen=True)
class Odd:
    """Something odd: ``about`` what, and the ``nodes`` or runs that it is true of."""

    kind: OddKind
    about: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """One fact of the software that is not the same on all nodes with one device: the usual value, and the others'.

    ``usual_nodes`` counts the nodes with the usual value; ``others`` has the nodes by value.
    """

    device: str
    path: str
    usual: str
    usual_nodes: int
    others: Mapping[str, tuple[str, ...]]


def drift(nodes: Mapping[str, Sequence[Entry]]) -> Iterator[Drift]:
    """Yield every fact in which the newest results of nodes with one kind of device differ."""
    devices: dict[str, dict[str, Entry]] = {}
    for name, own in nodes.items():
        for entry in own:  # the newest is the last
            devices.setdefault(entry.result.device_name or "an unknown device", {})[name] = entry
    for device, newest in sorted(devices.items()):
        # Once for each setup: there may be tens of thousands of nodes.
        facts = {setup: software(entry.result) for setup, entry in {e.setup: e for e in newest.values()}.items()}
        for path in sorted({path for one in facts.values() for path in one}):
            values = {setup: str(one.get(path, "absent")) for setup, one in facts.items()}
            if len(set(values.values())) > 1:
                yield _drift(device, path, {name: values[entry.setup] for name, entry in newest.items()})


def _drift(device: str, path: str, values: Mapping[str, str]) -> Drift:
    (usual, count), others = Counter(values.values()).most_common(1)[0], dict[str, list[str]]()
    for name, value in sorted(values.items()):
        if value != usual:
            others.setdefault(value, []).append(name)
    return Drift(device, path, usual, count, {value: tuple(names) for value, names in others.items()})


def namesakes(names: Mapping[Node, str]) -> Iterator[Odd]:
    """Yield the host names that several machines have."""
    count = Counter(node.host for node in names)
    for host, number in sorted(count.items()):
        if number > 1:
            yield Odd("namesakes", host, tuple(sorted(name for node, name in names.items() if node.host == host)))


def unjudged(entries: Sequence[Entry]) -> Iterator[Odd]:
    """Yield the results that are not of one node."""
    kinds: dict[OddKind, list[Entry]] = {}
    for entry in entries:
        kinds.setdefault("several hosts" if entry.hosts else "no host", []).append(entry)
    for kind, own in kinds.items():
        versions = sorted({entry.result.clipbench.version for entry in own})
        yield Odd(kind, f"clipbench {', '.join(versions)}", tuple(entry.result.run_id for entry in own))


def clocks(nodes: Mapping[str, Sequence[Entry]]) -> Iterator[Odd]:
    """Yield the nodes whose runs began, by their own clock, far from when those of most nodes did."""
    days = {name: statistics.median(map(_day, own)) for name, own in nodes.items()}
    if len(days) < 3:
        return
    usual = statistics.median(days.values())
    spread = statistics.median(abs(day - usual) for day in days.values())
    for name, day in sorted(days.items()):
        if abs(day - usual) > max(CLOCK_DAYS, CLOCK_SPREADS * spread):
            yield Odd(
                "clock", f"{abs(day - usual):,.0f} days {'before' if day < usual else 'after'} the others", (name,)
            )


def _day(entry: Entry) -> float:
    return from_utc(entry.result.started).timestamp() / 86_400

"""A vote of nodes on what their runs should have come to, bit for bit."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

N = TypeVar("N", bound=Hashable)
E = TypeVar("E")

LEAST = 3  # nodes: of two that differ, nobody knows which is right
SURE_SHARE = 2 / 3  # of the nodes, from which a device whose repeating nobody has tested is taken to repeat its bits


@dataclass(frozen=True)
class Vote(Generic[N, E]):
    """``count`` of ``nodes`` nodes have the most frequent bits in all their runs, and ``usual`` is a run that has them.

    ``others`` has the first run of each node with bits that differ, ``members`` all nodes, ``voters`` all their runs.
    """

    usual: E | None
    count: int
    members: frozenset[N]
    others: dict[N, E]
    voters: tuple[E, ...]

    @property
    def nodes(self) -> int:
        return len(self.members)

    def settled(self, repeats: bool) -> bool:
        """Return whether the usual bits are the right ones: of most nodes, or of two in three where it is not known
        that the device ``repeats`` its bits."""
        share = self.count / self.nodes
        return self.nodes >= LEAST and self.count > 1 and (share > 0.5 if repeats else share >= SURE_SHARE)


def vote(runs: Sequence[tuple[N, str, E]]) -> Vote[N, E]:
    """Return the vote of (node, bits, run); a node that has several bits votes for each of them once."""
    members = frozenset(node for node, _, _ in runs)
    holders = Counter(bits for _, bits in {(node, bits) for node, bits, _ in runs})
    if not holders:
        return Vote(None, 0, members, {}, ())
    most = max(holders, key=lambda bits: (holders[bits], bits))
    others: dict[N, E] = {}
    for node, bits, run in runs:
        if bits != most:
            others.setdefault(node, run)
    usual = next(run for _, bits, run in runs if bits == most)
    return Vote(usual, len(members) - len(others), members, others, tuple(run for _, _, run in runs))

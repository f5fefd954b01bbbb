"""Ranks that talk to each other: the trivial group of one, and what the core says over any group."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from clipbench.api import Group


class Alone:
    """The Group of a run with one rank."""

    def all_gather(self, array: np.ndarray) -> list[np.ndarray]:
        return [array]

    def at(self, position: str) -> None:
        """Nobody asks."""

    def fail(self, report: Mapping[str, Any]) -> None:
        """Nobody listens."""

    def failure(self) -> Mapping[str, Any] | None:
        return None

    def close(self) -> None:
        """Nothing to leave."""


def share(group: Group, value: Any) -> Any:  # noqa: ANN401
    """What rank 0 gives as ``value``, on every rank; it must fit JSON. The others' values are not looked at."""
    return share_all(group, value)[0]


def share_all(group: Group, value: Any) -> list[Any]:  # noqa: ANN401
    """Every rank's ``value`` on every rank, in their order; each must fit JSON."""
    text = json.dumps(value, ensure_ascii=False).encode()
    return [json.loads(array.tobytes()) for array in group.all_gather(np.frombuffer(text, np.uint8))]


def wait_for_all(group: Group) -> None:
    """Return when every rank has come here."""
    group.all_gather(np.zeros(1, np.float64))

"""How far a run is: all that is beside the learner's own state in a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from clipbench.training.throughput import Window

Record = dict[str, Any]


@dataclass
class Partial:
    """The epoch under way: ``steps`` taken, what they came to, and the timed windows of each rank.

    ``flops`` are of all ranks; ``seconds`` are those of training before this process went on with it.
    """

    steps: int = 0
    losses: list[float] = field(default_factory=list)
    grad_norms: list[float] = field(default_factory=list)
    skipped: int = 0
    flops: float = 0.0
    seconds: float = 0.0
    windows: list[list[Window]] = field(default_factory=list)


@dataclass
class RunState:
    """Epochs that are done, the one under way, the ranks of the last evaluation, and every start of the run.

    ``skipped_in_a_row`` counts steps up to the last one that the gradient scaler has withheld.
    """

    epochs: list[Record] = field(default_factory=list)
    partial: Partial = field(default_factory=Partial)
    ranks: dict[str, Any] | None = None
    skipped_in_a_row: int = 0
    attempts: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``from_dict`` gives the state back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RunState:
        return cls(**{**data, "partial": Partial(**data["partial"])})


def differences(then: Any, now: Any, at: str = "") -> list[str]:  # noqa: ANN401
    """One phrase for every value in which two plain data differ, by its dotted path."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        keys = [*then, *(key for key in now if key not in then)]
        return [
            phrase
            for key in keys
            for phrase in differences(then.get(key), now.get(key), f"{at}.{key}" if at else str(key))
        ]
    return [] if then == now else [f"{at} was {_short(then)} and is {_short(now)}"]


def _short(value: object) -> str:
    text = "not there" if value is None else str(value)
    return text if len(text) <= 48 else text[:45] + "..."

"""What ranks exchange: the group of a single rank, and messages over any group."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clipbench.api import Device, Group, Window, from_plain, to_plain
from clipbench.api.result import Telemetry
from clipbench.training.telemetry import combine


class SingleRank:
    """The Group of a run with one rank."""

    def all_gather(self, array: np.ndarray) -> list[np.ndarray]:
        return [array]

    def at(self, position: str) -> None:
        """No-op for a single rank."""

    def fail(self, report: Mapping[str, Any]) -> None:
        """No-op for a single rank."""

    def failure(self) -> Mapping[str, Any] | None:
        return None

    def on_failure(self, act: Callable[[Mapping[str, Any]], None]) -> None:
        """No-op for a single rank."""

    def close(self) -> None:
        """No-op for a single rank."""


@dataclass(frozen=True)
class WindowReport:
    """What one rank sends to the others at the end of a window.

    ``window`` is its Window, all 0 in the warm-up. ``stop``: it was asked to stop. ``save``: a checkpoint is due.
    ``flops`` are of all its steps since its process started. ``slow``: its steps take so long that each is waited for.
    """

    window: Window
    stop: bool
    save: bool
    flops: float
    slow: bool = False

    def exchange(self, group: Group) -> "list[WindowReport]":
        """Return the reports of all ranks, in rank order; called by every rank after the same step.

        They cross as float64 (7,), which any collective back end takes.
        """
        row = [*self.window, self.stop, self.save, self.flops, self.slow]
        rows = group.all_gather(np.array(row, np.float64))
        return [
            WindowReport(Window(int(steps), seconds, data_wait), bool(stop), bool(save), flops, bool(slow))
            for steps, seconds, data_wait, stop, save, flops, slow in (row.tolist() for row in rows)
        ]


class MemoryPeaks(NamedTuple):
    """Peak bytes of one rank: on its device, and of its process on the host; None where unknown."""

    device: int | None
    host: int | None


def gather_memory(group: Group, device: Device, host: int | None) -> list[MemoryPeaks]:
    """Return the memory peaks of all ranks, in rank order; this rank's are read from ``device``, and ``host``."""
    return [MemoryPeaks(*peaks) for peaks in gather_values(group, [device.peak_memory(), host])]


def gather_values(group: Group, value: Any) -> list[Any]:  # noqa: ANN401
    """Return the ``value`` of every rank on every rank, in rank order; each must fit JSON."""
    text = json.dumps(value, ensure_ascii=False).encode()
    return [json.loads(array.tobytes()) for array in group.all_gather(np.frombuffer(text, np.uint8))]


def gather_telemetry(group: Group, own: Telemetry | None) -> Telemetry | None:
    """Return what all ranks' meters measured together, on every rank."""
    plain = gather_values(group, to_plain(own))
    return combine([None if one is None else from_plain(Telemetry, one) for one in plain])


def any_rank(group: Group, flag: bool) -> bool:
    """Return whether ``flag`` is True on any rank."""
    return any_ranks(group, flag)[0]


def any_ranks(group: Group, *flags: bool) -> list[bool]:
    """Return of each flag whether it is True on any rank."""
    return [bool(flag) for flag in np.any(group.all_gather(np.array(flags, np.float64)), axis=0)]


def barrier(group: Group) -> None:
    """Return when every rank has come here."""
    group.all_gather(np.zeros(1, np.float64))

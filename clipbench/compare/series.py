"""Results as series over time: one for each case on one kind of device, oldest result first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from clipbench.api.result import Result


class SeriesKey(NamedTuple):
    """What all results of a series have in common."""

    suite: str
    case: str
    device: str
    precision: str
    world_size: int

    @property
    def label(self) -> str:
        """Case, number and model of the devices, and precision, for people."""
        device = f"{self.world_size} x {self.device}" if self.world_size > 1 else self.device
        return ", ".join([self.case, device, self.precision])


def group_by_series(results: Iterable[Result]) -> dict[SeriesKey, list[Result]]:
    """Return the results of each series, oldest first; the series with the newest result comes first."""
    groups: dict[SeriesKey, list[Result]] = {}
    for result in results:
        device, precision = result.device_name or "device unknown", result.precision or "precision unknown"
        key = SeriesKey(result.suite, result.case, device, precision, result.world_size)
        groups.setdefault(key, []).append(result)
    for group in groups.values():
        group.sort(key=age)
    return dict(sorted(groups.items(), key=lambda item: age(item[1][-1]), reverse=True))


def newest_of_each(series: Iterable[Sequence[Result]]) -> list[Result]:
    """Return the newest of every series and seed, newest first: what holds now. Older ones are history."""
    newest: dict[tuple[int, int], Result] = {}
    for number, results in enumerate(series):
        newest |= {(number, one.seed): one for one in results}  # a later one takes an earlier one's place
    return sorted(newest.values(), key=age, reverse=True)


def age(result: Result) -> tuple[str, str]:
    """Return what sorts by time of start, then by run."""
    # UTC texts sort by time once the Z is gone: with and without a fraction of a second they differ there alone.
    return result.started.rstrip("Z"), result.run_id

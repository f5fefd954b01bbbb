"""Select: which of the results that were found are judged, and which are history."""

from collections.abc import Collection, Iterable, Sequence

from clipbench.api import Result
from clipbench.compare.trend import group_by_series


def newest_runs(results: Sequence[Result], named: Collection[str]) -> tuple[list[Result], list[Result]]:
    """Return the results to judge and the older ones, each in the order given.

    Judged is the newest run of every case on a device, all of them where several began at the same time, and every run
    in ``named``. What is older never changes what the newest comes to.
    """
    judged = set(named)
    for group in group_by_series(results).values():
        judged |= {result.run_id for result in group if result.started == group[-1].started}
    return _split(results, judged)


def without_runs_of(results: Iterable[Result], taken: Iterable[Result]) -> tuple[list[Result], list[Result]]:
    """Return the results that are none of ``taken``, and those that are; another content of one run is none of them."""
    known = {result.run_id: result for result in taken}
    if not known:
        return list(results), []
    return _split(list(results), {result.run_id for result in results if known.get(result.run_id) != result})


def _split(results: Sequence[Result], wanted: Collection[str]) -> tuple[list[Result], list[Result]]:
    parts: tuple[list[Result], list[Result]] = ([], [])
    for result in results:
        parts[result.run_id not in wanted].append(result)
    return parts

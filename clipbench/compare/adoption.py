"""Adopting results as the baseline that later ones are compared with."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench.api import CaseFailedError, Result, UsageError
from clipbench.compare.comparability import find_differences
from clipbench.compare.comparing import compare
from clipbench.compare.matching import Terms, images_left_out, match_baseline, match_reference
from clipbench.compare.verdicts import Judgement
from clipbench.files.replacing import check_replaceable
from clipbench.results.baselines import Baseline, read_baseline, write_baseline
from clipbench.results.references import Reference
from clipbench.results.result import utc_now


@dataclass(frozen=True)
class Proposal:
    """A baseline that is not written yet, the one that it replaces, and how its results are judged.

    ``judgement`` compares each with the reference that it names, and all with the baseline ``before``.
    """

    baseline: Baseline
    before: Baseline | None
    judgement: Judgement

    @property
    def failing(self) -> Judgement | None:
        """The comparisons that fail; None where none does."""
        fails = tuple(one for one in self.judgement.comparisons if one.status == "fail")
        return Judgement(fails) if fails else None


def propose(
    results: Sequence[Result],
    folder: Path,
    reason: str,
    name: str | None = None,
    by: str | None = None,
    references: Mapping[str, Reference] | None = None,
    inputs: Collection[str] = (),
) -> Proposal:
    """Return what ``folder/NAME.json`` would be, with a history of what the name stood for before, without figures.

    ``inputs`` are the files that the results were read from. Raises UsageError for an empty reason, for results of
    several cases or with differences that count, for a name that another case or device has, and for one whose file is
    none of a baseline; CaseFailedError for a result that is not completed.
    """
    if not reason.strip():
        raise UsageError("--reason: expected why this result is adopted, such as 'driver 1.3 is the new standard'")
    results = distinct_runs(results)
    check_usable(results)
    name = name or default_name(results[0])
    path = folder / f"{name}.json"
    check_replaceable(path, '"kind": "clipbench.baseline"', inputs, f"--name {name}")
    before, history = read_baseline(path) if path.exists() else None, tuple[Mapping[str, Any], ...]()
    if before:
        first = results[0]
        if (before.suite, before.case, before.device) != (first.suite, first.case_without_seed, first.device_name):
            raise UsageError(f"{path}: is the baseline of {before.case} on {before.device}; choose another --name")
        entry = {"runs": list(before.runs), "reason": before.reason, "adopted": before.adopted, "by": before.by}
        history = (*before.history, entry)
    baseline = Baseline(name, tuple(results), reason.strip(), utc_now(), by, history, path)
    matches = [match_reference(result, references or {}) for result in results]
    matches += [match_baseline(results, before, Terms())] if before else []
    return Proposal(baseline, before, Judgement(tuple(compare(match, errors=False) for match in matches)))


def adopt(proposal: Proposal) -> Baseline:
    """Write the baseline that was proposed."""
    assert proposal.baseline.path is not None
    write_baseline(proposal.baseline, proposal.baseline.path)
    return proposal.baseline


def distinct_runs(results: Iterable[Result]) -> list[Result]:
    """Return every run once; raise UsageError for two contents of one run."""
    runs: dict[str, Result] = {}
    for result in results:
        if runs.setdefault(result.run_id, result) != result:
            raise UsageError(f"{result.run_id}: is given twice, with other content; name the file that is its result")
    return list(runs.values())


def check_usable(results: Sequence[Result]) -> None:
    """Raise UsageError unless the results can be one baseline: of one case, and comparable with one another.

    Raises CaseFailedError for one that is not completed.
    """
    first = results[0]
    for result in results:
        if not result.completed:
            raise CaseFailedError(f"{result.run_id}: its status is {result.status}; expected a completed result")
        if count := images_left_out(result):
            raise UsageError(
                f"{result.run_id}: {count} images could not be read and were left out; it cannot be a baseline"
            )
        repeats = f"{result.run_id} and {first.run_id} are no repeats of one another"
        for one in find_differences(result, first):
            if one.blocks != "nothing":
                raise UsageError(f"{repeats}: {one.path} is {one.ours}, the other has {one.theirs}")
        cases = [one.case_without_seed for one in (result, first)]
        if result.suite != first.suite or cases[0] != cases[1]:
            raise UsageError(f"{repeats}: one is of the case {cases[0]}, the other of {cases[1]}")


def default_name(result: Result) -> str:
    """Return case and device, safe as a file name."""
    label = f"{result.case_without_seed}-{result.device_name or 'unknown'}"
    return re.sub(r"[^A-Za-z0-9_.@=,+-]+", "-", label).strip("-.")[:120]

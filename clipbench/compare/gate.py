"""The gate: load what a request names, match, measure and decide, and return one judgement."""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from clipbench.api.result import Result
from clipbench.compare.deciding import compare
from clipbench.compare.matching import Match, Terms, group_repeats, match_baselines, match_reference
from clipbench.compare.significance import Thresholds
from clipbench.compare.verdicts import Judgement
from clipbench.errors import CaseFailedError, UsageError
from clipbench.results.baselines import FOLDER, Baseline, load_baselines
from clipbench.results.collect import Collection, collect
from clipbench.results.references import Reference, load_references, shipped_references

OWN = "own"
ADOPTED = "adopted"
RESULTS = Path("results")


@dataclass(frozen=True)
class Request:
    """What to compare with what.

    ``baseline`` is a file, a folder, a run id, the name of an adopted baseline, or ``adopted``; with it, references
    are compared with only where ``reference`` names one, or is ``own``: the one that each result names itself.
    ``folders`` have further references, ``baselines`` the adopted baselines (None: ``results/baseline``).
    """

    paths: tuple[Path, ...]
    folders: tuple[Path, ...] = ()
    reference: str | None = None
    baseline: str | None = None
    baselines: Path | None = None
    terms: Terms = field(default_factory=Terms)
    strict: bool = False

    @property
    def reference_name(self) -> str | None:
        """The reference for all results; None where each has its own."""
        return None if self.reference == OWN else self.reference


@dataclass(frozen=True)
class Inputs:
    """What a request names, read.

    ``baselines`` are those that it means, None where it asks for none; ``problems`` name each file that was refused.
    """

    results: tuple[Result, ...]
    references: Mapping[str, Reference]
    baselines: tuple[Baseline, ...] | None = None
    problems: tuple[str, ...] = ()


def request_of(
    paths: Sequence[Path],
    folders: Sequence[Path],
    reference: str | None,
    baseline: str | None,
    baselines: Path | None,
    allow: Sequence[str],
    target: float | None,
    least_recall: float,
    least_speed: float,
    strict: bool,
) -> Request:
    """Return the options of ``clipbench compare`` as a Request; ``least_speed`` is in percent.

    Raises UsageError for a number that is not finite: it would pass everything.
    """
    numbers = {"--target": target, "--least-recall": least_recall, "--least-speed": least_speed}
    for option, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise UsageError(f"{option} {number}: expected a finite number")
    terms = Terms(frozenset(allow), target, Thresholds(least_recall, 2 * least_recall, least_speed / 100))
    return Request(tuple(paths), tuple(folders), reference, baseline, baselines, terms, strict)


def judge(request: Request) -> Judgement:
    """Compare every result under the request's paths with what the request asks for."""
    inputs = load(request)
    comparisons = (compare(match, request.terms) for match in match_all(request, inputs))
    return Judgement(tuple(comparisons), inputs.problems, request.strict)


def match_all(request: Request, inputs: Inputs) -> Iterator[Match]:
    """Yield every match that the request asks for: those with baselines first.

    Raises CaseFailedError where the runs of the baseline are all that there is.
    """

    def with_reference(result: Result) -> Match:
        return match_reference(result, inputs.references, request.reference_name, request.terms)

    if inputs.baselines is None:
        yield from map(with_reference, inputs.results)
        return
    results = _others(inputs.results, inputs.baselines)
    if inputs.results and not results and not inputs.problems:
        raise CaseFailedError(f"--baseline {request.baseline}: is all that there is; no result is left to compare")
    yield from match_baselines(results, inputs.baselines, request.terms, lambda result: with_reference(result).target)
    if request.reference is not None:
        yield from (with_reference(result) for result in results if result.completed)


def _others(results: Iterable[Result], baselines: Iterable[Baseline]) -> list[Result]:
    """Return the results that are not runs of a baseline."""
    taken = {run for baseline in baselines for run in baseline.runs}
    return [result for result in results if result.run_id not in taken]


# --- loading ------------------------------------------------------------------------------------------------------


def load(request: Request) -> Inputs:
    """Read the results, references and baselines that a request names; raise UsageError for one that is not there."""
    collection = collect(request.paths)
    references = {**shipped_references(), **load_references(request.folders), **collection.references}
    name = request.reference_name
    if name is not None and name not in references:
        raise UsageError(f"--reference {name}: no such reference; known: {', '.join(sorted(references))}, {OWN}")
    inputs = Inputs(collection.results, references, None, collection.problems)
    if request.baseline is None:
        return inputs
    chosen = choose_baselines(request.baseline, request.baselines, collection)
    problems = (*collection.problems, *(problem for problem in chosen.problems if problem not in collection.problems))
    return replace(inputs, baselines=chosen.baselines, problems=problems)


def choose_baselines(which: str, folder: Path | None, collection: Collection) -> Collection:
    """Return the baselines that ``--baseline`` means, and the files refused on the way; raise UsageError for none."""
    if which != ADOPTED and Path(which).exists():
        return _from_path(Path(which))
    adopted = {baseline.name: baseline for baseline in (*collection.baselines, *_load_adopted(folder))}
    if which == ADOPTED:
        return Collection(baselines=tuple(adopted.values()))
    if which in adopted:
        return Collection(baselines=(adopted[which],))
    for result in itertools.chain(collection.results, _stored_results()):
        if result.run_id == which:
            return _of_results(which, [result])
    raise _no_such_baseline(which, [*adopted, *(result.run_id for result in collection.results)])


def _stored_results() -> Iterator[Result]:
    """Yield the results of the usual folder, which is only read when it comes to that."""
    if RESULTS.is_dir():
        yield from collect([RESULTS]).results


def _no_such_baseline(which: str, names: list[str]) -> UsageError:
    near = difflib.get_close_matches(which, [ADOPTED, *names], n=1)
    hint = f"did you mean '{near[0]}'?" if near else "expected a file, a folder, a run id or an adopted baseline"
    return UsageError(f"--baseline {which}: no such file, run or baseline; {hint}")


def _load_adopted(folder: Path | None) -> list[Baseline]:
    if (folder or FOLDER).is_dir():
        return load_baselines(folder or FOLDER)
    if folder is not None:
        raise UsageError(f"--baselines {folder}: no such folder; expected one with adopted baselines")
    return []


def as_baselines(name: str, results: Iterable[Result]) -> tuple[Baseline, ...]:
    """Return results named on the command line as baselines: one for each group, called by its run if it is one."""
    return tuple(Baseline(group[0].run_id if len(group) == 1 else name, group) for group in group_repeats(results))


def _from_path(path: Path) -> Collection:
    collection = collect([path])
    named = _of_results(str(path), collection.results)
    if not named.baselines and not collection.baselines and not collection.problems:
        raise UsageError(f"--baseline {path}: no result and no baseline there")
    problems = (*collection.problems, *named.problems)
    return Collection(problems=problems, baselines=(*collection.baselines, *named.baselines))


def _of_results(name: str, results: Sequence[Result]) -> Collection:
    """Return completed results as baselines; a case that did not complete is a problem, as a refused file is."""
    problems = (f"{r.run_id}: the case {r.status}; it cannot be a baseline" for r in results if not r.completed)
    return Collection(problems=tuple(problems), baselines=as_baselines(name, (r for r in results if r.completed)))

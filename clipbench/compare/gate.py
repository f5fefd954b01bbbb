"""The gate: load what a request names, match, measure and decide, and return one judgement."""

import difflib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clipbench.api import CaseFailedError, Result, UsageError
from clipbench.compare.comparing import compare
from clipbench.compare.matching import Match, Terms, group_repeats, match_baselines, match_reference
from clipbench.compare.significance import Thresholds
from clipbench.compare.verdicts import FailOn, Judgement
from clipbench.results.baselines import FOLDER, Baseline, load_baselines
from clipbench.results.collect import Collection, collect
from clipbench.results.references import load_references, shipped_references

OWN = "own"
ADOPTED = "adopted"
RESULTS = Path("results")


@dataclass(frozen=True)
class Request:
    """What to compare with what: the options of ``clipbench compare``.

    ``baseline`` is a file, a folder, a run id, the name of an adopted baseline, or ``adopted``; with it, references
    are compared with only where ``reference`` names one, or is ``own``: the one that each result names itself.
    ``folders`` have further references, ``baselines`` the adopted baselines.
    ``fail_on`` has what fails beside what always does.
    ``least_recall`` is in points, ``least_speed`` in percent. Raises UsageError for a number that is not finite: it
    would pass everything.
    """

    paths: Sequence[Path]
    folders: Sequence[Path] = ()
    reference: str | None = None
    baseline: str | None = None
    baselines: Path = FOLDER
    allow: Sequence[str] = ()
    target: float | None = None
    least_recall: float = 0.5
    least_speed: float = 3.0
    fail_on: frozenset[FailOn] = frozenset()

    def __post_init__(self) -> None:
        for name in ("target", "least_recall", "least_speed"):
            if (number := getattr(self, name)) is not None and not math.isfinite(number):
                raise UsageError(f"--{name.replace('_', '-')} {number}: expected a finite number")

    @property
    def reference_name(self) -> str | None:
        """The reference for all results; None where each has its own."""
        return None if self.reference == OWN else self.reference

    @property
    def terms(self) -> Terms:
        """What all comparisons share."""
        thresholds = Thresholds(self.least_recall, 2 * self.least_recall, self.least_speed / 100)
        return Terms(frozenset(self.allow), self.target, thresholds)


def judge(request: Request) -> Judgement:
    """Compare every result under the request's paths with what the request asks for."""
    inputs = load(request)
    comparisons = map(compare, match_all(request, inputs))
    return Judgement(tuple(comparisons), inputs.problems, request.fail_on)


def match_all(request: Request, inputs: Collection) -> Iterator[Match]:
    """Yield every match that the request asks for: those with baselines first.

    Raises CaseFailedError where the runs of the baseline are all that there is.
    """
    terms = request.terms

    def with_reference(result: Result) -> Match:
        return match_reference(result, inputs.references, request.reference_name, terms)

    if inputs.baselines is None:
        yield from map(with_reference, inputs.results)
        return
    results = _others(inputs.results, inputs.baselines)
    if inputs.results and not results and not inputs.problems:
        raise CaseFailedError(f"--baseline {request.baseline}: is all that there is; no result is left to compare")
    yield from match_baselines(results, inputs.baselines, terms, lambda result: with_reference(result).target)
    if request.reference is not None:
        yield from (with_reference(result) for result in results if result.completed)


def _others(results: Iterable[Result], baselines: Iterable[Baseline]) -> list[Result]:
    """Return the results that are not runs of a baseline."""
    taken = {run for baseline in baselines for run in baseline.runs}
    return [result for result in results if result.run_id not in taken]


# --- loading ------------------------------------------------------------------------------------------------------


def load(request: Request) -> Collection:
    """Read the results, references and baselines that a request names; raise UsageError for one that is not there.

    The baselines are those that the request means, None where it asks for none.
    """
    collection = collect(request.paths)
    references = {**shipped_references(), **load_references(request.folders), **collection.references}
    name = request.reference_name
    if name is not None and name not in references:
        raise UsageError(f"--reference {name}: no such reference; known: {', '.join(sorted(references))}, {OWN}")
    if request.baseline is None:
        return replace(collection, references=references, baselines=None)
    chosen = choose_baselines(request.baseline, request.baselines, collection)
    problems = tuple(dict.fromkeys((*collection.problems, *chosen.problems)))
    return Collection(collection.results, references, problems, chosen.baselines)


def choose_baselines(which: str, folder: Path, collection: Collection) -> Collection:
    """Return the baselines that ``--baseline`` means, and the files refused on the way; raise UsageError for none."""
    if which != ADOPTED and Path(which).exists():
        return _from_path(Path(which))
    adopted = _adopted(collection, folder)
    if which == ADOPTED:
        return Collection(baselines=tuple(adopted.values()))
    if which in adopted:
        return Collection(baselines=(adopted[which],))
    for result in itertools.chain(collection.results, _stored_results()):
        if result.run_id == which:
            return _as_chosen(which, Collection((result,)))
    names = [ADOPTED, *adopted, *(result.run_id for result in collection.results)]
    near = difflib.get_close_matches(which, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "expected a file, a folder, a run id or an adopted baseline"
    raise UsageError(f"--baseline {which}: no such file, run or baseline; {hint}")


def _stored_results() -> Iterator[Result]:
    """Yield the results of the usual folder, which is only read when it comes to that."""
    if RESULTS.is_dir():
        yield from collect([RESULTS]).results


def _adopted(collection: Collection, folder: Path) -> dict[str, Baseline]:
    """Return the adopted baselines among what was collected, and those of the folder, by name."""
    if not folder.is_dir() and folder != FOLDER:
        raise UsageError(f"--baselines {folder}: no such folder; expected one with adopted baselines")
    return {baseline.name: baseline for baseline in (*(collection.baselines or ()), *load_baselines(folder))}


def as_baselines(name: str, results: Iterable[Result]) -> tuple[Baseline, ...]:
    """Return results named on the command line as baselines: one for each group, called by its run if it is one."""
    return tuple(Baseline(group[0].run_id if len(group) == 1 else name, group) for group in group_repeats(results))


def _from_path(path: Path) -> Collection:
    collection = collect([path])
    chosen = _as_chosen(str(path), collection)
    if not chosen.baselines and not collection.problems:
        raise UsageError(f"--baseline {path}: no result and no baseline there")
    return chosen


def _as_chosen(name: str, collection: Collection) -> Collection:
    """Return all completed results as baselines; a case that did not complete is a problem, as a refused file is."""
    results = collection.results
    problems = (f"{r.run_id}: the case {r.status}; it cannot be a baseline" for r in results if not r.completed)
    named = as_baselines(name, (result for result in results if result.completed))
    return Collection((), {}, (*collection.problems, *problems), (*(collection.baselines or ()), *named))

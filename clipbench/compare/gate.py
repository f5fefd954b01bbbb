"""The gate: load what a request names, match, measure and decide, and return one judgement."""

import difflib
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from clipbench.api import CaseFailedError, InvalidFileError, Result, UsageError, did_you_mean
from clipbench.compare.comparability import ALLOWED
from clipbench.compare.comparing import compare
from clipbench.compare.matching import Match, Terms, group_repeats, match_baselines, match_reference
from clipbench.compare.selection import newest_runs, without_runs_of
from clipbench.compare.statistics.significance import Thresholds
from clipbench.compare.verdicts import FAIL_ON, Comparison, FailOn, Judgement, Seen
from clipbench.files.bundled import bundled
from clipbench.results.baselines import FOLDER, Baseline, add_baseline, load_baselines
from clipbench.results.collecting.collect import Collection, Tell, collect, survey
from clipbench.results.loaded import Paths, as_paths
from clipbench.results.references import Reference, load_references, read_reference

OWN = "own"
ADOPTED = "adopted"
RESULTS = Path("results")


@dataclass(frozen=True)
class Request:
    """What to compare with what: the options of ``clipbench compare``.

    ``baseline`` is a file, a folder, a run id, the name of an adopted baseline, or ``adopted``; with it, references
    are compared with only where ``reference`` names one, or is ``own``: the one that each result names itself.
    ``reference`` may be a file too. ``folders`` have further references, ``baselines`` the adopted baselines.
    ``all_runs`` judges older runs as well, ``repeats`` says that all runs of a case are repeats of one another.
    ``fail_on`` has what fails beside what always does.
    ``least_recall`` is in points, ``least_speed`` in percent. Raises UsageError for a word that is not known, and for a
    number that is not finite: it would pass everything.
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
    all_runs: bool = False
    repeats: bool = False

    def __post_init__(self) -> None:
        for name in ("target", "least_recall", "least_speed"):
            if (number := getattr(self, name)) is not None and not math.isfinite(number):
                raise UsageError(f"--{name.replace('_', '-')} {number}: expected a finite number")
        for option, words, known in (("allow", self.allow, ALLOWED), ("fail-on", self.fail_on, FAIL_ON)):
            for word in sorted({*words} - {*known}):
                raise UsageError(f"--{option} {word}: not known; {did_you_mean(word, known)}")

    @property
    def reference_name(self) -> str | None:
        """The reference for all results; None where each has its own."""
        return None if self.reference == OWN else self.reference

    @property
    def terms(self) -> Terms:
        """What all comparisons share."""
        thresholds = Thresholds(self.least_recall, 2 * self.least_recall, self.least_speed / 100)
        return Terms(frozenset(self.allow), self.target, thresholds)


def compare_results(
    paths: Paths = "results",
    *,
    reference: str | None = None,
    baseline: str | None = None,
    references: Paths = (),
    baselines: str | Path = FOLDER,
    allow: Sequence[str] = (),
    target: float | None = None,
    least_recall: float = 0.5,
    least_speed: float = 3.0,
    fail_on: Iterable[FailOn] = (),
    all_runs: bool = False,
    repeats: bool = False,
) -> Judgement:
    """Return the judgement of results, as ``clipbench compare`` with the options of these names finds it.

    ``paths`` are result files or folders, ``references`` folders with more references. Of the judgement, ``exit_code``
    is 0 where everything passes, and ``comparisons`` has a verdict for each metric of each case. Raises UsageError for
    a path or a name that is not there.
    """
    folders, known = as_paths(references), frozenset(fail_on)
    named = (tuple(allow), target, least_recall, least_speed, known, all_runs, repeats)
    return judge(Request(as_paths(paths), folders, reference, baseline, Path(baselines), *named))


def _silent(_done: int, _of: int) -> None:
    """Tell nobody how far reading is."""


def judge(request: Request, inputs: "Inputs | None" = None) -> Judgement:
    """Compare what is to be judged under the request's paths with what the request asks for.

    ``inputs`` are what ``load`` returns for it. Of runs that were pooled, one that fails alone is there too.
    """
    inputs = inputs or load(request)
    comparisons = list[Comparison]()
    for match in match_all(request, inputs):
        comparisons.append(compare(match))
        if comparisons[-1].status not in ("fail", "not comparable"):
            comparisons += [one for one in map(compare, match.alone) if one.status == "fail"]
    return Judgement(tuple(comparisons), inputs.problems, request.fail_on, inputs.seen)


def match_all(request: Request, inputs: "Inputs") -> Iterator[Match]:
    """Yield every match that the request asks for: those with baselines first.

    Raises CaseFailedError where the runs of the baseline are all that there is.
    """
    terms, results = request.terms, inputs.judged

    def with_reference(result: Result) -> Match:
        return match_reference(result, inputs.references, request.reference_name, terms)

    if inputs.baselines is None:
        yield from map(with_reference, results)
        return
    if inputs.results and not results and not inputs.problems:
        raise CaseFailedError(f"--baseline {request.baseline}: is all that there is; no result is left to compare")
    target_of = lambda result: with_reference(result).target  # noqa: E731
    yield from match_baselines(results, inputs.baselines, terms, target_of, request.repeats)
    if request.reference is not None:
        yield from (with_reference(result) for result in results if result.completed)


# --- loading ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inputs(Collection):
    """What was found, and what of it is judged: ``judged``; ``seen`` counts the rest."""

    judged: tuple[Result, ...] = ()
    seen: Seen = field(default_factory=Seen)


def load(request: Request, tell: Tell = _silent) -> Inputs:
    """Gather what a request names, and select the results to judge, which are there in full."""
    found = gather(request, tell)
    judged, seen = _select(request, found, found.baselines or ())
    seen = replace(seen, refused=len(found.problems))
    return Inputs(**vars(found), judged=found.in_full(judged), seen=seen)


def gather(request: Request, tell: Tell = _silent) -> Collection:
    """Read the results, references and baselines that a request names.

    Results with the id of a baseline's run are there in full; of the others there may be outlines (see ``survey``, also
    for ``tell``). The baselines are those that the request means, None where it asks for none. Raises UsageError for
    one that is not there, and for a reference among the paths that has the name of another.
    """
    found = survey(request.paths, tell)
    found = replace(found, references=_references(request, found))
    chosen = Collection(baselines=None)
    if request.baseline is not None:
        chosen = choose_baselines(request.baseline, request.baselines, found)
        found = replace(found, files=found.files | chosen.files | _files_of(chosen.baselines or ()))
    runs = {run for baseline in chosen.baselines or () for run in baseline.runs}
    if runs:
        found = replace(found, results=tuple(found.in_full([r])[0] if r.run_id in runs else r for r in found.results))
    problems = (*found.problems, *chosen.problems, *_false_runs(found.results, chosen.baselines or ()))
    return replace(found, problems=tuple(dict.fromkeys(problems)), baselines=chosen.baselines)


def _select(request: Request, found: Collection, baselines: Sequence[Baseline]) -> tuple[list[Result], Seen]:
    """Return the results to judge, and what is not judged.

    Runs that were named as the baseline are no candidates. One that was adopted is: what is older than it is history.
    """
    sides = ([run for b in baselines if (b.adopted is None) is named for run in b.results] for named in (True, False))
    named, adopted = sides
    left, own = without_runs_of(found.results, named)
    older: list[Result] = []
    if not (request.all_runs or request.repeats):
        left, older = newest_runs(left, found.named)
    judged, of_baseline = without_runs_of(left, adopted)
    runs = tuple(result.run_id for result in older)
    return judged, Seen(len(judged), runs, found.copies, len(own) + len(of_baseline), others=found.others)


def _false_runs(results: Iterable[Result], baselines: Iterable[Baseline]) -> Iterator[str]:
    """Yield the results that have the id of a baseline's run and are another."""
    known = {run.run_id: (run, baseline) for baseline in baselines for run in baseline.results}
    for result in results:
        run, baseline = known.get(result.run_id, (result, None))
        if baseline and run != result:
            where = baseline.path or baseline.name
            yield f"the run {result.run_id} is also in the baseline {where}, with other content; one of them is false"


def _references(request: Request, found: Collection) -> dict[str, Reference]:
    """Return the references that ship and those that options name; a file that ``--reference`` names is its own name.

    Those among the paths are not compared with. Raises UsageError for one of a known name and with other content.
    """
    known = load_references([bundled("reference"), *request.folders])
    name = request.reference_name
    if name is not None and name not in known:
        if not os.path.isfile(name):  # noqa: PTH113 -- a name that is too long is no file, and no error
            listed = ", ".join(sorted(known))
            raise UsageError(f"--reference {name}: no such reference or file; known: {listed}, {OWN}")
        return {**known, name: read_reference(Path(name))}
    for reference in found.references.values():
        if known.get(reference.name, reference) != reference:
            raise UsageError(
                f"{reference.path}: a reference with the name of {known[reference.name].path}, and with other content; "
                f"take it out of the paths, or compare with it: --reference {reference.path}"
            )
    return known


def _files_of(baselines: Iterable[Baseline]) -> frozenset[str]:
    return frozenset(os.path.realpath(baseline.path) for baseline in baselines if baseline.path)


def choose_baselines(which: str, folder: Path, collection: Collection) -> Collection:
    """Return the baselines that ``--baseline`` means, and the files refused on the way; raise UsageError for none."""
    if which != ADOPTED and os.path.exists(which):  # noqa: PTH110 -- a name may be too long for a file
        return _from_path(Path(which))
    adopted = _adopted(collection, folder)
    if which == ADOPTED:
        return Collection(baselines=tuple(adopted.values()))
    if which in adopted:
        return Collection(baselines=(adopted[which],))
    for known in itertools.chain([collection], _stored_results()):
        if own := [result for result in known.results if result.run_id == which]:
            return _as_chosen(which, Collection(known.in_full(own)))
    names = [ADOPTED, *adopted, *(result.run_id for result in collection.results)]
    near = difflib.get_close_matches(which, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else "expected a file, a folder, a run id or an adopted baseline"
    raise UsageError(f"--baseline {which}: no such file, run or baseline; {hint}")


def _stored_results() -> Iterator[Collection]:
    """Yield the results of the usual folder, which is only read when it comes to that."""
    if RESULTS.is_dir():
        yield survey([RESULTS])


def _adopted(collection: Collection, folder: Path) -> dict[str, Baseline]:
    """Return the adopted baselines of the folder, by name; one among the paths is not compared with.

    Raises InvalidFileError for two of one name, one of them among the paths, and for one of runs that are no repeats.
    """
    if not folder.is_dir() and folder != FOLDER:
        raise UsageError(f"--baselines {folder}: no such folder; expected one with adopted baselines")
    known = {baseline.name: baseline for baseline in load_baselines(folder)}
    for baseline in collection.baselines or ():
        if baseline.name in known:
            add_baseline(known, baseline)
    for baseline in known.values():
        if len(group_repeats(baseline.results)) > 1:
            raise InvalidFileError(f"{baseline.path}: its runs are no repeats of one another; adopt those of one case")
    return known


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
    baselines = (*(collection.baselines or ()), *named)
    return Collection((), {}, (*collection.problems, *problems), baselines, files=collection.files)

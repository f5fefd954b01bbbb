"""From paths to a judgement: which results there are, and what each is held against."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clipbench.compare.against_baseline import compare_with_baselines
from clipbench.compare.against_reference import Terms, compare_all, find_reference
from clipbench.compare.significance import Thresholds
from clipbench.compare.verdicts import Comparison, Judgement
from clipbench.errors import CaseFailedError, UsageError
from clipbench.results.baselines import (
    ADOPTED,
    FOLDER,
    Baseline,
    as_baselines,
    load_baselines,
    no_such_baseline,
)
from clipbench.results.collect import Collection, collect
from clipbench.results.references import Reference, load_references, shipped_references
from clipbench.results.result import Result

OWN = "own"
RESULTS = Path("results")


@dataclass(frozen=True)
class Request:
    """What ``clipbench compare`` was asked.

    ``baseline`` is a file, a folder, a run id, the name of an adopted baseline, or ``adopted``; with it, references
    are held against only where ``reference`` names one, or is ``own``: the one that each result names itself.
    ``folders`` have further references, ``baselines`` the adopted baselines (None: ``results/baseline``).
    """

    paths: tuple[Path, ...]
    folders: tuple[Path, ...] = ()
    reference: str | None = None
    baseline: str | None = None
    baselines: Path | None = None
    terms: Terms = field(default_factory=Terms)
    thresholds: Thresholds = field(default_factory=Thresholds)
    strict: bool = False


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
    """The options of ``clipbench compare`` as a Request; ``least_speed`` is in percent.

    A number that is not finite would pass everything, and is a UsageError.
    """
    numbers = {"--target": target, "--least-recall": least_recall, "--least-speed": least_speed}
    for option, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise UsageError(f"{option} {number}: expected a finite number")
    terms = Terms(frozenset(allow), target)
    thresholds = Thresholds(least_recall, 2 * least_recall, least_speed / 100)
    return Request(tuple(paths), tuple(folders), reference, baseline, baselines, terms, thresholds, strict)


def judge(request: Request) -> Judgement:
    """Hold every result under the request's paths against what it asks for."""
    found = collect(request.paths)
    references = {**shipped_references(), **load_references(request.folders), **found.references}
    name = None if request.reference == OWN else request.reference
    if name is not None and name not in references:
        raise UsageError(f"--reference {name}: no such reference; known: {', '.join(sorted(references))}, {OWN}")
    problems = list(found.problems)
    comparisons: list[Comparison] = []
    results = found.results
    if request.baseline is not None:
        chosen, refused = choose_baselines(request, found)
        problems += [problem for problem in refused if problem not in problems]
        taken = {run for baseline in chosen for run in baseline.runs}
        results = tuple(result for result in results if result["run_id"] not in taken)
        if found.results and not results and not problems:
            raise CaseFailedError(f"--baseline {request.baseline}: is all that there is; no result is left to compare")
        target_of = _target_of(references, name)
        comparisons += compare_with_baselines(results, chosen, request.terms, request.thresholds, target_of)
        if request.reference is not None:
            results = tuple(result for result in results if result["status"] == "completed")
    if request.baseline is None or request.reference is not None:
        comparisons += compare_all(results, references, name, request.terms)
    return Judgement(tuple(comparisons), tuple(problems), request.strict)


def choose_baselines(request: Request, found: Collection) -> tuple[list[Baseline], tuple[str, ...]]:
    """What ``--baseline`` means, and the files that were refused on the way; a miss is a UsageError."""
    wanted = request.baseline or ADOPTED
    if wanted != ADOPTED and Path(wanted).exists():
        return _from_path(Path(wanted))
    adopted = {baseline.name: baseline for baseline in found.baselines}
    folder = request.baselines or FOLDER
    if folder.is_dir():
        adopted |= {baseline.name: baseline for baseline in load_baselines(folder)}
    elif request.baselines is not None:
        raise UsageError(f"--baselines {folder}: no such folder; expected one with adopted baselines")
    if wanted == ADOPTED:
        return list(adopted.values()), ()
    if wanted in adopted:
        return [adopted[wanted]], ()
    run = _run_called(wanted, found.results)
    if run is None and RESULTS.is_dir():
        run = _run_called(wanted, collect([RESULTS]).results)
    if run is None:
        raise no_such_baseline(wanted, adopted.values(), (result["run_id"] for result in found.results))
    return _of_results(wanted, [run])


def _from_path(path: Path) -> tuple[list[Baseline], tuple[str, ...]]:
    found = collect([path])
    named, problems = _of_results(str(path), found.results)
    if not named and not found.baselines and not found.problems:
        raise UsageError(f"--baseline {path}: no result and no baseline there")
    return [*found.baselines, *named], (*found.problems, *problems)


def _of_results(name: str, results: Sequence[Result]) -> tuple[list[Baseline], tuple[str, ...]]:
    """Completed results as baselines; a case that did not complete is said, as a refused file is."""
    completed = [result for result in results if result["status"] == "completed"]
    problems = tuple(
        f"{result['run_id']}: the case {result['status']}; it cannot be a baseline"
        for result in results
        if result["status"] != "completed"
    )
    return as_baselines(name, completed), problems


def _run_called(run_id: str, results: Sequence[Result]) -> Result | None:
    return next((result for result in results if result["run_id"] == run_id), None)


def _target_of(references: Mapping[str, Reference], name: str | None) -> Callable[[Result], float | None]:
    def target(result: Result) -> float | None:
        reference, _ = find_reference(result, references, name)
        return reference.target if reference else None

    return target

"""Match: each result, or group of repeats, with a reference or baseline, and what differs between the two."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from clipbench.api.result import Result
from clipbench.compare.comparability import difference_name, find_differences, signature
from clipbench.compare.statistics.significance import Thresholds
from clipbench.compare.verdicts import Difference, Failure, Unmatched
from clipbench.results.baselines import Baseline
from clipbench.results.references import Reference, unmet_conditions


@dataclass(frozen=True)
class Terms:
    """What all comparisons of a call share.

    ``allow`` has the names of accepted differences, ``target`` replaces the reference's.
    """

    allow: frozenset[str] = frozenset()
    target: float | None = None
    thresholds: Thresholds = field(default_factory=Thresholds)


@dataclass(frozen=True)
class Match:
    """Results of one case, mostly one, and what they are compared with: ``other``, or None where there is nothing.

    ``terms`` are what it is compared by, ``target`` is the recall mean that the time to quality is taken to.
    """

    results: tuple[Result, ...]
    other: Reference | Baseline | None = None
    unmatched: Unmatched | None = None
    differences: tuple[Difference, ...] = ()
    target: float | None = None
    terms: Terms = field(default_factory=Terms)

    @property
    def failure(self) -> Failure | None:
        """How the case ended, if it did not complete: then it is compared with nothing, whatever it had reached."""
        first = self.results[0]
        if first.completed:
            return None
        lines = [*first.error.message.splitlines(), first.error.type] if first.error else ["no error is stored"]
        return Failure("interrupted" if first.status == "interrupted" else "failed", lines[0])

    @property
    def bad_images(self) -> tuple[int, ...]:
        """How many images each run on either side left out: it trained or was evaluated on other data."""
        theirs = self.other.results if isinstance(self.other, Baseline) else ()
        return tuple(count for result in (*self.results, *theirs) if (count := images_left_out(result)))

    @property
    def alone(self) -> "tuple[Match, ...]":
        """Each of several results in a match of its own; none for a single one."""
        return tuple(replace(self, results=(one,)) for one in self.results) if len(self.results) > 1 else ()

    @property
    def refused(self) -> bool:
        """Whether anything rules all comparing out."""
        return bool(self.bad_images) or any(d.blocks == "all" and not d.allowed for d in self.differences)

    @property
    def slow(self) -> tuple[Difference, ...]:
        """The differences that rule out comparing speed."""
        return tuple(d for d in self.differences if d.blocks == "speed" and not d.allowed)


def images_left_out(result: Result) -> int:
    """Return the number of images that could not be read."""
    return result.bad_images.skipped if result.bad_images else 0


# --- references ---------------------------------------------------------------------------------------------------


def match_reference(
    result: Result, references: Mapping[str, Reference], name: str | None = None, terms: Terms | None = None
) -> Match:
    """Match a result with the reference called ``name``, else with the one that it names itself."""
    terms = terms or Terms()
    if not result.completed:
        return Match((result,))
    name = name or result.reference
    reference = references.get(name) if name else None
    if reference is None:
        return Match((result,), unmatched=Unmatched("reference", name, tuple(sorted(references))))
    target = reference.target if terms.target is None else terms.target
    return Match((result,), reference, None, unmet(reference.conditions, result, terms), target, terms)


def unmet(conditions: Mapping[str, Any], result: Result, terms: Terms) -> tuple[Difference, ...]:
    """Return the conditions that a result does not meet, each as a difference that rules out everything."""
    differences = []
    for path, ours, theirs in unmet_conditions(conditions, result):
        name = difference_name(path) or "recipe"
        differences.append(Difference(name, path, ours, theirs, allowed=name in terms.allow))
    return tuple(differences)


# --- baselines ----------------------------------------------------------------------------------------------------


def match_baselines(
    results: Iterable[Result],
    baselines: Sequence[Baseline],
    terms: Terms,
    target_of: Callable[[Result], float | None] = lambda _: None,
    repeats: bool = False,
) -> Iterator[Match]:
    """Match each case with a baseline, its repeats and seeds pooled; cases that did not complete come first, alone.

    ``target_of`` returns the recall mean that the time to quality is taken to, unless the terms have one. Results are
    pooled where they are of one call of ``clipbench run``, or where all are said to be ``repeats``.
    """
    results = list(results)
    yield from (Match((result,)) for result in results if not result.completed)
    for group in pooled((result for result in results if result.completed), repeats):
        baseline, unmatched = find_baseline(group[0], baselines)
        if baseline is None:
            yield Match(group, unmatched=unmatched)
        else:
            yield match_baseline(group, baseline, terms, target_of(group[0]))


def match_baseline(results: Sequence[Result], baseline: Baseline, terms: Terms, target: float | None = None) -> Match:
    """Match repeats and seeds of one case with this baseline; ``target`` counts unless the terms have one."""
    differences = find_differences(results[0], baseline.results[0], terms.allow)
    target = target if terms.target is None else terms.target
    return Match(tuple(results), baseline, None, differences, target, terms)


def group_repeats(results: Iterable[Result]) -> list[tuple[Result, ...]]:
    """Return results of one case that nothing that counts tells apart, in the order given: repeats and seeds."""
    return _grouped(results, lambda result: (result.suite, result.case_without_seed, signature(result)))


def pooled(results: Iterable[Result], repeats: bool) -> list[tuple[Result, ...]]:
    """Return results that are judged together, in the order given.

    They are of one case, and nothing that counts tells them apart, nor software or host: old ones never hide a change
    in new ones. Without ``repeats`` they are of one call of ``clipbench run`` too.
    """

    def key(result: Result) -> tuple[str, ...]:
        call = "" if repeats else result.invocation or result.run_id
        return result.suite, result.case_without_seed, call, signature(result, state=True)

    return _grouped(results, key)


def _grouped(results: Iterable[Result], key: Callable[[Result], tuple[str, ...]]) -> list[tuple[Result, ...]]:
    groups: dict[tuple[str, ...], list[Result]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return list(map(tuple, groups.values()))


def find_baseline(result: Result, baselines: Sequence[Baseline]) -> tuple[Baseline | None, Unmatched | None]:
    """Return the baseline that differs least from ``result``, of equals the newest; or None, and why there is none.

    Adopted ones are of its suite, case and device. Of results that were named, those of its case, or the only ones
    there are: what differs then is named by the comparison.
    """
    same_case = [b for b in baselines if (b.suite, b.case) == (result.suite, result.case_without_seed)]
    choices = [b for b in same_case if b.adopted is None or b.device == result.device_name]
    if len(baselines) == 1 and baselines[0].adopted is None:
        choices = list(baselines)
    if choices:
        return _nearest(result, choices), None
    known = sorted({_where(b.results[0]) for b in same_case or baselines})
    return None, Unmatched("baseline", _where(result), tuple(known))


def _where(result: Result) -> str:
    return f"{result.case_without_seed} on {result.device_name or 'an unknown device'}"


def _nearest(result: Result, baselines: Sequence[Baseline]) -> Baseline:
    def count_blocking(baseline: Baseline) -> int:
        return sum(d.blocks != "nothing" for d in find_differences(result, baseline.results[0]))

    newest_first = sorted(baselines, key=lambda b: (b.adopted is None, b.adopted or ""), reverse=True)
    return min(newest_first, key=count_blocking)

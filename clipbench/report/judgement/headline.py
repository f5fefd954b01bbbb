"""The one sentence that every output begins with: what came of it, on which device, and the value that decides."""

from collections.abc import Iterator, Sequence

from clipbench.compare.verdicts import WORST_FIRST, Cause, Comparison, CurveMatch, Judgement, NumericsSteps, Verdict
from clipbench.report.judgement import wording
from clipbench.report.metric_words import metric_words
from clipbench.report.quantity import amount
from clipbench.results.measures.metrics import ACCURACY_NAMES, BEST_METRIC, RECALL_NAMES, THROUGHPUT

VERBS = {"fail": "fail", "inconclusive": "are inconclusive", "better": "are better", "warn": "are a warning"}


def headline(judgement: Judgement) -> str:
    """Return the sentence about the worst that was found."""
    if judgement.problems:
        return f"REFUSED {judgement.problems[0]}{_and_more(len(judgement.problems) - 1, 'refused')}"
    if not judgement.comparisons:
        return "NO RESULT: there is nothing to judge"
    worst = min(judgement.comparisons, key=_rank)
    alike = [one for one in judgement.comparisons if one.label == worst.label]
    if worst.label == "pass" and len(alike) > 1:
        of = f" of {worst.suite}" if {one.suite for one in alike} == {worst.suite} else ""
        return f"PASS {len(_runs(alike))} runs{of}: every gated metric is within what is allowed"
    of_suite = [one for one in judgement.comparisons if one.suite == worst.suite]
    if 1 in (len(of_suite), len(_runs(of_suite))):
        return comparison_headline(worst) + _and_more(len(alike) - 1, worst.label)
    found = [one for one in alike if one in of_suite]
    return _finding(found, of_suite) + _and_more(len(alike) - len(found), worst.label)


def _and_more(count: int, label: str) -> str:
    return f" (and {count} more: {label})" if count else ""


def _finding(found: Sequence[Comparison], of_suite: Sequence[Comparison]) -> str:
    """Return what was found in some of the results of a suite, in how many, and what these have in common."""
    where = f"on {len(_runs(found))} of {len(_runs(of_suite))} runs{_in_common(found, of_suite)}"
    subject = f"{found[0].label.upper()} {found[0].suite}"
    if found[0].unjudged:
        return f"{subject} {where}: {_why(found[0])}"
    pairs = [(_lead(one), one) for one in found]
    lead, comparison = max(pairs, key=lambda pair: _weight(pair[0]))
    lost = [verdict for verdict, _ in pairs if verdict.metric == lead.metric and verdict.difference is not None]
    # What fails by these is no difference of two figures.
    if lead.cause is not Cause.TOLERANCE or isinstance(lead.evidence, CurveMatch | NumericsSteps):
        return f"{subject} {where}: {wording.of_metric(lead, comparison)}"
    most = "up to " if len({wording.size(verdict, verdict.difference) for verdict in lost}) > 1 else ""
    verb = "lost" if lead.direction == "higher" else "gained"
    return (
        f"{subject} {verb} {most}{wording.size(lead, lead.difference)} of {metric_words(lead.metric)} {where} "
        f"(at most {wording.size(lead, lead.limit)} is allowed)"
    )


def _in_common(found: Sequence[Comparison], of_suite: Sequence[Comparison]) -> str:
    """Return what all of ``found`` have and no other result of the suite has, in words; nothing where there is none."""
    others = [one for one in of_suite if one not in found]
    shared = set.intersection(*(set(_circumstances(one)) for one in found))
    alone = shared.difference(*map(_circumstances, others))
    words = next((words for words in _circumstances(found[0]) if words in alone), None)
    return f", {'all' if len(_runs(found)) > 1 else 'the one'} {words}" if words and others else ""


def _circumstances(comparison: Comparison) -> Iterator[str]:
    """Yield what may explain how a result came out."""
    yield f"on {wording.devices(comparison.device, comparison.world_size)}"
    yield f"in {comparison.precision}"
    yield f"with {comparison.engine}"
    yield from (f"with {choice}" for choice in comparison.case.partition("@")[2].split(",") if choice)


def _runs(comparisons: Sequence[Comparison]) -> set[str]:
    return {run for comparison in comparisons for run in comparison.runs}


def comparison_headline(comparison: Comparison) -> str:
    """Return the sentence about one comparison."""
    runs = f" ({len(comparison.runs)} runs)" if len(comparison.runs) > 1 else ""
    device = wording.devices(comparison.device, comparison.world_size)
    return f"{comparison.label.upper()} {comparison.case}{runs} on {device}: {_why(comparison)}"


def _rank(comparison: Comparison) -> tuple[int, bool]:
    return WORST_FIRST.index(comparison.status), comparison.label != "warn"


def _why(comparison: Comparison) -> str:
    if comparison.unjudged:
        reasons = wording.comparison_reasons(comparison) or [comparison.status]
        return f"{reasons[0]} (and {len(reasons) - 1} more)" if len(reasons) > 1 else reasons[0]
    if comparison.label == "pass":
        return _passes(comparison.verdicts)
    lead = _lead(comparison)
    more = len(_decisive(comparison)) - 1
    others = f"; {more} more metric{'s' if more > 1 else ''} {_verb(comparison.label, more)}" if more else ""
    return wording.of_metric(lead, comparison) + others


def _decisive(comparison: Comparison) -> list[Verdict]:
    """Return the verdicts that a judged comparison owes its label to."""
    wanted = ("fail", "missing") if comparison.status == "fail" else (comparison.label,)
    return [verdict for verdict in comparison.verdicts if verdict.label in wanted]


def _lead(comparison: Comparison) -> Verdict:
    """Return the gravest of the verdicts that decide."""
    return max(_decisive(comparison), key=_weight)


def _verb(label: str, count: int) -> str:
    verb = VERBS[label]
    return verb if count > 1 else {"fail": "fails"}.get(label, verb.replace("are", "is", 1))


def _weight(verdict: Verdict) -> tuple[bool, float, bool, float]:
    """Return what sorts: a figure before none, what takes most runs to decide, recall and throughput, how far off."""
    aim = verdict.metric in (*RECALL_NAMES, *ACCURACY_NAMES, THROUGHPUT)
    difference, tolerance = abs(verdict.difference or 0.0), verdict.tolerance or 0.0
    return verdict.value is not None, verdict.runs_needed or 0.0, aim, difference / max(tolerance, 1e-12)


def _passes(verdicts: Sequence[Verdict]) -> str:
    gated = [verdict for verdict in verdicts if verdict.status == "pass"]
    measured = {verdict.metric: verdict for verdict in verdicts if verdict.value is not None}
    best = BEST_METRIC if BEST_METRIC in measured else ACCURACY_NAMES[0]
    known = [measured[name] for name in (best, THROUGHPUT) if name in measured]
    if all(isinstance(verdict.evidence, NumericsSteps) for verdict in gated):
        known = gated  # recall and throughput have not decided
    values = ", ".join(f"{metric_words(verdict.metric)} {amount(verdict.value, verdict.unit)}" for verdict in known)
    subject = f"all {len(gated)} gated metrics are" if len(gated) != 1 else f"{metric_words(gated[0].metric)} is"
    return f"{subject} within what is allowed{f' ({values})' if values else ''}"

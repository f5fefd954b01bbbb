"""The one sentence that every output begins with: what came of it, on which device, and the value that decides."""

from collections.abc import Sequence

from clipbench.compare.verdicts import WORST_FIRST, Comparison, Judgement, NumericsSteps, Verdict
from clipbench.report.judgement import wording
from clipbench.report.metric_words import metric_words
from clipbench.report.quantity import amount
from clipbench.results.metrics import ACCURACY_NAMES, BEST_METRIC, RECALL_NAMES, THROUGHPUT

VERBS = {"fail": "fail", "inconclusive": "are inconclusive", "better": "are better", "warn": "are a warning"}


def headline(judgement: Judgement) -> str:
    """Return the sentence about the worst that was found."""
    if judgement.problems:
        count = len(judgement.problems)
        more = f" (and {count - 1} more refused)" if count > 1 else ""
        return f"REFUSED {judgement.problems[0]}{more}"
    if not judgement.comparisons:
        return "NO RESULT: there is nothing to judge"
    worst = min(judgement.comparisons, key=_rank)
    same = sum(one.label == worst.label for one in judgement.comparisons)
    if same == 1:
        return comparison_headline(worst)
    if worst.label == "pass":
        return f"PASS {same} comparisons: every gated metric is within what is allowed"
    return f"{comparison_headline(worst)} (and {same - 1} more: {worst.label})"


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
    wanted = ("fail", "missing") if comparison.status == "fail" else (comparison.label,)
    decisive = [verdict for verdict in comparison.verdicts if verdict.label in wanted]
    lead = max(decisive, key=_weight)
    more = len(decisive) - 1
    others = f"; {more} more metric{'s' if more > 1 else ''} {_verb(comparison.label, more)}" if more else ""
    return wording.of_metric(lead, comparison) + others


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

"""Every sentence about a comparison, made from the facts of its verdicts."""

from __future__ import annotations

from collections.abc import Mapping

from clipbench.compare.verdicts import (
    Bootstrap,
    Cause,
    Comparison,
    CurveMatch,
    Difference,
    Failure,
    Judgement,
    Kind,
    TimingTest,
    Unmatched,
    Verdict,
    VerdictStatus,
)
from clipbench.errors import ExitCode, did_you_mean

VERDICT_MEANINGS: Mapping[VerdictStatus, str] = {
    "pass": "within what is allowed; with a warning where it is worse than the warning level",
    "fail": "worse than is allowed",
    "better": "better by more than the tolerance: check it, or adopt it as the baseline",
    "inconclusive": "the runs are too few or too noisy to decide",
    "not comparable": "conditions differ that change what the figure means",
    "missing": "gated, but the result has no such figure; fails its gate",
    "ungated": "shown, decides nothing",
}

MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.PASS: "every result passes",
    ExitCode.GATE_FAILED: "a gate failed",
    ExitCode.NOT_COMPARABLE: "something could not be compared, or a file was refused",
    ExitCode.CASE_FAILED: "a case failed, or there is no result",
}


# --- the whole ----------------------------------------------------------------------------------------------------


def meaning(judgement: Judgement) -> str:
    """Return the exit code in words."""
    code, warned = judgement.exit_code, judgement.warned
    if warned and code == ExitCode.PASS:
        return f"no gate failed, {len(warned)} with a warning"
    if warned and code == ExitCode.GATE_FAILED and all(c.status != "fail" for c in judgement.comparisons):
        return "a warning, and --strict"
    return MEANINGS[code]


# --- one comparison -----------------------------------------------------------------------------------------------


def comparison_reasons(comparison: Comparison) -> list[str]:
    """Return a sentence for all that keeps the comparison from passing."""
    if comparison.failure:
        return [f"{_ended(comparison.failure)}: {comparison.failure.message}"]
    if comparison.unmatched:
        return [unmatched(comparison.unmatched)]
    reasons = [f"{count} images could not be read and were left out" for count in comparison.bad_images]
    reasons += [sentence(difference, kind_of(comparison)) for difference in comparison.blocking]
    reasons = reasons or [
        _with_metric(verdict, comparison)
        for verdict in comparison.verdicts
        if verdict.status in ("fail", "missing", "not comparable")
    ]
    if comparison.status == "not comparable" and not reasons:
        return ["the reference gates no metric: its figures are for orientation"]
    return reasons


def comparison_warnings(comparison: Comparison) -> list[str]:
    """Return a sentence for all that a person should look at though it passes."""
    return [_with_metric(verdict, comparison) for verdict in comparison.warned]


def sentence(difference: Difference, against: Kind) -> str:
    """Return what differs, in words."""
    return f"{difference.path} is {difference.ours}, the {against} has {difference.theirs}"


def kind_of(comparison: Comparison) -> Kind:
    """Return what the comparison is with; ``reference`` where there was nothing to compare with."""
    return comparison.against.kind if comparison.against else "reference"


def unmatched(missing: Unmatched) -> str:
    """Return why there is no reference or baseline to compare with."""
    if missing.kind == "reference":
        if missing.wanted is None:
            return "the suite names no reference"
        return f"the reference '{missing.wanted}' was not found; {did_you_mean(missing.wanted, missing.known)}"
    if not missing.known:
        return f"no baseline was adopted for {missing.wanted}; adopt one with: clipbench baseline set"
    return f"there is no baseline for {missing.wanted}, only for {', '.join(missing.known[:5])}"


def _ended(failure: Failure) -> str:
    return "the case was interrupted" if failure.status == "interrupted" else "the case failed"


def _with_metric(verdict: Verdict, comparison: Comparison) -> str:
    return f"{verdict.metric}: {reason(verdict, comparison)}"


# --- one metric ---------------------------------------------------------------------------------------------------


_SENTENCES: Mapping[Cause, str] = {
    Cause.CASE_FAILED: "the case did not complete",
    Cause.UNMATCHED: "there is nothing to compare it with",
    Cause.CONDITIONS: "the conditions differ",
    Cause.NO_FIGURE: "the {kind} has no such figure",
    Cause.OTHER_SEED: "another seed: shown, not gated",
    Cause.NO_QUERY_RANKS: "the query ranks are not stored, or do not give the recall that the result states",
}


def reason(verdict: Verdict, comparison: Comparison) -> str | None:
    """Return why the verdict is not a plain pass; None for one that is."""
    kind = kind_of(comparison)
    match verdict.cause:
        case None:
            return None
        case Cause.UNMATCHED if comparison.unmatched:
            return unmatched(comparison.unmatched)
        case Cause.CASE_FAILED if comparison.failure:
            return _ended(comparison.failure)
        case Cause.OWN_CONDITIONS:
            return "; ".join(sentence(difference, kind) for difference in verdict.differences)
        case Cause.NO_LIMIT:
            return f"{verdict.note}; shown, not gated" if verdict.note else "shown, not gated"
        case Cause.NO_VALUE:
            return f"missing ({verdict.note or 'the result has no such metric'})"
    return _SENTENCES[verdict.cause].format(kind=kind) if verdict.cause in _SENTENCES else _judged(verdict, kind)


def detail(verdict: Verdict) -> str | None:
    """Return how the verdict was decided, where that is not the tolerance alone."""
    match verdict.evidence:
        case Bootstrap() as bootstrap:
            way = "paired" if bootstrap.paired else "unpaired"
            return f"{way} bootstrap over {bootstrap.images} images; {_seeds(bootstrap)}"
        case TimingTest() as timing:
            return _timing(timing)
        case CurveMatch() as match:
            return (
                f"mean relative error {match.relative:.2%} (up to {match.relative_limit:.0%} passes), "
                f"mean absolute error {match.absolute:.2g} (up to {match.absolute_limit:g} passes)"
            )
    return None


def _judged(verdict: Verdict, kind: Kind) -> str | None:
    """Return the difference, how sure it is, and what that means."""
    if isinstance(verdict.evidence, CurveMatch):
        return detail(verdict)
    if isinstance(verdict.evidence, TimingTest):
        return f"{_speed_apart(verdict)}{_conclusion(verdict)}"
    difference, reference = verdict.difference or 0.0, verdict.reference or 0.0
    side = "below" if difference < 0 else "above"
    if verdict.p_value is not None:
        sure = f" (p {_chance(verdict.p_value)}, error {verdict.error or 0.0:.2g})"
        return f"{abs(difference):.3g} {side} the {kind}'s {reference:.6g}{sure}{_conclusion(verdict)}"
    error = f" (sampling error {verdict.error:.2g})" if verdict.error else ""
    apart = f"{abs(difference):.4g} {side} the {kind}'s {reference:.6g}"
    return f"{verdict.value or 0.0:.6g} is {apart}{error}{_conclusion(verdict)}"


def _speed_apart(verdict: Verdict) -> str:
    share = (verdict.difference or 0.0) / (verdict.reference or 1.0)
    error = (verdict.error or 0.0) / (verdict.reference or 1.0)
    side = "slower" if share < 0 else "faster"
    return f"{abs(share):.1%} {side} than the baseline (p {_chance(verdict.p_value or 0.0)}, error {error:.1%})"


def _conclusion(verdict: Verdict) -> str:
    limit = verdict.limit or 0.0
    size = f"{limit:.4g}"
    if isinstance(verdict.evidence, TimingTest):
        size = f"{100 * limit / (verdict.reference or 1.0):.4g}%"
    match verdict.cause:
        case Cause.TOLERANCE:
            return f"; up to {size} passes"
        case Cause.WARN:
            return f"; more than {size} warns"
        case Cause.BETTER:
            return f"; better by more than {size}: check it, or adopt it as the baseline"
        case Cause.OUTLIERS if isinstance(verdict.evidence, TimingTest):
            return (
                f"; the median window differs by {verdict.evidence.median_gain:+.1%}: a few windows make the difference"
            )
        case Cause.CHANCE:
            return "; it may still be chance"
        case Cause.UNDETECTED_LOSS:
            return f"; the error does not rule out a loss of {size}"
    return ""


def _seeds(bootstrap: Bootstrap) -> str:
    ours, theirs = bootstrap.seeds
    if not bootstrap.same_seeds:
        return f"{ours} seeds against {theirs} others"
    return f"{ours} seeds, each on both sides" if ours > 1 else "one seed on both sides"


def _timing(timing: TimingTest) -> str:
    ours, theirs = timing.samples
    text = {
        "runs ranked": f"rank test over {ours} and {theirs} runs",
        "blocks ranked": f"rank test over {ours} and {theirs} blocks of windows",
        "t test": f"t test over {ours} and {theirs} blocks of windows, too few to rank",
    }[timing.test]
    if timing.runs:
        text += f", with the spread of {timing.runs[0]} and {timing.runs[1]} runs"
    return text


def _chance(p_value: float) -> str:
    return f"{p_value:.2g}" if p_value >= 0.0005 else "< 0.0005"

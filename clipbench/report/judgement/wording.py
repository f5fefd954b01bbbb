"""Every sentence about a judgement, made from the facts of its verdicts; all outputs share them."""

from collections import Counter

from clipbench.compare import verdicts
from clipbench.compare.verdicts import Cause, Comparison, Judgement, Verdict
from clipbench.errors import ExitCode, did_you_mean
from clipbench.report.numerics import float32_differs, loss_left

MEANINGS = {
    ExitCode.PASS: "every result passes",
    ExitCode.GATE_FAILED: "a gate failed",
    ExitCode.NOT_COMPARABLE: "something could not be compared, or a file was refused",
    ExitCode.CASE_FAILED: "a case failed, or there is no result",
}
# Why a verdict is not a plain pass. {apart}: the difference and how sure it is; {limit}: the cause's limit.
REASONS = {
    Cause.CASE_FAILED: "{ended}",
    Cause.UNMATCHED: "{unmatched}",
    Cause.NO_FIGURE: "the {kind} has no such figure",
    Cause.NO_LIMIT: "shown, not gated",
    Cause.OTHER_SEED: "another seed: shown, not gated",
    Cause.CONDITIONS: "conditions differ from the {kind}'s",
    Cause.OWN_CONDITIONS: "{differences}",
    Cause.NO_VALUE: "missing (the result has no such metric)",
    Cause.NO_QUERY_RANKS: "the query ranks are not stored, or do not give the recall that the result states",
    Cause.OUTLIERS: "{apart}; the median window differs by {median}: a few windows make the difference",
    Cause.CHANCE: "{apart}; it may still be chance",
    Cause.UNDETECTED_LOSS: "{apart}; the error does not rule out a loss of {limit}",
    Cause.TOLERANCE: "{apart}; up to {limit} passes",
    Cause.WARN: "{apart}; more than {limit} warns",
    Cause.BETTER: "{apart}; better by more than {limit}: check it, or adopt it as the baseline",
}
REASONS_WITH_NOTE = {Cause.NO_LIMIT: "{note}; shown, not gated", Cause.NO_VALUE: "missing ({note})"}
# Verdicts of these say what keeps a comparison from passing.
FAILING = ("fail", "missing", "not comparable")
TIMING_TESTS = {
    "runs ranked": "rank test over {} and {} runs",
    "blocks ranked": "rank test over {} and {} blocks of windows",
    "t test": "t test over {} and {} blocks of windows, too few to rank",
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


def verdict_line(judgement: Judgement) -> str:
    """Return how many results have which status, the exit code, and its meaning."""
    counts = Counter(comparison.status for comparison in judgement.comparisons)
    parts = [f"{count} {status}" for status, count in counts.items()]
    refused = len(judgement.problems)
    parts += [f"{refused} refused file{'s' if refused > 1 else ''}"] if refused else []
    return f"{', '.join(parts) or 'no results'}: exit code {int(judgement.exit_code)}, {meaning(judgement)}"


# --- one comparison -----------------------------------------------------------------------------------------------


def machine(device: str | None, precision: str | None, world_size: int) -> str:
    """Return the device and how it was used: ``2 x NVIDIA H100, float16``."""
    count = f"{world_size} x " if world_size > 1 else ""
    return f"{count}{device or 'device unknown'}, {precision or 'precision unknown'}"


def kind_of(comparison: Comparison) -> verdicts.Kind:
    """Return what the comparison is with; ``reference`` where there was nothing to compare with."""
    return comparison.against.kind if comparison.against else "reference"


def source_of(against: verdicts.Against) -> str:
    """Return where a reference was published, or why a baseline was adopted."""
    return against.source or "named on the command line"


def comparison_reasons(comparison: Comparison) -> list[str]:
    """Return a sentence for all that keeps the comparison from passing."""
    if comparison.failure:
        return [f"{_ended(comparison)}: {comparison.failure.message}"]
    if comparison.unmatched:
        return [_unmatched(comparison.unmatched)]
    blocking = [f"{count} images could not be read and were left out" for count in comparison.bad_images]
    blocking += [sentence(difference, kind_of(comparison)) for difference in comparison.blocking]
    gates = [_with_metric(v, comparison) for v in comparison.verdicts if v.status in FAILING]
    nothing = ["the reference gates no metric: its figures are for orientation"]
    return blocking or gates or (nothing if comparison.status == "not comparable" else [])


def comparison_warnings(comparison: Comparison) -> list[str]:
    """Return a sentence for all that a person should look at though it passes."""
    return [_with_metric(verdict, comparison) for verdict in comparison.warned]


def sentence(difference: verdicts.Difference, against: verdicts.Kind) -> str:
    """Return what differs, in words."""
    return f"{difference.path} is {difference.ours}, the {against} has {difference.theirs}"


def _unmatched(missing: verdicts.Unmatched) -> str:
    """Return why there is no reference or baseline to compare with."""
    if missing.kind == "reference":
        if missing.name is None:
            return "the suite names no reference"
        return f"the reference '{missing.name}' was not found; {did_you_mean(missing.name, missing.known)}"
    if not missing.known:
        return f"no baseline was adopted for {missing.name}; adopt one with: clipbench baseline set"
    return f"there is no baseline for {missing.name}, only for {', '.join(missing.known[:5])}"


def _ended(comparison: Comparison) -> str:
    interrupted = comparison.failure and comparison.failure.status == "interrupted"
    return "the case was interrupted" if interrupted else "the case failed"


def _with_metric(verdict: Verdict, comparison: Comparison) -> str:
    return f"{verdict.metric}: {reason(verdict, comparison)}"


# --- one metric ---------------------------------------------------------------------------------------------------


def reason(verdict: Verdict, comparison: Comparison) -> str | None:
    """Return why the verdict is not a plain pass; None for one that is."""
    cause, kind = verdict.cause, kind_of(comparison)
    if cause is None:
        return None
    if cause is Cause.TOLERANCE and isinstance(verdict.evidence, verdicts.CurveMatch | verdicts.NumericsSteps):
        return detail(verdict)
    template = REASONS_WITH_NOTE.get(cause) if verdict.note else None
    return (template or REASONS[cause]).format(
        ended=_ended(comparison),
        unmatched=_unmatched(comparison.unmatched) if comparison.unmatched else "there is nothing to compare it with",
        kind=kind,
        note=verdict.note,
        differences="; ".join(sentence(difference, kind) for difference in verdict.differences),
        **_figures(verdict, kind),
    )


def detail(verdict: Verdict) -> str | None:
    """Return how the verdict was decided, where that is not the tolerance alone."""
    match verdict.evidence:
        case verdicts.Bootstrap() as bootstrap:
            way = "paired" if bootstrap.paired else "unpaired"
            return f"{way} bootstrap over {bootstrap.images} images; {_seeds(bootstrap)}"
        case verdicts.TimingTest() as timing:
            spread = f", with the spread of {timing.runs[0]} and {timing.runs[1]} runs" if timing.runs else ""
            return TIMING_TESTS[timing.test].format(*timing.samples) + spread
        case verdicts.CurveMatch() as match:
            return (
                f"mean relative error {match.relative:.2%} (up to {match.relative_limit:.0%} passes), "
                f"mean absolute error {match.absolute:.2g} (up to {match.absolute_limit:g} passes)"
            )
        case verdicts.NumericsSteps() as taken:
            if verdict.value is None:
                return verdict.note
            if taken.trusted is None:
                return f"{loss_left(verdict.value, taken.steps)} (up to {taken.most:g}% passes)"
            return f"{float32_differs(verdict.value, taken.steps, taken.trusted)} (up to {taken.most:g} passes)"
    return None


def _figures(verdict: Verdict, kind: verdicts.Kind) -> dict[str, str]:
    """Return the difference and its limit in words."""
    if isinstance(verdict.evidence, verdicts.TimingTest):
        return _shares(verdict, verdict.evidence, kind)
    difference, reference = verdict.difference or 0.0, verdict.reference or 0.0
    apart = f"{abs(difference):.4g} {'below' if difference < 0 else 'above'} the {kind}'s {reference:.6g}"
    if verdict.p_value is None:
        apart = f"{verdict.value or 0.0:.6g} is {apart}"
    if verdict.error is not None:
        apart += f" ({_sure(verdict)}{verdict.error:.2g})"
    return {"apart": apart, "limit": f"{verdict.limit or 0.0:.4g}", "median": "an unknown share"}


def _shares(verdict: Verdict, timing: verdicts.TimingTest, kind: verdicts.Kind) -> dict[str, str]:
    """Return the same for throughput, which is compared as shares of the baseline's rate."""
    rate = verdict.reference or 1.0
    share, error, limit = ((figure or 0.0) / rate for figure in (verdict.difference, verdict.error, verdict.limit))
    way = "slower" if share < 0 else "faster"
    return {
        "apart": f"{abs(share):.1%} {way} than the {kind} ({_sure(verdict)}{error:.1%})",
        "limit": f"{100 * limit:.4g}%",
        "median": f"{timing.median_gain:+.1%}",
    }


def _sure(verdict: Verdict) -> str:
    if verdict.p_value is None:
        return "sampling error "
    return f"p {verdict.p_value:.2g}, error " if verdict.p_value >= 0.0005 else "p < 0.0005, error "


def _seeds(bootstrap: verdicts.Bootstrap) -> str:
    ours, theirs = bootstrap.seeds
    if not bootstrap.same_seeds:
        return f"{ours} seeds against {theirs} others"
    return f"{ours} seeds, each on both sides" if ours > 1 else "one seed on both sides"

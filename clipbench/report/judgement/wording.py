"""Every sentence about a judgement, made from the facts of its verdicts; all outputs share them.

What is said of a metric is a predicate: its name goes before it.
"""

from collections import Counter
from dataclasses import replace

from clipbench.compare import verdicts
from clipbench.compare.verdicts import Cause, Comparison, Judgement, Verdict
from clipbench.errors import ExitCode, did_you_mean
from clipbench.report.metric_words import metric_words
from clipbench.report.quantity import amount, plain_figure

MEANINGS = {
    ExitCode.PASS: "every result passes",
    ExitCode.GATE_FAILED: "a gate failed",
    ExitCode.NOT_COMPARABLE: "something could not be compared, or a file was refused",
    ExitCode.CASE_FAILED: "a case failed, or there is no result",
}
# Why a verdict is not a plain pass. {moved}: how the value differs; {limit}: the cause's limit; {error}: its error.
REASONS = {
    Cause.CASE_FAILED: "is not judged: {ended}",
    Cause.UNMATCHED: "is not judged: {unmatched}",
    Cause.NO_FIGURE: "is only shown: the {kind} has no such figure",
    Cause.NO_LIMIT: "is only shown",
    Cause.OTHER_SEED: "is not compared: no seed is on both sides",
    Cause.CONDITIONS: "is not compared: conditions differ from the {kind}'s",
    Cause.OWN_CONDITIONS: "is not compared: {differences}",
    Cause.NO_VALUE: "is missing: the result has no such metric",
    Cause.NO_QUERY_RANKS: "is missing: query ranks are not stored, or do not give the recall that the result states",
    Cause.OUTLIERS: "{moved}, but the median window changed by {median}: a few windows make the difference; {advice}",
    Cause.CHANCE: "{moved}, which may still be chance ({error}); {advice}",
    Cause.UNDETECTED_LOSS: "{moved}, too noisy to rule out a loss of {limit} ({error}); {advice}",
    Cause.TOLERANCE: "{moved} (at most {limit} is allowed)",
    Cause.WARN: "{moved} (more than {limit} is a warning)",
    Cause.BETTER: "{moved} (better by more than {limit}): check it, or adopt it as the baseline",
}
REASONS_WITH_NOTE = {Cause.NO_LIMIT: "is only shown ({note})", Cause.NO_VALUE: "is missing: {note}"}
# Verdicts of these say what keeps a comparison from passing.
FAILING = ("fail", "missing", "not comparable")
TIMING_TESTS = {
    "runs ranked": "rank test over {} and {} runs",
    "blocks ranked": "rank test over {} and {} blocks of windows",
    "t test": "t test over {} and {} blocks of windows, too few to rank",
}
MOST_CHANGES = 8
# What is said first of what changed, by the path of the difference; anything else goes by the end of its path.
CHANGES = {
    "clipbench.commit": "commit",
    "clipbench.dirty": "uncommitted changes",
    "environment.packages.torch": "torch",
    "environment.device.driver": "driver",
    "host": "host",
}


# --- the whole ----------------------------------------------------------------------------------------------------


def meaning(judgement: Judgement) -> str:
    """Return the exit code in words."""
    code = judgement.exit_code
    if code == ExitCode.PASS and judgement.level == "warning":
        return "no gate failed, but look at what does not simply pass"
    if code == ExitCode.GATE_FAILED and all(one.status != "fail" for one in judgement.comparisons):
        return f"--fail-on {','.join(sorted(judgement.fail_on - {'fail'}))}"
    return MEANINGS[code]


def verdict_line(judgement: Judgement) -> str:
    """Return how many results have which verdict, the exit code, and its meaning."""
    counts = Counter(comparison.label for comparison in judgement.comparisons)
    parts = [f"{count} {label}" for label, count in counts.items()]
    refused = len(judgement.problems)
    parts += [f"{refused} refused file{'s' if refused > 1 else ''}"] if refused else []
    return f"{', '.join(parts) or 'no results'}: exit code {int(judgement.exit_code)}, {meaning(judgement)}"


def seen_line(seen: verdicts.Seen) -> str:
    """Return what was found under the paths, and what of it is not judged."""
    older = f"{len(seen.older)} older (history: --all-runs judges it too)" if seen.older else ""
    copies, others = "copy" if seen.copies == 1 else "copies", "other file" if seen.others == 1 else "other files"
    counts = {copies: seen.copies, "of the baseline": seen.of_baseline, "refused": seen.refused, others: seen.others}
    rest = [f"{count} {what}" for what, count in counts.items() if count]
    return f"found: {', '.join(filter(None, [f'{seen.judged} judged', older, *rest]))}"


# --- one comparison -----------------------------------------------------------------------------------------------


def devices(device: str | None, world_size: int) -> str:
    """Return the device, and how many of them: ``2 x NVIDIA H100``."""
    return f"{f'{world_size} x ' if world_size > 1 else ''}{device or 'device unknown'}"


def machine(device: str | None, precision: str | None, world_size: int) -> str:
    """Return the device and how it was used: ``2 x NVIDIA H100, float16``."""
    return f"{devices(device, world_size)}, {precision or 'precision unknown'}"


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
    gates = [of_metric(v, comparison) for v in comparison.verdicts if v.status in FAILING]
    nothing = ["the reference gates no metric: its figures are for orientation"]
    return blocking or gates or (nothing if comparison.status == "not comparable" else [])


def comparison_warnings(comparison: Comparison) -> list[str]:
    """Return a sentence for all that a person should look at though it passes."""
    slowed = [hindrance(one, alone=len(comparison.runs) == 1) for one in comparison.hindrances]
    return [*(of_metric(verdict, comparison) for verdict in comparison.warned), *slowed]


def hindrance(one: verdicts.Hindrance, alone: bool) -> str:
    """Return what slowed the devices of a run down."""
    throttled = ", ".join(f"{reason} for {seconds:.0f} s" for reason, seconds in one.throttled.items() if seconds)
    parts = [f"the device was slowed down ({throttled}, of {one.seconds:.0f} s)"] if throttled else []
    parts += ["another process was on the device"] if one.shared else []
    return ("" if alone else f"{one.run}: ") + " and ".join(parts)


def sentence(difference: verdicts.Difference, against: verdicts.Kind) -> str:
    """Return what differs, in words."""
    return f"{difference.path} is {difference.ours}, the {against} has {difference.theirs}"


def changes(comparison: Comparison) -> list[str]:
    """Return what changed since the baseline though it counts for nothing: commit, torch, driver, host first."""
    if kind_of(comparison) != "baseline":
        return []
    free = {one.path: one for one in comparison.differences if one.blocks == "nothing"}
    texts = [_change(free[path], CHANGES.get(path)) for path in (*(p for p in CHANGES if p in free), *free)]
    texts = list(dict.fromkeys(texts))
    more = len(texts) - MOST_CHANGES
    return [*texts[:MOST_CHANGES], *([f"{more} more (--format json has all)"] if more > 0 else [])]


def _change(difference: verdicts.Difference, name: str | None) -> str:
    if difference.path == "clipbench.dirty":
        here, there = (side == "true" for side in (difference.ours, difference.theirs))
        return f"uncommitted changes {'on both sides' if here and there else 'here' if here else 'in the baseline'}"
    name = name or difference.path.removeprefix("environment.").removeprefix("packages.")
    return f"{name} {difference.theirs} to {difference.ours}"


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


# --- one metric ---------------------------------------------------------------------------------------------------


def of_metric(verdict: Verdict, comparison: Comparison) -> str:
    """Return the sentence about a metric that is no plain pass."""
    return f"{metric_words(verdict.metric)} {reason(verdict, comparison)}"


def reason(verdict: Verdict, comparison: Comparison) -> str | None:
    """Return why the verdict is not a plain pass, to be read after the metric's name; None for one that is."""
    cause, kind = verdict.cause, kind_of(comparison)
    if cause is None:
        return None
    template = REASONS_WITH_NOTE.get(cause) if verdict.note else None
    timing = verdict.evidence if isinstance(verdict.evidence, verdicts.TimingTest) else None
    return (template or REASONS[cause]).format(
        ended=_ended(comparison),
        unmatched=_unmatched(comparison.unmatched) if comparison.unmatched else "there is nothing to compare it with",
        kind=kind,
        note=verdict.note,
        differences="; ".join(sentence(difference, kind) for difference in verdict.differences),
        moved=moved(verdict, kind),
        limit=size(verdict, verdict.limit),
        error=f"+/- {size(verdict, verdict.error)}",
        median=f"{100 * timing.median_gain:+.1f} %" if timing else "an unknown share",
        advice=advice(verdict, comparison),
    )


def of_numerics(verdict: Verdict, comparison: Comparison) -> str:
    """Return the sentence about a figure of a check of numerics, also about one that passes."""
    if verdict.cause is not None:
        return of_metric(verdict, comparison)
    return of_metric(replace(verdict, cause=Cause.TOLERANCE), comparison)


def moved(verdict: Verdict, kind: verdicts.Kind) -> str:
    """Return how the value differs from what it is compared with: values first."""
    if isinstance(verdict.evidence, verdicts.CurveMatch):
        where = f" on {_seeds_of(verdict.evidence)}" if verdict.evidence.seeds else ""
        return f"is {100 * verdict.evidence.relative:.1f} % off the {kind}'s on average{where}"
    if isinstance(verdict.evidence, verdicts.NumericsSteps):
        steps, trusted = verdict.evidence.steps, verdict.evidence.trusted
        beside = f"of its first after {steps} steps" if trusted is None else f"in {steps} steps beside {trusted}"
        return f"is {size(verdict, verdict.value)} {beside}"
    value, reference = amount(verdict.value, verdict.unit), amount(verdict.reference, verdict.unit)
    difference = verdict.difference or 0.0
    if kind == "reference":
        side = "below" if difference < 0 else "above"
        gap = size(verdict, difference) if verdict.unit == "percent" else plain_figure(abs(difference), verdict.unit)
        return f"is {value}, {gap} {side} the reference's {plain_figure(verdict.reference, verdict.unit)}"
    if value == reference:
        return f"is {value} on both sides"
    share = f", by {size(verdict, difference)}" if isinstance(verdict.evidence, verdicts.TimingTest) else ""
    verb = "fell" if difference < 0 else "rose"
    return f"{verb} from {plain_figure(verdict.reference, verdict.unit)} to {value}{share}"


def advice(verdict: Verdict, comparison: Comparison) -> str:
    """Return how many runs would decide, and how many more that is."""
    if verdict.runs_needed is None:
        return "up to 50 runs would hardly decide: measure where less disturbs it, or let only more count"
    theirs = len(comparison.against.runs) if comparison.against else 0
    there, word = (len(comparison.runs), theirs), "runs"
    if isinstance(verdict.evidence, verdicts.Bootstrap):
        there, word = verdict.evidence.seeds, "seeds"
    more = zip((max(0, verdict.runs_needed - count) for count in there), ("here", "in the baseline"), strict=True)
    parts = [f"{count} more {side}" for count, side in more if count]
    return f"{verdict.runs_needed} {word} on each side are likely to decide: {' and '.join(parts) or 'as there are'}"


def detail(verdict: Verdict) -> str | None:
    """Return how the verdict was decided, where that is not the tolerance alone."""
    match verdict.evidence:
        case verdicts.Bootstrap() as bootstrap:
            way = "paired" if bootstrap.paired else "unpaired"
            return f"{_sure(verdict)}{way} bootstrap over {bootstrap.images} images; {_seeds(bootstrap)}"
        case verdicts.TimingTest() as timing:
            spread = f", with the spread of {timing.runs[0]} and {timing.runs[1]} runs" if timing.runs else ""
            return f"{_sure(verdict)}{TIMING_TESTS[timing.test].format(*timing.samples)}{spread}"
        case verdicts.CurveMatch() as match:
            seeds = f"; {_seeds_of(match)}" if match.seeds else ""
            return (
                f"mean relative error {100 * match.relative:.2f} % (up to {100 * match.relative_limit:.4g} % passes), "
                f"mean absolute error {match.absolute:.2g} (up to {match.absolute_limit:g} passes){seeds}"
            )
    return None


def details(comparison: Comparison) -> list[str]:
    """Return how every verdict was decided, where that is not the tolerance alone."""
    return [f"{metric_words(one.metric)}: {text}" for one in comparison.verdicts if (text := detail(one))]


def size(verdict: Verdict, how_large: float | None) -> str:
    """Return how large a difference is: points of percent, a share of throughput, else in the metric's unit."""
    if isinstance(verdict.evidence, verdicts.TimingTest):
        return f"{100 * abs(how_large or 0.0) / (verdict.reference or 1.0):.3g} %"
    if isinstance(verdict.evidence, verdicts.CurveMatch):
        return f"{how_large or 0.0:.4g} %"
    if isinstance(verdict.evidence, verdicts.NumericsSteps):
        return f"{how_large or 0.0:.4g} %" if verdict.unit == "percent" else f"{how_large or 0.0:.2g}"
    if verdict.unit == "percent":
        text = f"{abs(how_large or 0.0):.3g}"  # a difference of percents
        return f"{text} point{'s' if text != '1' else ''}"
    return amount(abs(how_large or 0.0), verdict.unit)


def _sure(verdict: Verdict) -> str:
    """Return how sure a difference is, with a separator behind it."""
    known = []
    if verdict.p_value is not None:
        known.append(f"p {verdict.p_value:.2g}" if verdict.p_value >= 0.0005 else "p < 0.0005")
    if verdict.error is not None:
        known.append(f"95 % interval +/- {size(verdict, verdict.error)}")
    return f"{', '.join(known)}; " if known else ""


def _seeds(bootstrap: verdicts.Bootstrap) -> str:
    ours, theirs = bootstrap.seeds
    if not bootstrap.same_seeds:
        return f"{ours} seed{'s' if ours > 1 else ''} against {theirs} others"
    return f"{ours} seeds, each on both sides" if ours > 1 else "one seed on both sides"


def _seeds_of(match: verdicts.CurveMatch) -> str:
    several = len(match.seeds) > 1
    return f"the seed{'s' if several else ''} {', '.join(map(str, match.seeds))} that both sides have"

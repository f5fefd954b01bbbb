"""Results held against earlier runs: recalls over the same queries, throughput window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from clipbench.compare.against_reference import Terms, comparison_of, curve_verdict, failed_case, ordered
from clipbench.compare.comparability import SPEED_METRICS, bad_images, find_differences
from clipbench.compare.convergence import loss_curve, match_curves, mean_curve, quality_metrics
from clipbench.compare.significance import (
    Effect,
    Thresholds,
    pairs_per_second,
    recall_effects,
    seconds_per_pair,
    speed_effect,
)
from clipbench.compare.verdicts import Against, Comparison, Verdict, VerdictStatus
from clipbench.results.baselines import Baseline, find_baseline, group_results
from clipbench.results.metrics import RECALL_NAMES, UNITS_AND_DIRECTIONS
from clipbench.results.references import finite_number
from clipbench.results.result import Result


def compare_with_baselines(
    results: Iterable[Result],
    baselines: Sequence[Baseline],
    terms: Terms,
    thresholds: Thresholds,
    target_of: Callable[[Result], float | None],
) -> list[Comparison]:
    """One comparison for each case that completed, its repeats and seeds pooled, and one for each that did not.

    ``target_of`` gives the recall mean that the time to quality is taken to.
    """
    results = list(results)
    made = [failed_case(result) for result in results if result["status"] != "completed"]
    for group in group_results((result for result in results if result["status"] == "completed"), state=True):
        baseline, why = find_baseline(group[0], baselines)
        if baseline is None:
            shown = [_unjudged(name, group, why or "") for name in _names(group)]
            made.append(comparison_of(group, None, shown, why, wanted="baseline"))
        else:
            target = terms.target if terms.target is not None else target_of(group[0])
            made.append(compare_group(group, baseline, terms, thresholds, target))
    return made


def compare_group(
    results: Sequence[Result], baseline: Baseline, terms: Terms, thresholds: Thresholds, target: float | None = None
) -> Comparison:
    """Hold repeats and seeds of one case against a baseline."""
    differences = find_differences(results[0], baseline.results[0], terms.allow)
    refused = [why for result in (*results, *baseline.results) if (why := bad_images(result))]
    refused += [d.sentence("baseline") for d in differences if d.blocks == "all" and not d.allowed]
    slow = "; ".join(d.sentence("baseline") for d in differences if d.blocks == "speed" and not d.allowed)
    if refused:
        verdicts = [_unjudged(name, results, "conditions differ", "not comparable") for name in _names(results)]
    else:
        verdicts = _verdicts(results, baseline.results, thresholds, target, slow or None)
    source = baseline.reason or "named on the command line"
    against = Against("baseline", baseline.name, source, baseline.adopted, baseline.device, baseline.runs)
    return comparison_of(results, against, verdicts, refused=refused, differences=differences)


def _verdicts(
    ours: Sequence[Result],
    theirs: Sequence[Result],
    thresholds: Thresholds,
    target: float | None,
    slow: str | None,
) -> list[Verdict]:
    found = _recall_verdicts(ours, theirs, thresholds)
    found["samples_per_second"] = _speed_verdict(ours, theirs, thresholds, slow)
    if target is not None:
        found |= _quality_verdicts(ours, theirs, target, slow)
    found["loss_curve"] = _curve(ours, theirs)
    for name in _names([*ours, *theirs]):
        found.setdefault(name, _plain(name, ours, theirs))
    return [found[name] for name in ordered(found)]


# --- recall -------------------------------------------------------------------------------------------------------


def _recall_verdicts(ours: Sequence[Result], theirs: Sequence[Result], thresholds: Thresholds) -> dict[str, Verdict]:
    effects, detail = recall_effects(ours, theirs, thresholds)
    return {name: _recall_verdict(name, ours, theirs, effects.get(name), thresholds, detail) for name in RECALL_NAMES}


def _recall_verdict(
    name: str,
    ours: Sequence[Result],
    theirs: Sequence[Result],
    effect: Effect | None,
    thresholds: Thresholds,
    detail: str | None,
) -> Verdict:
    value, reference = _mean(name, ours), _mean(name, theirs)
    if value is None or reference is None:
        return _without_value(name, ours, value, reference)
    least = thresholds.of_recall(name).least
    if effect is None:
        reason = "the ranks of its queries are not stored, or do not give the recall that is"
        return _verdict(name, "inconclusive", value, reference, least, reason)
    status, why = effect.judge()
    said = f"{_apart(name, value - reference, reference)} ({_sure(effect)})"
    if status == "pass":
        return _verdict(name, status, value, reference, least, None, effect.error, detail)
    reason = f"{said}{_verdict_words(status, why, f'{least:g}')}"
    return _verdict(name, status, value, reference, least, reason, effect.error, detail)


# --- speed --------------------------------------------------------------------------------------------------------


def _speed_verdict(
    ours: Sequence[Result], theirs: Sequence[Result], thresholds: Thresholds, slow: str | None
) -> Verdict:
    name = "samples_per_second"
    sides = [[seconds_per_pair(result) for result in side] for side in (ours, theirs)]
    # What a result states as null has no timing to be trusted, whatever windows it stores.
    rates = [
        pairs_per_second(runs) if all(runs) and _mean(name, side) is not None else None
        for runs, side in zip(sides, (ours, theirs), strict=True)
    ]
    value, reference = rates
    if slow is not None:
        return _verdict(name, "not comparable", value, reference, None, slow)
    if value is None or reference is None:
        return _without_value(name, ours, value, reference)
    effect, detail = speed_effect(sides[0], sides[1], value / reference - 1, thresholds.of_speed())
    status, why = effect.judge()
    error = effect.error * reference
    least = thresholds.speed * reference
    said = f"{abs(effect.gain):.1%} {'slower' if effect.gain < 0 else 'faster'} than the baseline"
    if status == "pass":
        return _verdict(name, status, value, reference, least, None, error, detail)
    chance = f"p {_chance(effect)}, error {effect.error:.1%}"
    reason = f"{said} ({chance}){_verdict_words(status, why, f'{100 * thresholds.speed:g}%')}"
    return _verdict(name, status, value, reference, least, reason, error, detail)


# --- the rest -----------------------------------------------------------------------------------------------------


def _quality_verdicts(
    ours: Sequence[Result], theirs: Sequence[Result], target: float, slow: str | None
) -> dict[str, Verdict]:
    """Time to quality: shown, but missing, which fails, where the baseline reached the target and a result did not."""
    sides = [[quality_metrics(result, target) for result in side] for side in (ours, theirs)]
    made: dict[str, Verdict] = {}
    for name in ("seconds_to_quality", "epochs_to_quality"):
        values = [[run[name]["value"] for run in side] for side in sides]
        value, reference = (sum(side) / len(side) if None not in side else None for side in values)
        why = next((run[name]["reason"] for side in sides for run in side if "reason" in run[name]), None)
        if name in SPEED_METRICS and slow is not None:
            made[name] = _verdict(name, "not comparable", value, reference, None, slow)
        elif value is None and reference is not None:
            made[name] = _verdict(name, "missing", None, reference, None, f"missing ({why})")
        else:
            made[name] = _verdict(name, "ungated", value, reference, None, why or f"to {target:g}; shown, not gated")
    return made


def _curve(ours: Sequence[Result], theirs: Sequence[Result]) -> Verdict:
    """The match with the baseline's own curve; with other seeds, which see other batches, it gates nothing."""
    curves = [mean_curve([loss_curve(result) for result in side]) for side in (ours, theirs)]
    verdict = curve_verdict(match_curves(*curves))
    if not curves[1] or None in curves[1]:
        why = "the baseline has no loss curve"
    elif {result["seed"] for result in ours} != {result["seed"] for result in theirs}:
        why = "another seed: shown, not gated"
    else:
        return verdict
    return Verdict(verdict.metric, "ungated", verdict.unit, verdict.direction, verdict.value, reason=why)


def _plain(name: str, ours: Sequence[Result], theirs: Sequence[Result]) -> Verdict:
    return _verdict(name, "ungated", _mean(name, ours), _mean(name, theirs), None, "shown, not gated")


def _without_value(name: str, ours: Sequence[Result], value: float | None, reference: float | None) -> Verdict:
    if reference is None:
        return _verdict(name, "ungated", value, None, None, "the baseline has no such figure")
    why = next((r for r in (_reason(name, result) for result in ours) if r), "a result has no such metric")
    return _verdict(name, "missing", None, reference, None, f"missing ({why})")


def _unjudged(name: str, results: Sequence[Result], reason: str, status: VerdictStatus = "ungated") -> Verdict:
    return _verdict(name, status, _mean(name, results), None, None, reason)


def _verdict(
    name: str,
    status: VerdictStatus,
    value: float | None,
    reference: float | None,
    tolerance: float | None,
    reason: str | None,
    error: float | None = None,
    detail: str | None = None,
) -> Verdict:
    unit, direction = UNITS_AND_DIRECTIONS.get(name, ("", "higher"))
    known = value is not None and reference is not None and status != "not comparable"
    difference = value - reference if known and value is not None and reference is not None else None
    figures = (value, reference, difference, tolerance, reason, error)
    return Verdict(name, status, unit, direction, *figures, detail=detail)


def _names(results: Sequence[Result]) -> list[str]:
    return ordered({name for result in results for name in (result["metrics"]["last"] or {"values": {}})["values"]})


def _metric(name: str, result: Result) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (result["metrics"]["last"] or {"values": {}})["values"].get(name, {})
    return found


def _mean(name: str, results: Sequence[Result]) -> float | None:
    """Over all results; None where any has no finite value."""
    values = [finite_number(_metric(name, result).get("value")) for result in results]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _reason(name: str, result: Result) -> str | None:
    data = _metric(name, result)
    return None if finite_number(data.get("value")) is not None else str(data.get("reason", "it has no such metric"))


def _apart(name: str, difference: float, reference: float) -> str:
    return f"{abs(difference):.3g} {'below' if difference < 0 else 'above'} the baseline's {reference:.6g}"


def _verdict_words(status: VerdictStatus, why: str | None, least: str) -> str:
    if why:
        return f": {why}"
    return f"; up to {least} passes" if status == "fail" else "; check it, or adopt it as the baseline"


def _sure(effect: Effect) -> str:
    return f"p {_chance(effect)}, error {effect.error:.2g}"


def _chance(effect: Effect) -> str:
    return f"{effect.chance:.2g}" if effect.chance >= 0.0005 else "< 0.0005"

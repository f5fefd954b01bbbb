"""Results held against published figures: a verdict for each metric, a status for each result."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clipbench.compare.comparability import bad_images, condition_difference
from clipbench.compare.convergence import MEAN_RELATIVE_ERROR, CurveMatch, loss_curve, match_curves, quality_metrics
from clipbench.compare.verdicts import Against, Comparison, Difference, Verdict, VerdictStatus, overall
from clipbench.results.metrics import RECALL_NAMES, UNITS_AND_DIRECTIONS
from clipbench.results.references import ABSENT, Conditions, Reference, ReferenceMetric, finite_number, value_at
from clipbench.results.result import Result

# Vendor's rule, in percent: how far the mean relative error of a loss curve may be from none.
CURVE = ReferenceMetric(0.0, "percent", "lower", 100 * MEAN_RELATIVE_ERROR)


@dataclass(frozen=True)
class Terms:
    """What all comparisons of a call share: differences let through, and a target in place of the reference's."""

    allow: frozenset[str] = frozenset()
    target: float | None = None


def compare_result(
    result: Result, reference: Reference | None, reason: str | None = None, terms: Terms | None = None
) -> Comparison:
    """Hold a result against a reference; ``reason`` says why there is none.

    Metrics are those of the last evaluated epoch, the time to the reference's target, and the match of its loss
    curve. A result that meets the reference's conditions fails when any gated metric fails or is missing, and is not
    comparable when no gated metric can be compared.
    """
    terms = terms or Terms()
    if result["status"] != "completed":
        return failed_case(result)
    if reference is None:
        why = reason or "no reference was given"
        return comparison_of([result], None, [_shown(name, data, why) for name, data in _metrics(result)], why)
    differences = _unmet(reference.conditions, result, terms.allow)
    refused = [*_left_out(result), *(d.sentence("reference") for d in differences if not d.allowed)]
    verdicts = _verdicts(result, reference, terms, bool(refused))
    against = Against("reference", reference.name, reference.source, reference.date, reference.device)
    return comparison_of([result], against, verdicts, refused=refused, differences=differences)


def failed_case(result: Result) -> Comparison:
    """A case that failed or was interrupted never passes, whatever it had reached."""
    ended = "was interrupted" if result["status"] == "interrupted" else result["status"]
    first = next(iter(str(result["error"]["message"]).splitlines()), result["error"]["type"])
    verdicts = [_shown(name, data, f"the case {ended}") for name, data in _metrics(result)]
    return comparison_of([result], None, verdicts, failed=f"the case {ended}: {first}")


def comparison_of(
    results: Sequence[Result],
    against: Against | None,
    verdicts: Sequence[Verdict],
    nothing: str | None = None,
    *,
    failed: str | None = None,
    refused: Sequence[str] = (),
    differences: Sequence[Difference] = (),
    wanted: str = "reference",
) -> Comparison:
    """Verdicts as a Comparison: its status, and a sentence for whatever keeps it from passing or is worth a look.

    ``nothing`` says why there is nothing to hold against, ``failed`` how the case ended, ``refused`` what differs.
    """
    status = (
        "failed case" if failed else f"no {wanted}" if nothing else "not comparable" if refused else overall(verdicts)
    )
    reasons = [why for why in (failed, nothing, *refused) if why]
    if not reasons:
        said = ("fail", "missing", "not comparable")
        reasons = [f"{v.metric}: {v.reason}" for v in verdicts if v.status in said]
        if status == "not comparable" and not reasons:
            reasons = ["the reference gates no metric: its figures are for orientation"]
    first = results[0]
    return Comparison(
        runs=tuple(result["run_id"] for result in results),
        suite=first["suite"],
        case=first["case"],
        device=_found(first, "environment.device.name"),
        precision=_found(first, "environment.device.precision"),
        ranks=_found(first, "config.ranks"),
        epoch=(first["metrics"]["last"] or {}).get("epoch"),
        against=against,
        status=status,  # type: ignore[arg-type]
        verdicts=tuple(verdicts),
        reasons=tuple(reasons),
        warnings=tuple(f"{v.metric}: {v.reason}" for v in verdicts if v.level() == "warning"),
        differences=tuple(differences),
    )


def compare_all(
    results: Iterable[Result], references: Mapping[str, Reference], name: str | None = None, terms: Terms | None = None
) -> list[Comparison]:
    """Every result against the reference called ``name``, else against the one that it names itself."""
    return [compare_result(result, *find_reference(result, references, name), terms) for result in results]


def find_reference(
    result: Result, references: Mapping[str, Reference], name: str | None = None
) -> tuple[Reference | None, str | None]:
    """The reference called ``name``, else the one that the result itself names; or None, and why there is none."""
    wanted = name or result["reference"]
    if wanted is None:
        return None, "the suite names no reference"
    if wanted in references:
        return references[wanted], None
    near = difflib.get_close_matches(wanted, references, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(references)) or 'none'}"
    return None, f"the reference '{wanted}' was not found; {hint}"


# --- one metric ---------------------------------------------------------------------------------------------------


def is_within(value: float, published: ReferenceMetric) -> bool:
    """Whether ``value`` is no more than the tolerance worse than the reference; better, by any amount, is within.

    Exactly the tolerance worse is within too, whatever binary rounding makes of decimal figures.
    """
    if not math.isfinite(value) or published.tolerance is None:
        return False
    return not _beyond(_worse(value, published), published.tolerance)


def ordered(names: Iterable[str]) -> list[str]:
    """Names of metrics in the order in which they are shown, unknown ones last."""
    given = set(names)
    return [name for name in UNITS_AND_DIRECTIONS if name in given] + sorted(given - set(UNITS_AND_DIRECTIONS))


def _verdicts(result: Result, reference: Reference, terms: Terms, refused: bool) -> list[Verdict]:
    """One verdict for each metric of the result or the reference; ``refused`` rules all comparing out."""
    values = dict(_metrics(result))
    target = terms.target if terms.target is not None else reference.target
    if target is not None:
        values |= quality_metrics(result, target)
    errors = {} if refused or not set(reference.metrics) & set(RECALL_NAMES) else sampling_errors(result)
    verdicts = []
    for name in ordered({*values, *reference.metrics}):
        if name in reference.metrics:
            verdicts.append(_verdict(result, name, values.get(name), reference, terms, refused, errors.get(name)))
        else:
            verdicts.append(_shown(name, values[name], "the reference has no such figure", errors.get(name)))
    if reference.loss_curve:
        match = match_curves(loss_curve(result), reference.loss_curve)
        verdicts.append(curve_verdict(match, "the reference's conditions are not met" if refused else None))
    return verdicts


def _verdict(
    result: Result,
    name: str,
    data: Mapping[str, Any] | None,
    reference: Reference,
    terms: Terms,
    refused: bool,
    error: float | None,
) -> Verdict:
    published = reference.metrics[name]
    value = finite_number(data["value"]) if data else None

    def verdict(status: VerdictStatus, reason: str | None, compared: bool = True, warning: bool = False) -> Verdict:
        difference = finite_number(value - published.value) if compared and value is not None else None
        unit, direction, tolerance = published.unit, published.direction, published.tolerance
        given = (value, published.value, difference, tolerance, reason, error if compared else None, warning)
        return Verdict(name, status, unit, direction, *given)

    unmet = [d for d in _unmet(published.conditions, result, terms.allow) if not d.allowed]
    differences = ["the reference's conditions are not met"] if refused else [d.sentence("reference") for d in unmet]
    differences += [] if refused else _mismatches(data, published)
    if differences:
        return verdict("not comparable", "; ".join(differences), compared=False)
    if published.tolerance is None:
        return verdict("ungated", "shown, not gated")
    if data is None:
        return verdict("missing", "missing (the result has no such metric)")
    if value is None:
        return verdict("missing", f"missing ({data.get('reason') or 'not a finite number'})")
    return verdict(*_judged(value, published, error))


def _judged(value: float, published: ReferenceMetric, error: float | None) -> tuple[Any, ...]:
    """Status, reason, whether it was compared, and whether it warns; for a gated metric with a value."""
    worse, tolerance = _worse(value, published), published.tolerance or 0.0
    above = (worse > 0) == (published.direction == "lower")
    far = f"{abs(worse):.4g} {'above' if above else 'below'} the reference's {published.value:.6g}"
    said = f"{value:.6g} is {far}" + (f" (sampling error {error:.2g})" if error else "")
    if _beyond(worse, tolerance):
        return "fail", f"{said}; up to {tolerance:.4g} passes"
    if published.warn is not None and _beyond(worse, published.warn):
        return "pass", f"{said}; more than {published.warn:.4g} warns", True, True
    good = tolerance if published.better is None else published.better
    if _beyond(-worse, good):
        return "better", f"{said}: better by more than {good:.4g}; check it, or adopt it as a baseline"
    return "pass", None


def curve_verdict(match: CurveMatch | str, why_not: str | None = None) -> Verdict:
    """The match of a loss curve, as a verdict: its value is the mean relative error in percent."""
    if why_not is not None:
        return Verdict("loss_curve", "not comparable", CURVE.unit, CURVE.direction, None, reason=why_not)
    if isinstance(match, str):
        reason = f"missing ({match})"
        return Verdict("loss_curve", "missing", CURVE.unit, CURVE.direction, None, 0.0, reason=reason)
    error = 100 * match.relative
    status: VerdictStatus = "pass" if match.matches else "fail"
    figures = (error, 0.0, error, CURVE.tolerance, None if match.matches else str(match))
    return Verdict("loss_curve", status, CURVE.unit, CURVE.direction, *figures, detail=str(match))


def sampling_errors(result: Result) -> dict[str, float]:
    """Half the width of the 95 % interval of every recall, from the ranks of the last evaluation; {} without them."""
    from clipbench.compare.bootstrap import hits_of, recall_errors

    last, ranks = result["metrics"]["last"], result["ranks"]
    if last is None or ranks is None or ranks["epoch"] != last["epoch"]:
        return {}
    hits = hits_of(ranks)
    return recall_errors(hits) if hits else {}


def _metrics(result: Result) -> list[tuple[str, Mapping[str, Any]]]:
    values = (result["metrics"]["last"] or {"values": {}})["values"]
    return [(name, values[name]) for name in ordered(values)]


def _shown(name: str, data: Mapping[str, Any], reason: str, error: float | None = None) -> Verdict:
    """A metric that nothing is held against."""
    return Verdict(
        name, "ungated", data["unit"], data["direction"], finite_number(data["value"]), reason=reason, error=error
    )


def _unmet(conditions: Conditions, result: Result, allow: Collection[str]) -> list[Difference]:
    return [condition_difference(*unmet, allow) for unmet in conditions.unmet(result)]


def _left_out(result: Result) -> list[str]:
    why = bad_images(result)
    return [why] if why else []


def _worse(value: float, published: ReferenceMetric) -> float:
    return published.value - value if published.direction == "higher" else value - published.value


def _beyond(distance: float, limit: float) -> bool:
    return distance > limit and not math.isclose(distance, limit, rel_tol=1e-9)


def _mismatches(data: Mapping[str, Any] | None, published: ReferenceMetric) -> list[str]:
    return [
        f"its {key} is {data[key]}, the reference has {getattr(published, key)}"
        for key in ("unit", "direction")
        if data is not None and data[key] != getattr(published, key)
    ]


def _found(result: Result, path: str) -> Any:  # noqa: ANN401
    value = value_at(result, path)
    return None if value is ABSENT else value

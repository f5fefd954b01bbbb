"""Judge a check of numerics: a gate of its own, which needs no reference."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from clipbench.api import Metric, Result, value_at
from clipbench.api.result import FirstSteps
from clipbench.compare.verdicts import Cause, Comparison, NumericsSteps, Verdict, overall, worst
from clipbench.results.measures.metrics import UNITS_AND_DIRECTIONS
from clipbench.results.measures.numerics import fixed_batch_loss, float32_error

METRICS = LOSS, ERROR = "fixed_batch_loss", "float32_error"
NOT_NEEDED = "not needed: the device is the one that others are checked by"


def with_numerics(comparison: Comparison, results: Sequence[Result]) -> Comparison:
    """Return ``comparison`` with the verdicts on its runs' checks of numerics, where the suite asks for them.

    Where the suite names no reference, they decide alone.
    """
    verdicts = numerics_verdicts(results)
    if not verdicts or comparison.failure:
        return comparison
    unmatched, own = comparison.unmatched, overall(verdicts)
    alone = unmatched is not None and unmatched.kind == "reference" and unmatched.name is None
    return replace(
        comparison,
        verdicts=(*comparison.verdicts, *verdicts),
        unmatched=None if alone else unmatched,
        status=own if alone else worst((comparison.status, own)),
    )


def numerics_verdicts(results: Sequence[Result]) -> tuple[Verdict, ...]:
    """Return a verdict on each part of the checks that the suite asked for; of several runs the worst."""
    worst_of: dict[str, Verdict] = {}
    for verdict in (verdict for result in results for verdict in _of_run(result)):
        worst_of[verdict.metric] = max(worst_of.get(verdict.metric, verdict), verdict, key=_badness)
    return tuple(worst_of.values())


def _badness(verdict: Verdict) -> tuple[bool, float]:
    return verdict.status == "missing", verdict.value or 0.0


def _of_run(result: Result) -> Iterator[Verdict]:
    numerics = result.numerics
    if numerics is None and value_at(result, "config.numerics") is not None:
        for name in METRICS:
            yield _missing(name, "the result has no check of numerics, though its suite asks for one")
    if numerics is None:
        return
    most = 100 * (1 - numerics.asked.least_fall)
    yield _judged(LOSS, fixed_batch_loss(numerics), NumericsSteps(_count(numerics.fixed_batch), most))
    taken = NumericsSteps(_count(numerics.float32), numerics.asked.largest_error, numerics.trusted_device)
    if numerics.is_trusted:
        yield replace(_missing(ERROR, NOT_NEEDED), cause=Cause.NO_LIMIT, evidence=taken)
    elif numerics.asked.float32_steps:
        yield _judged(ERROR, float32_error(numerics), taken)


def _count(steps: FirstSteps | None) -> int:
    return len(steps.losses) if steps else 0


def _judged(name: str, found: Metric, taken: NumericsSteps) -> Verdict:
    """Return the verdict on a figure that passes up to ``taken.most``."""
    if found.value is None:
        return replace(_missing(name, found.reason or "not measured"), evidence=taken)
    cause = Cause.TOLERANCE if found.value > taken.most else None
    return Verdict(name, found.unit, found.direction, found.value, cause=cause, limit=taken.most, evidence=taken)


def _missing(name: str, why: str) -> Verdict:
    return Verdict(name, *UNITS_AND_DIRECTIONS[name], None, cause=Cause.NO_VALUE, note=why)

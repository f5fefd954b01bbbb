"""Results held against references: a verdict for each metric, one for each result, one exit code for all."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clipbench.errors import ExitCode, InvalidFileError, UsageError
from clipbench.metrics import UNITS_AND_DIRECTIONS
from clipbench.references import (
    ABSENT,
    Reference,
    ReferenceMetric,
    add_reference,
    finite_number,
    parse_reference,
    value_at,
)
from clipbench.result import KIND, Result, read_document

VerdictStatus = Literal["pass", "fail", "missing", "not comparable", "ungated"]
ComparisonStatus = Literal["pass", "fail", "not comparable", "no reference", "failed case"]

GATED = ("pass", "fail", "missing")

MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.PASS: "every result passes",
    ExitCode.GATE_FAILED: "a gate failed",
    ExitCode.NOT_COMPARABLE: "something could not be compared, or a file was refused",
    ExitCode.CASE_FAILED: "a case failed, or there is no result",
}


@dataclass(frozen=True)
class Verdict:
    """One metric of one result.

    ``difference`` is value minus reference; ``tolerance`` is how much worse still passes; both in ``unit``.
    ``reason`` says why for every status but ``pass``.
    """

    metric: str
    status: VerdictStatus
    unit: str
    direction: str
    value: float | None
    reference: float | None = None
    difference: float | None = None
    tolerance: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Comparison:
    """One result against its reference. ``reasons`` has a sentence for all that keeps it from passing."""

    run_id: str
    suite: str
    case: str
    device: str | None
    precision: str | None
    ranks: int | None
    epoch: int | None
    reference: Reference | None
    status: ComparisonStatus
    verdicts: tuple[Verdict, ...]
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data = dict(vars(self))
        data["verdicts"] = [vars(verdict) for verdict in self.verdicts]
        data["reasons"] = list(self.reasons)
        if self.reference:
            data["reference"] = {key: getattr(self.reference, key) for key in ("name", "source", "date", "device")}
        return data


# --- one result ---------------------------------------------------------------------------------------------------


def compare_result(result: Result, reference: Reference | None, reason: str | None = None) -> Comparison:
    """Hold a result against a reference; ``reason`` says why there is none.

    Metrics are those of the last evaluated epoch. A result that meets the reference's conditions fails when any
    gated metric fails or is missing, passes when at least one passes, and is not comparable without one.
    """
    status: ComparisonStatus
    last = result["metrics"]["last"] or {"epoch": None, "values": {}}
    why: str | None
    if result["status"] != "completed":
        status, why = "failed case", f"the case {_ended(result['status'])}"
        reasons = [f"{why}: {_first_line(result['error'])}"]
    elif reference is None:
        status, why = "no reference", reason or "no reference was given"
        reasons = [why]
    else:
        reasons = reference.conditions.differences(result)
        status, why = "not comparable", "the reference's conditions are not met" if reasons else None
    verdicts = _verdicts(result, last["values"], reference, why)
    if why is None:
        status = _overall(verdicts)
        reasons = [f"{v.metric}: {v.reason}" for v in verdicts if v.status in ("fail", "missing", "not comparable")]
        if status == "not comparable" and not reasons:
            reasons = ["the reference gates no metric: its figures are for orientation"]
    return Comparison(
        run_id=result["run_id"],
        suite=result["suite"],
        case=result["case"],
        device=_found(result, "environment.device.name"),
        precision=_found(result, "environment.device.precision"),
        ranks=_found(result, "config.ranks"),
        epoch=last["epoch"],
        reference=reference,
        status=status,
        verdicts=tuple(verdicts),
        reasons=tuple(reasons),
    )


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


def _verdicts(
    result: Result, values: Mapping[str, Any], reference: Reference | None, why_not: str | None
) -> list[Verdict]:
    """One verdict for each metric of the result or the reference; ``why_not`` rules all comparing out."""
    published = reference.metrics if reference else {}
    known = [name for name in UNITS_AND_DIRECTIONS if name in values or name in published]
    others = sorted({*values, *published} - set(known))
    verdicts = []
    for name in (*known, *others):
        if name in published:
            verdicts.append(_verdict(result, name, values.get(name), published[name], why_not))
        else:
            data, reason = values[name], "the reference has no such figure" if reference else why_not
            value = finite_number(data["value"])
            verdicts.append(Verdict(name, "ungated", data["unit"], data["direction"], value, reason=reason))
    return verdicts


def _verdict(
    result: Result, name: str, data: Mapping[str, Any] | None, published: ReferenceMetric, why_not: str | None
) -> Verdict:
    value = finite_number(data["value"]) if data else None

    def verdict(status: VerdictStatus, reason: str | None, difference: float | None = None) -> Verdict:
        unit, direction, tolerance = published.unit, published.direction, published.tolerance
        return Verdict(name, status, unit, direction, value, published.value, difference, tolerance, reason)

    differences = [why_not] if why_not else published.conditions.differences(result) + _mismatches(data, published)
    if differences:
        return verdict("not comparable", "; ".join(differences))
    difference = None if value is None else finite_number(value - published.value)
    if published.tolerance is None:
        return verdict("ungated", "shown, not gated", difference)
    if data is None:
        return verdict("missing", "missing (the result has no such metric)")
    if value is None:
        return verdict("missing", f"missing ({data.get('reason') or 'not a finite number'})")
    if is_within(value, published):
        return verdict("pass", None, difference)
    side = "below" if published.direction == "higher" else "above"
    reason = f"{value:.6g} is {abs(value - published.value):.4g} {side} the reference's {published.value:.6g}"
    return verdict("fail", f"{reason}; up to {published.tolerance:.4g} passes", difference)


def is_within(value: float, published: ReferenceMetric) -> bool:
    """Whether ``value`` is no more than the tolerance worse than the reference; better, by any amount, is within.

    Exactly the tolerance worse is within too, whatever binary rounding makes of decimal figures.
    """
    if not math.isfinite(value) or published.tolerance is None:
        return False
    worse = published.value - value if published.direction == "higher" else value - published.value
    return worse <= published.tolerance or math.isclose(worse, published.tolerance, rel_tol=1e-9)


def _mismatches(data: Mapping[str, Any] | None, published: ReferenceMetric) -> list[str]:
    return [
        f"its {key} is {data[key]}, the reference has {getattr(published, key)}"
        for key in ("unit", "direction")
        if data is not None and data[key] != getattr(published, key)
    ]


def _overall(verdicts: Sequence[Verdict]) -> ComparisonStatus:
    gated = [verdict.status for verdict in verdicts if verdict.status in GATED]
    if not gated:
        return "not comparable"
    return "pass" if set(gated) == {"pass"} else "fail"


def _ended(status: str) -> str:
    return "was interrupted" if status == "interrupted" else status


def _first_line(error: Mapping[str, Any]) -> str:
    return next(iter(str(error["message"]).splitlines()), error["type"])


def _found(result: Result, path: str) -> Any:  # noqa: ANN401
    value = value_at(result, path)
    return None if value is ABSENT else value


# --- many results -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Collection:
    """What was found under some paths; ``problems`` name each file that was refused, and why."""

    results: tuple[Result, ...]
    references: Mapping[str, Reference]
    problems: tuple[str, ...]


def collect(paths: Sequence[Path]) -> Collection:
    """Results and references in files and, through all their folders, in every ``*.json``.

    Hidden files and folders (such as a run's ``.work``) are left out; nothing else is skipped: what is not a valid
    result or reference is a problem. A path that does not exist is a UsageError.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder; expected results")
    results: list[Result] = []
    references: dict[str, Reference] = {}
    problems: list[str] = []
    seen: set[Path] = set()
    for file in (file for path in paths for file in _files(path, problems)):
        if file.resolve() in seen:
            continue
        seen.add(file.resolve())
        try:
            document = read_document(file)
            if document["kind"] == KIND:
                results.append(document)
            else:
                add_reference(references, parse_reference(document, file))
        except InvalidFileError as error:
            problems.append(str(error))
    return Collection(tuple(results), references, tuple(problems))


def compare_all(
    results: Sequence[Result], references: Mapping[str, Reference], name: str | None = None
) -> list[Comparison]:
    """Every result against the reference called ``name``, else against the one that it names itself."""
    return [compare_result(result, *find_reference(result, references, name)) for result in results]


def exit_code(comparisons: Sequence[Comparison], problems: Sequence[str] = ()) -> ExitCode:
    """One code for all, the first of these that applies.

    3 a file was refused; 4 there is no result, or a case failed; 1 a gate failed (a missing metric fails its gate);
    3 a result is not comparable or has no reference; 0 every result passes.
    """
    statuses = {comparison.status for comparison in comparisons}
    if problems:
        return ExitCode.NOT_COMPARABLE
    if not statuses or "failed case" in statuses:
        return ExitCode.CASE_FAILED
    if "fail" in statuses:
        return ExitCode.GATE_FAILED
    return ExitCode.PASS if statuses == {"pass"} else ExitCode.NOT_COMPARABLE


def comparison_data(comparisons: Sequence[Comparison], problems: Sequence[str] = ()) -> dict[str, Any]:
    """All of it as plain data, for ``--format json``."""
    code = exit_code(comparisons, problems)
    return {
        "kind": "clipbench.comparison",
        "schema_version": 1,
        "exit_code": int(code),
        "meaning": MEANINGS[code],
        "problems": list(problems),
        "comparisons": [comparison.to_dict() for comparison in comparisons],
    }


def _files(path: Path, problems: list[str]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return

    def refuse(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be read: {error.strerror}")

    for folder, inner, names in os.walk(path, onerror=refuse):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".json") and not name.startswith("."):
                yield Path(folder, name)

"""Adopted baselines as text and as plain data."""

from __future__ import annotations

from typing import Any

from clipbench.results.baselines import Baseline
from clipbench.results.references import finite_number

SHOWN = ("recall_mean", "text_recall@1", "image_recall@1", "samples_per_second")


def baseline_summary(baseline: Baseline) -> dict[str, Any]:
    """All but the results themselves."""
    return {
        "name": baseline.name,
        "path": str(baseline.path),
        "suite": baseline.case[0],
        "case": baseline.case[1],
        "device": baseline.device,
        "reason": baseline.reason,
        "adopted": baseline.adopted,
        "by": baseline.by,
        "runs": list(baseline.runs),
        "metrics": {name: _mean(baseline, name) for name in SHOWN},
        "history": list(baseline.history),
    }


def adopted_text(baseline: Baseline) -> str:
    """What ``baseline set`` says."""
    was = f", in place of {', '.join(baseline.history[-1]['runs'])}" if baseline.history else ""
    return (
        f"baseline {baseline.name}: {', '.join(baseline.runs)}{was}\n"
        f"commit {baseline.path}; hold against it: clipbench compare PATH... --baseline adopted"
    )


def list_text(baselines: list[Baseline]) -> str:
    """One line and a reason for each."""
    if not baselines:
        return "no baseline was adopted; adopt one with: clipbench baseline set RESULT --reason WHY"
    return "\n".join(f"{one.name}\n  {_origin(one)}\n  {one.reason}" for one in baselines)


def show_text(baseline: Baseline) -> str:
    """One baseline in full, with what it was before."""
    figures = [(name, _mean(baseline, name)) for name in SHOWN]
    lines = [baseline.name, f"  {_origin(baseline)}", f"  reason: {baseline.reason}"]
    lines += [f"  run {run}" for run in baseline.runs]
    lines += [f"  {name} {'-' if value is None else format(value, '.2f')}" for name, value in figures]
    for entry in reversed(baseline.history):
        by = f" by {entry['by']}" if entry["by"] else ""
        lines.append(f"  before, from {entry['adopted'][:10]}{by}: {', '.join(entry['runs'])} ({entry['reason']})")
    return "\n".join(lines)


def _origin(baseline: Baseline) -> str:
    by = f" by {baseline.by}" if baseline.by else ""
    runs = f", {len(baseline.runs)} runs" if len(baseline.runs) > 1 else ""
    return f"{baseline.case[1]} on {baseline.device}{runs}, adopted {(baseline.adopted or '')[:10]}{by}"


def _mean(baseline: Baseline, name: str) -> float | None:
    """Over its results; None where any has no such figure."""
    values = [
        finite_number((result["metrics"]["last"] or {"values": {}})["values"].get(name, {}).get("value"))
        for result in baseline.results
    ]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None

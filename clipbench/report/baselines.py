"""Adopted baselines as text and as plain data."""

from collections.abc import Sequence
from typing import Any

from clipbench.compare.comparing import figures_of, mean
from clipbench.report.quantity import quantity
from clipbench.results.baselines import Baseline

SHOWN = ("recall_mean", "text_recall@1", "image_recall@1", "throughput")
FIELDS = ("name", "suite", "case", "device", "reason", "adopted", "by", "path", "runs")


def baseline_summary(baseline: Baseline) -> dict[str, Any]:
    """Return all but the results themselves; metrics are means over them."""
    facts = {name: getattr(baseline, name) for name in FIELDS}
    return {**facts, "metrics": _figures(baseline), "history": baseline.history}


def adopted_text(baseline: Baseline) -> str:
    """Return what ``baseline set`` prints."""
    before = f", in place of {', '.join(baseline.history[-1]['runs'])}" if baseline.history else ""
    return (
        f"baseline {baseline.name}: {', '.join(baseline.runs)}{before}\n"
        f"commit {baseline.path}; compare with it: clipbench compare PATH... --baseline adopted"
    )


def list_text(baselines: Sequence[Baseline]) -> str:
    """Return one line and a reason for each."""
    if not baselines:
        return "no baseline was adopted; adopt one with: clipbench baseline set RESULT --reason WHY"
    return "\n".join(f"{one.name}\n  {_origin(one)}\n  {one.reason}" for one in baselines)


def show_text(baseline: Baseline) -> str:
    """Return one baseline in full, with what it was before."""
    lines = [baseline.name, f"  {_origin(baseline)}", f"  reason: {baseline.reason}"]
    lines += [f"  run {run}" for run in baseline.runs]
    lines += [f"  {name} {quantity(value)}" for name, value in _figures(baseline).items()]
    for entry in reversed(baseline.history):
        when = f"{entry['adopted'][:10]}{_by(entry['by'])}"
        lines.append(f"  before, from {when}: {', '.join(entry['runs'])} ({entry['reason']})")
    return "\n".join(lines)


def _figures(baseline: Baseline) -> dict[str, float | None]:
    runs = [figures_of(result) for result in baseline.results]
    return {name: mean(name, runs) for name in SHOWN}


def _origin(baseline: Baseline) -> str:
    runs = f", {len(baseline.runs)} runs" if len(baseline.runs) > 1 else ""
    when = f"{(baseline.adopted or '')[:10]}{_by(baseline.by)}"
    return f"{baseline.case} on {baseline.device}{runs}, adopted {when}"


def _by(name: str | None) -> str:
    return f" by {name}" if name else ""

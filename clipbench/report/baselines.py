"""Adopted baselines as text and as plain data."""

from collections.abc import Sequence
from typing import Any

from clipbench.compare.adoption import Proposal
from clipbench.compare.comparing import figures_of, mean
from clipbench.errors import GateFailedError
from clipbench.report.judgement.headline import comparison_headline, headline
from clipbench.report.judgement.wording import changes, kind_of
from clipbench.report.metric_words import metric_words
from clipbench.report.quantity import amount, plain_figure
from clipbench.results.baselines import Baseline
from clipbench.results.measures.metrics import UNITS_AND_DIRECTIONS

SHOWN = ("recall_mean", "text_recall@1", "image_recall@1", "acc1", "throughput")
FIELDS = ("name", "suite", "case", "device", "reason", "adopted", "by", "path", "runs")


def baseline_summary(baseline: Baseline) -> dict[str, Any]:
    """Return all but the results themselves; metrics are means over them."""
    facts = {name: getattr(baseline, name) for name in FIELDS}
    return {**facts, "metrics": _figures(baseline), "history": baseline.history}


def check_passes(proposal: Proposal) -> None:
    """Raise GateFailedError, with what fails and what to do, for results that fail their reference or baseline."""
    if proposal.failing:
        raise GateFailedError(
            f"{headline(proposal.failing)}\n"
            f"the baseline {proposal.baseline.name} stays as it is; where this is meant, add --force, and say why"
        )


def adopted_text(proposal: Proposal) -> str:
    """Return what ``baseline set`` prints: what was adopted, what it replaces, how the two differ, what to do next."""
    baseline, before = proposal.baseline, proposal.before
    lines = [
        f"baseline {baseline.name}: {', '.join(baseline.runs)}{f', in place of {_told(before)}' if before else ''}"
    ]
    if before:
        figures = zip(_figures(before).items(), _figures(baseline).values(), strict=True)
        lines += [f"  {_changed(name, was, now)}" for (name, was), now in figures if (was, now) != (None, None)]
        changed = next((changes(one) for one in proposal.judgement.comparisons if kind_of(one) == "baseline"), [])
        lines += [f"  changed: {', '.join(changed)}"] if changed else []
    lines += [f"  {comparison_headline(one)}" for one in proposal.judgement.comparisons if one.against]
    return "\n".join([*lines, f"commit {baseline.path}; compare with it: clipbench compare PATH... --baseline adopted"])


def _told(baseline: Baseline) -> str:
    return f"{', '.join(baseline.runs)} ({(baseline.adopted or '')[:10]}: {baseline.reason})"


def _changed(name: str, was: float | None, now: float | None) -> str:
    """Return both values of a metric, and their difference: points of percent, or a share."""
    unit, _ = UNITS_AND_DIRECTIONS[name]
    text = f"{metric_words(name)} {plain_figure(was, unit)} to {amount(now, unit)}"
    if was is None or now is None or not was:
        return text
    return f"{text} ({now - was:+.2f} points)" if unit == "percent" else f"{text} ({100 * (now / was - 1):+.1f} %)"


def list_text(baselines: Sequence[Baseline]) -> str:
    """Return one line and a reason for each."""
    if not baselines:
        return "no baseline was adopted; adopt one with: clipbench baseline set RESULT --reason WHY"
    return "\n".join(f"{one.name}\n  {_origin(one)}\n  {one.reason}" for one in baselines)


def show_text(baseline: Baseline) -> str:
    """Return one baseline in full, with what it was before."""
    lines = [baseline.name, f"  {_origin(baseline)}", f"  reason: {baseline.reason}"]
    lines += [f"  run {run}" for run in baseline.runs]
    lines += [
        f"  {metric_words(name)} {amount(value, UNITS_AND_DIRECTIONS[name][0])}"
        for name, value in _figures(baseline).items()
        if value is not None
    ]
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

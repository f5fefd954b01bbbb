"""Plans of cases, for ``clipbench show`` and ``clipbench run --dry-run``: as text and as plain data."""

import itertools
from collections.abc import Sequence
from typing import Any

from clipbench.api import Case
from clipbench.api.plain import leaves, to_plain
from clipbench.files.cache import cache_folder
from clipbench.runs.numerics import REPEATED
from clipbench.suites.loading import Suite
from clipbench.suites.plan import Plan

# Fields of a plan that JSON has as they are.
SHOWN = ("missing", "warnings", "train_images", "val_images", "steps_per_epoch", "steps")


def plan_data(suite: Suite, plans: Sequence[Plan]) -> dict[str, Any]:
    """Return what ``clipbench show --format json`` prints."""
    cases = [
        {
            "case": plan.case.name,
            "config": plan.case,
            "config_sha256": plan.case.sha256(),
            "data_root": plan.root,
            "cache": cache_folder(),
            "looked_for": plan.looked_for,
            "found": {
                "vocabulary": plan.vocabulary.is_file(),
                "weights": plan.weights,
                "text_weights": plan.text_weights,
            },
            **{name: getattr(plan, name) for name in SHOWN},
            "learning_rate": plan.learning_rates,
        }
        for plan in plans
    ]
    return {"suite": suite.name, "summary": suite.summary, "path": suite.path, "cases": cases}


def plans_text(plans: Sequence[Plan]) -> str:
    """Return every value, the steps, where files are looked for and the learning rate of every epoch."""
    return "\n\n".join(map(_plan_text, plans))


def _plan_text(plan: Plan) -> str:
    lines = [f"case {plan.case.name}", "", "values:"]
    lines += [f"  {key}: {_value(value)}" for key, value in leaves(to_plain(plan.case))]
    lines += ["", "data and weights:", f"  data root: {plan.root}", f"  generated data: {cache_folder()}"]
    is_found = {
        "vocabulary": plan.vocabulary.is_file(),
        "weights": plan.weights is not None,
        "text_weights": plan.text_weights is not None,
    }
    for name, places in plan.looked_for.items():
        if places:
            found, what = "found" if is_found[name] else "not found", name.replace("_", " ")
            lines.append(f"  {what}: {' or '.join(places)} ({found})")
    lines += [f"  missing: {item.what} (looked in {item.looked_in})" for item in plan.missing]
    lines += [f"  warning: {warning}" for warning in plan.warnings]
    lines += ["", "steps:"]
    lines.append(f"  training images: {_count(plan.train_images)}, validation images: {_count(plan.val_images)}")
    lines.append(f"  steps per epoch: {_count(plan.steps_per_epoch)}, in total: {_count(plan.steps)}")
    lines += _numerics(plan.case)
    often = "set at every step; here" if plan.case.train.schedule.per == "step" else "set"
    lines += ["", f"learning rate, {often} at the start of each epoch:"]
    lines += [f"  {row}" for row in _learning_rates(plan.learning_rates)] or ["  nothing is trained"]
    return "\n".join(lines)


def _numerics(case: Case) -> list[str]:
    """Return how many steps the check of numerics takes, where there is one."""
    asked = case.numerics
    if asked is None:
        return []
    pairs, few = min(asked.batch_size, case.train.batch_size), asked.float32_steps
    steps = f"  before them, to check the numerics: {asked.steps} steps in {case.precision} on one batch of {pairs}"
    steps += f", {min(REPEATED, asked.steps)} of them twice"
    return [f"{steps}, then, unless the device is the engine's trusted one, {few} in float32 on each of both"]


def _value(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _count(value: int | None) -> str:
    return "unknown until the data is there" if value is None else f"{value:,}"


def _learning_rates(rates: Sequence[float]) -> list[str]:
    """Return one row for each run of equal rates."""
    rows, epoch = [], 1
    for rate, equal in itertools.groupby(rates):
        count = len(list(equal))
        span = f"{epoch}" if count == 1 else f"{epoch} to {epoch + count - 1}"
        rows.append(f"{span:>10}  {rate:.5g}")
        epoch += count
    return rows

"""The resolved plan of a case as text, for ``clipbench show``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def plan_text(plan: Mapping[str, Any]) -> str:
    """Every value, the steps, where files are looked for, the learning rate of every epoch."""
    lines = [f"case {plan['case']}", "", "values:"]
    lines += [f"  {key}: {_value(value)}" for key, value in _leaves(plan["config"])]
    lines += ["", "data and weights:", f"  data root: {plan['data_root']}", f"  generated data: {plan['cache']}"]
    for name, places in plan["looked_for"].items():
        if places:
            found = "found" if plan["found"][name] else "not found"
            lines.append(f"  {name}: {' or '.join(places)} ({found})")
    lines += [f"  missing: {item['what']} (looked in {item['looked_in']})" for item in plan["missing"]]
    lines += [f"  warning: {warning}" for warning in plan["warnings"]]
    lines += ["", "steps:"]
    lines.append(f"  training images: {_count(plan['train_images'])}, validation images: {_count(plan['val_images'])}")
    lines.append(f"  steps per epoch: {_count(plan['steps_per_epoch'])}, in all: {_count(plan['steps'])}")
    often = "set at every step; here" if plan["config"]["train"]["schedule"]["per"] == "step" else "set"
    lines += ["", f"learning rate, {often} at the start of each epoch:"]
    lines += [f"  {row}" for row in _learning_rates(plan["learning_rate"])] or ["  nothing is trained"]
    return "\n".join(lines)


def _leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _value(value: object) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _count(value: int | None) -> str:
    return "unknown until the data is there" if value is None else f"{value:,}"


def _learning_rates(rates: Sequence[float]) -> list[str]:
    """One row for each run of equal rates."""
    rows, epoch = [], 1
    for rate, equal in itertools.groupby(rates):
        count = len(list(equal))
        span = f"{epoch}" if count == 1 else f"{epoch} to {epoch + count - 1}"
        rows.append(f"{span:>10}  {rate:.5g}")
        epoch += count
    return rows

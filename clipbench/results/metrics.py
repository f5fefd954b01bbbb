"""The metrics of a result: one name, one unit and one good direction each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

RECALL_NAMES = (
    *(f"{side}_recall{at}" for side in ("text", "image") for at in ("@1", "@5", "@10", "_mean")),
    "recall_mean",
)

UNITS_AND_DIRECTIONS: Mapping[str, tuple[str, str]] = {
    **{name: ("percent", "higher") for name in RECALL_NAMES},
    "val_loss": ("nats", "lower"),
    "train_loss": ("nats", "lower"),
    "samples_per_second": ("pairs/s", "higher"),
    # Made of a whole run when it is compared, not stored in a result.
    "seconds_to_quality": ("s", "lower"),
    "epochs_to_quality": ("epochs", "lower"),
    "loss_curve": ("percent", "lower"),
}


def metrics_of(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """All metrics of one epoch record, as a result has them: value, unit, direction, and why a value is null."""
    values = {name: record.get(name) for name in ("train_loss", "val_loss", "samples_per_second")}
    recall = record["recall"] or {}
    values |= {name: recall.get(name) for name in RECALL_NAMES}
    reasons = record["reasons"]
    return {name: metric(name, value, reasons.get(name, reasons.get("recall"))) for name, value in values.items()}


def metric(name: str, value: float | None, reason: str | None) -> dict[str, Any]:
    """One metric; a value that is not finite becomes null, with its reason."""
    unit, direction = UNITS_AND_DIRECTIONS[name]
    if value is not None and math.isfinite(value):
        return {"value": value, "unit": unit, "direction": direction}
    why = reason or ("not measured" if value is None else f"not finite ({value})")
    return {"value": None, "unit": unit, "direction": direction, "reason": why}

"""How figures, metrics, times and runs are put into words on the page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

METRICS = {
    **{f"{side}_recall@{k}": f"{side.capitalize()} R@{k}" for side in ("text", "image") for k in (1, 5, 10)},
    "text_recall_mean": "Text mean",
    "image_recall_mean": "Image mean",
    "recall_mean": "Recall mean",
    "val_loss": "Validation loss",
    "train_loss": "Training loss",
    "samples_per_second": "Throughput",
    "seconds_to_quality": "Time to quality",
    "epochs_to_quality": "Epochs to quality",
    "loss_curve": "Loss curve, relative error",
}
SYMBOLS = {
    "pass": "✓",
    "warn": "!",
    "better": "▲",
    "inconclusive": "?",
    "fail": "✕",
    "missing": "✕",
    "failed case": "✕",
    "refused": "✕",
    "not comparable": "≠",
    "no reference": "–",
    "no baseline": "–",
    "no results": "–",
    "ungated": "·",
}


def metric_words(name: str) -> str:
    """A metric's name for people; one that is not known keeps its own, without underscores."""
    return METRICS.get(name) or name.replace("_", " ").capitalize()


def figure(value: float | None, unit: str = "", sign: str = "") -> str:
    """A number as its unit is read: percent with two decimals, else four digits that count; a dash for None."""
    if value is None:
        return "–"
    if unit == "percent":
        text = f"{round(value, 2) + 0.0:{sign}.2f}"
    elif abs(value) >= 1000:
        text = f"{value:{sign},.0f}"
    else:
        text = f"{value:{sign}.4g}"
    return text.replace("-", "\N{MINUS SIGN}") if "e" not in text else text


def unit_words(unit: str) -> str:
    """The unit as it stands after a number."""
    return "%" if unit == "percent" else unit


def when(started: str) -> str:
    """``2026-11-23T16:43:11.782Z`` as ``2026-11-23 16:43 UTC``."""
    return f"{started[:10]} {started[11:16]} UTC"


def labels(run_ids: Sequence[str], cases: Sequence[str]) -> list[str]:
    """A short name for each run: its case and the end of its id, or the whole id where that is not enough."""
    short = [
        f"{case} {match[0]}" if (match := re.search(r"[^-]+$", run_id)) and match[0] != run_id else run_id
        for run_id, case in zip(run_ids, cases, strict=True)
    ]
    twice = {label for label, count in Counter(short).items() if count > 1}
    return [run_id if label in twice else label for label, run_id in zip(short, run_ids, strict=True)]

"""The record of an epoch: from what the ranks have counted and timed to the figures of a result."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clipbench.errors import CaseFailedError
from clipbench.results.events import finite
from clipbench.training.state import Partial, Record
from clipbench.training.throughput import Window, summarise

if TYPE_CHECKING:
    from clipbench.api import DeviceInfo
    from clipbench.suites.loading import Case
    from clipbench.training.evaluation import Evaluation

TIMED = ("samples_per_second", "data_wait", "step_seconds")
NO_STEPS = "no step was taken after the warm-up"


def trained(
    partial: Partial, epoch: int, case: Case, hosts: Sequence[str], info: DeviceInfo, peak_flops: float | None
) -> Record:
    """What the steps of an epoch came to; throughput is of all ranks over the windows of whichever was slowest.

    Raises CaseFailedError for a share of the peak over 1, which no device can reach: something lies.
    """
    windows = slowest_windows(partial.windows)
    timing = summarise(windows, case.train.batch_size)
    per_second = timing.samples_per_second
    cards = math.ceil(len(hosts) / info.devices_per_card)
    per_card = info.devices_per_card > 1
    record: Record = {
        "epoch": epoch + 1,
        "steps": partial.steps,
        "train_loss": statistics.fmean(partial.losses) if partial.losses else None,
        "val_loss": None,
        "learning_rate": None,
        "recall": None,
        "samples_per_second": per_second,
        "samples_per_second_per_device": per_second and per_second / len(hosts),
        **({"samples_per_second_per_card": per_second and per_second / cards} if per_card else {}),
        "data_wait": timing.data_wait,
        "step_seconds": timing.step_seconds,
        "windows": windows,
        "grad_norm": statistics.fmean(partial.grad_norms) if partial.grad_norms else None,
        "skipped_steps": partial.skipped,
        "mfu": None,
        "per_rank": [_of_rank(rank, host, partial, case) for rank, host in enumerate(hosts)],
        "slowest_rank": slowest_rank(partial.windows),
        "reasons": {},
    }
    _add_mfu(record, partial, case, len(hosts), peak_flops)
    if not partial.losses:
        record["reasons"]["train_loss"] = "the gradient scaler withheld every step"
    return record


def slowest_windows(per_rank: Sequence[Sequence[Window]]) -> list[Window]:
    """Of each window, the one of the rank that took longest; ranks have the same number of windows."""
    return [max(same, key=lambda window: window[1]) for same in zip(*per_rank, strict=True)]


def slowest_rank(per_rank: Sequence[Sequence[Window]]) -> int | None:
    """The rank whose windows took longest together, the first such; None where nothing was timed."""
    seconds = [sum(window[1] for window in windows) for windows in per_rank]
    return seconds.index(max(seconds)) if seconds and max(seconds) > 0 else None


def _of_rank(rank: int, host: str, partial: Partial, case: Case) -> Record:
    windows = partial.windows[rank] if partial.windows else []
    timing = summarise(list(windows), case.train.batch_size)
    return {
        "rank": rank,
        "host": host,
        "seconds": sum(window[1] for window in windows) if windows else None,
        "data_wait": timing.data_wait,
        "step_seconds": timing.step_seconds,
    }


def _add_mfu(record: Record, partial: Partial, case: Case, ranks: int, peak: float | None) -> None:
    """FLOP/s that the model's formula counts, over what the devices could do at most."""
    speed = record["samples_per_second"]
    if peak is None or not partial.flops or speed is None:
        reasons = {
            "the device's peak is not known": peak is None,
            "the learner does not count its operations": not partial.flops,
            NO_STEPS: speed is None,
        }
        record["reasons"]["mfu"] = next(reason for reason, holds in reasons.items() if holds)
        return
    flops_per_pair = partial.flops / (partial.steps * case.train.batch_size)
    mfu = flops_per_pair * speed / (peak * ranks)
    if mfu > 1:
        raise CaseFailedError(
            f"{mfu:.0%} of the device's peak of {peak:.3g} FLOP/s: more than there is; "
            "either the peak that the device plugin gives is wrong, or the device does not wait when it is asked to"
        )
    record["mfu"] = mfu


def untrained() -> Record:
    """The record of weights as they came: epoch 0, nothing trained, nothing timed."""
    nothing = "nothing was trained"
    names = ("train_loss", "learning_rate", *TIMED)
    return {
        "epoch": 0,
        "steps": 0,
        "windows": [],
        "val_loss": None,
        "recall": None,
        "seconds": {"train": 0.0, "eval": 0.0},
        **dict.fromkeys(names),
        "reasons": dict.fromkeys(names, nothing),
    }


def add_evaluation(record: Record, evaluation: Evaluation) -> None:
    """Recalls and validation loss of the weights as they are after this epoch."""
    record["recall"] = evaluation.recall
    record["val_loss"] = finite(evaluation.loss)
    if record["val_loss"] is None:
        record["reasons"]["val_loss"] = evaluation.loss_reason or f"not finite ({evaluation.loss})"


def explain_nulls(record: Record) -> None:
    """Give every null of a record its reason."""
    reasons = record["reasons"]
    defaults = {
        "recall": "not evaluated after this epoch",
        "val_loss": "not evaluated after this epoch",
        **dict.fromkeys(TIMED, NO_STEPS),
        "peak_memory_bytes": "the device does not tell",
        "host_memory_bytes": "the system does not tell",
        "grad_norm": "the learner does not tell",
    }
    for name, why in defaults.items():
        if name in record and record[name] is None:
            reasons.setdefault(name, why)

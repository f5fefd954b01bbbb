"""The log that Tecorigin's tooling reads: lines ``TCAPPDLL {json}``, as its ``tcap_dllogger`` writes them.

A line has ``type`` METADATA (a metric's unit, goal and stage) or LOG, whose ``step`` is a list and whose ``data`` is
the ``repr`` of a dict of strings: its readers evaluate that text, or swap the quotes and read it as JSON.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipbench.suites.loading import Case

# Our names of recalls -> those of the vendor's model zoo, which are LAVIS's.
RECALLS = {
    **{
        f"{side}_recall@{k}": f"{short}_r{k}" for side, short in (("text", "txt"), ("image", "img")) for k in (1, 5, 10)
    },
    "text_recall_mean": "txt_r_mean",
    "image_recall_mean": "img_r_mean",
    "recall_mean": "r_mean",
}
METADATA = {
    "train.loss": {"unit": "", "GOAL": "MINIMIZE", "STAGE": "TRAIN"},
    "train.ips": {"unit": "imgs/s", "format": ":.3f", "GOAL": "MAXIMIZE", "STAGE": "TRAIN"},
    "train.compute_time": {"unit": "s", "GOAL": "MINIMIZE", "STAGE": "TRAIN"},
    "val.loss": {"unit": "", "GOAL": "MINIMIZE", "STAGE": "VALID"},
    **{name: {"unit": "%", "GOAL": "MAXIMIZE", "STAGE": "VALID"} for name in RECALLS.values()},
}


class TcapLog:
    """``tcap.log``: a LOG line with step (epoch, iteration of the run) for each window, one with (epoch,) for each
    epoch, and one with an empty step for the summary.
    """

    def __init__(self, case: Case, run_id: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "tcap.log").open("a", encoding="utf-8", buffering=1)
        self._begun, self._steps = datetime.datetime.now(), 0
        self._batch = case.train.batch_size
        for metric, metadata in METADATA.items():
            self._write("METADATA", metric=metric, metadata=metadata)

    def step(self, event: Mapping[str, Any]) -> None:
        self._steps = event["steps_done"]
        speed = event["samples_per_second"]
        values = {
            "train.loss": event["loss"],
            "train.ips": speed,
            "train.lr": event["learning_rate"],
            "train.compute_time": self._batch / speed if speed else None,
        }
        self._log([event["epoch"], self._steps], values)

    def epoch(self, record: Mapping[str, Any]) -> None:
        values = {"train.loss_mean": record["train_loss"], "val.loss": record["val_loss"]}
        recall = record["recall"] or {}
        self._log([record["epoch"]], values | {theirs: recall.get(ours) for ours, theirs in RECALLS.items()})

    def finished(self, result: Mapping[str, Any]) -> None:
        last = result["metrics"]["last"]
        recall = last["values"]["recall_mean"]["value"] if last else None
        values = {"summary.epoch": last["epoch"] if last else None, "summary.metric": recall}
        self._log([], values | {"summary.status": result["status"]})

    def close(self) -> None:
        self._file.close()

    def _log(self, step: Sequence[int], values: Mapping[str, Any]) -> None:
        """A null is left out: readers of this format turn every value into a number."""
        known = {name: str(value) for name, value in values.items() if value is not None}
        self._write("LOG", step=list(step), data=str({"rank": "0", **known}))

    def _write(self, kind: str, **values: Any) -> None:  # noqa: ANN401
        # Local time without a zone, as the vendor's logger has it.
        now = datetime.datetime.now()
        line = {
            "timestamp": str(now.timestamp()),
            "datetime": str(now),
            "elapsedtime": str((now - self._begun).total_seconds()),
            "type": kind,
            **values,
        }
        self._file.write(f"TCAPPDLL {json.dumps(line)}\n")

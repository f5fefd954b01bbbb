"""The log that Tecorigin's tooling reads: lines ``TCAPPDLL {json}``, as its ``tcap_dllogger`` writes them.

A line has ``type`` METADATA (a metric's unit, goal and stage) or LOG, whose ``step`` is a list and whose ``data`` is
the ``repr`` of a dict of strings: its readers evaluate that text, or swap the quotes and read it as JSON.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clipbench.api import Case, EpochRecord, Result, events

# Names of recalls here -> those of the vendor's model zoo, which are LAVIS's.
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
        self._begun = datetime.datetime.now()
        self._batch = case.train.batch_size
        for metric, metadata in METADATA.items():
            self._write("METADATA", metric=metric, metadata=metadata)

    def handle(self, event: events.Event) -> None:
        """Write a line for a window of steps, an epoch or the end."""
        match event:
            case events.StepsTrained():
                self._steps_trained(event)
            case events.EpochFinished(record):
                self._epoch_finished(record)
            case events.CaseFinished(result):
                self._case_finished(result)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _steps_trained(self, event: events.StepsTrained) -> None:
        speed = event.throughput
        values = {
            "train.loss": event.loss,
            "train.ips": speed,
            "train.lr": event.learning_rate,
            "train.compute_time": self._batch / speed if speed else None,
        }
        self._log([event.epoch, event.steps_done], values)

    def _epoch_finished(self, record: EpochRecord) -> None:
        values = {"train.loss_mean": record.train_loss, "val.loss": record.val_loss}
        recall = record.recall or {}
        self._log([record.epoch], values | {theirs: recall.get(ours) for ours, theirs in RECALLS.items()})

    def _case_finished(self, result: Result) -> None:
        last = result.metrics.last
        values = {"summary.epoch": last and last.epoch, "summary.metric": result.value("recall_mean")}
        self._log([], values | {"summary.status": result.status})

    def _log(self, step: Sequence[int], values: Mapping[str, Any]) -> None:
        """Write a line without the values that are None: readers of this format turn every value into a number."""
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

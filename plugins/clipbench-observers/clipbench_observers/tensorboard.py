"""TensorBoard event files, written with the ``tensorboard`` package alone: no torch, no TensorFlow.

``EventFileWriter`` would import TensorFlow where it is installed, and writes from a thread of its own; records and
protocol buffers are all that is needed.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

if TYPE_CHECKING:
    from clipbench.suites.loading import Case

STEP_TAGS = ("loss", "learning_rate", "samples_per_second")
EPOCH_TAGS = {
    "train_loss": "epoch/train_loss",
    "val_loss": "epoch/val_loss",
    "samples_per_second": "epoch/samples_per_second",
    "data_wait": "epoch/data_wait",
    "peak_memory_bytes": "epoch/peak_memory_bytes",
}


class TensorBoard:
    """One event file for the run; ``tensorboard --logdir results`` shows each run under its id.

    Every scalar is over the steps of the whole run, so that what is reported at steps and at epochs lines up.
    """

    def __init__(self, case: Case, run_id: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._steps = 0
        # A file is taken for an event file when "tfevents" is in its name.
        file = (folder / f"events.out.tfevents.{time.time_ns() // 10**9:010d}.clipbench").open("xb")
        self._records = RecordWriter(file)
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._text("case", f"```json\n{json.dumps(case.to_dict(), indent=1, ensure_ascii=False)}\n```")

    def step(self, event: Mapping[str, Any]) -> None:
        self._steps = event["steps_done"]
        self._scalars(self._steps, {f"train/{name}": event[name] for name in STEP_TAGS})

    def epoch(self, record: Mapping[str, Any]) -> None:
        values = {tag: record[name] for name, tag in EPOCH_TAGS.items()}
        values |= {f"recall/{name}": value for name, value in (record["recall"] or {}).items()}
        self._scalars(self._steps, values)

    def finished(self, result: Mapping[str, Any]) -> None:
        self._text("status", result["status"])

    def close(self) -> None:
        self._records.close()

    def _scalars(self, step: int, values: Mapping[str, float | None]) -> None:
        known = {tag: value for tag, value in values.items() if value is not None and math.isfinite(value)}
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in known.items()])
        self._add(Event(wall_time=time.time(), step=step, summary=summary))

    def _text(self, tag: str, text: str) -> None:
        """Markdown for TensorBoard's text tab."""
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
        summary = Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])
        self._add(Event(wall_time=time.time(), step=self._steps, summary=summary))

    def _add(self, event: Any) -> None:  # noqa: ANN401 -- a generated class
        self._records.write(event.SerializeToString())
        self._records.flush()

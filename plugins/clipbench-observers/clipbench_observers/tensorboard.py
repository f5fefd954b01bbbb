"""TensorBoard event files, written with the ``tensorboard`` package alone: no torch, no TensorFlow.

``EventFileWriter`` would import TensorFlow where it is installed, and writes from a thread of its own; records and
protocol buffers are all that is needed.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter

from clipbench.api import Case, EpochRecord, events

STEP_TAGS = ("loss", "learning_rate", "throughput")
EPOCH_TAGS = {
    "train_loss": "epoch/train_loss",
    "val_loss": "epoch/val_loss",
    "throughput": "epoch/throughput",
    "data_wait": "epoch/data_wait",
    "peak_memory_bytes": "epoch/peak_memory_bytes",
}


class TensorBoard:
    """One event file for the run; ``tensorboard --logdir results`` shows each run under its id.

    Every scalar has the number of steps of the whole run as its step, those of epochs too.
    """

    def __init__(self, case: Case, run_id: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._steps = 0
        self._records = RecordWriter(_new_file(folder))
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self._text("case", f"```json\n{json.dumps(case.to_dict(), indent=1, ensure_ascii=False)}\n```")

    def handle(self, event: events.Event) -> None:
        """Write the scalars of a window of steps or of an epoch, or how the run ended."""
        match event:
            case events.StepsTrained():
                self._steps = event.steps_done
                self._scalars({f"train/{name}": getattr(event, name) for name in STEP_TAGS})
            case events.EpochFinished(record):
                self._scalars(_epoch_scalars(record))
            case events.CaseFinished(result):
                self._text("status", result.status)

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _scalars(self, values: Mapping[str, float | None]) -> None:
        known = {tag: value for tag, value in values.items() if value is not None and math.isfinite(value)}
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in known.items()])
        self._add(Event(wall_time=time.time(), step=self._steps, summary=summary))

    def _text(self, tag: str, text: str) -> None:
        """Write Markdown for TensorBoard's text tab."""
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
        summary = Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)])
        self._add(Event(wall_time=time.time(), step=self._steps, summary=summary))

    def _add(self, event: Any) -> None:  # noqa: ANN401 -- a generated class
        self._records.write(event.SerializeToString())
        self._records.flush()


def _new_file(folder: Path) -> IO[bytes]:
    """Return a new file that TensorBoard reads after those of earlier attempts: it sorts them by the second."""
    for second in itertools.count(int(time.time())):
        with suppress(FileExistsError):
            return (folder / f"events.out.tfevents.{second:010d}.clipbench").open("xb")
    raise AssertionError  # seconds do not end


def _epoch_scalars(record: EpochRecord) -> dict[str, float | None]:
    values = {tag: getattr(record, name) for name, tag in EPOCH_TAGS.items()}
    values |= {f"recall/{name}": value for name, value in (record.recall or {}).items()}
    return values | {f"evaluation/{name}": metric.value for name, metric in record.metrics.items()}

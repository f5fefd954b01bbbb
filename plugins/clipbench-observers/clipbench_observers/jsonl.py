"""A log of JSON lines, for log collectors and for ``tail -f | jq``."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clipbench.api import Case, events, to_plain


class JsonLines:
    """``events.jsonl``: a line ``case`` with the configuration, then ``step``, ``epoch`` and ``finished``."""

    def __init__(self, case: Case, run_id: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._run_id = run_id
        self._file = (folder / "events.jsonl").open("a", encoding="utf-8", buffering=1)
        self._write("case", {"suite": case.suite, "case": case.name, "config": case.to_dict()})

    def handle(self, event: events.Event) -> None:
        """Write a line for a window of steps, an epoch or the end."""
        match event:
            case events.StepsTrained():
                self._write("step", to_plain(event))
            case events.EpochFinished():
                self._write("epoch", to_plain(event))
            case events.CaseFinished(result):
                ending = {"status": result.status, "metrics": result.metrics, "error": result.error}
                self._write("finished", to_plain(ending))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, kind: str, values: Mapping[str, Any]) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        line = {"time": now, "run_id": self._run_id, **values, "event": kind}
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

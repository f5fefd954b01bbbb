"""A log of JSON lines, each whole on its own, for log collectors and for ``tail -f | jq``."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipbench.suites.loading import Case


class JsonLines:
    """``events.jsonl``: a line ``case`` with the configuration, then ``step``, ``epoch`` and ``finished``."""

    def __init__(self, case: Case, run_id: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._run_id = run_id
        self._file = (folder / "events.jsonl").open("a", encoding="utf-8", buffering=1)
        self._write("case", {"suite": case.suite, "case": case.name, "config": case.to_dict()})

    def step(self, event: Mapping[str, Any]) -> None:
        self._write("step", event)

    def epoch(self, record: Mapping[str, Any]) -> None:
        self._write("epoch", {"record": record})

    def finished(self, result: Mapping[str, Any]) -> None:
        self._write("finished", {key: result[key] for key in ("status", "metrics", "error")})

    def close(self) -> None:
        self._file.close()

    def _write(self, event: str, values: Mapping[str, Any]) -> None:
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        line = {"time": now, "run_id": self._run_id, **values, "event": event}
        self._file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")

"""The events of a case, one JSON line each: written by its process, followed by the one that started it."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

Event = dict[str, Any]


class EventWriter:
    """Appends events to a file; every line is whole when it is seen, and survives the writer's death."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __call__(self, event: str, **values: Any) -> None:  # noqa: ANN401
        line = json.dumps({"event": event, **values}, ensure_ascii=False, allow_nan=False, default=_plain)
        rest = line.encode() + b"\n"
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


def _plain(value: object) -> object:
    """numpy's numbers as Python's; anything else does not belong in an event."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not fit JSON")


def finite(value: float | None) -> float | None:
    """``value``, or None in place of what JSON has no number for."""
    return value if value is not None and math.isfinite(value) else None


class EventReader:
    """Reads what has been appended since the last call."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def new(self) -> list[Event]:
        """Events written since the last call; a line still being written waits for the next."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            block = file.read()
        whole, newline, _ = block.rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        return [json.loads(line) for line in whole.splitlines() if line]

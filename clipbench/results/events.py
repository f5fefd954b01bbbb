"""The event log of a case, one JSON line an event: written by its process, followed by the one that started it."""

import json
import os
from pathlib import Path

from clipbench.api.events import EVENTS, Event
from clipbench.api.plain import from_plain, to_plain


class EventWriter:
    """Appends events to a file; every line is whole when it is seen, and survives the writer's death."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __call__(self, event: Event) -> None:
        line = json.dumps([type(event).__name__, to_plain(event)], ensure_ascii=False, allow_nan=False)
        rest = line.encode() + b"\n"
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


class EventReader:
    """Reads the events that have been appended since the last call."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def new(self) -> list[Event]:
        """Return the events written since the last call; a line still being written waits for the next."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            block = file.read()
        whole, newline, _ = block.rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        return [from_plain(EVENTS[name], data) for name, data in map(json.loads, filter(None, whole.splitlines()))]

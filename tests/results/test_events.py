"""The log of events: every line whole, read once."""

import json
import math

import pytest

from clipbench.api import events
from clipbench.results.events import EventReader, EventWriter


def test_events_arrive_whole_and_once(tmp_path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.new() == []
    write = EventWriter(path)
    write(events.Warned("one"))
    assert reader.new() == [events.Warned("one")]
    line = json.dumps(["Warned", {"text": "half"}]) + "\n"
    with path.open("a") as file:
        file.write(line[:9])
    assert reader.new() == []
    with path.open("a") as file:
        file.write(line[9:])
    assert reader.new() == [events.Warned("half")]


def test_an_event_never_holds_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        EventWriter(tmp_path / "e")(events.StepsTrained(1, 1, 1, math.nan, 1e-6, None))

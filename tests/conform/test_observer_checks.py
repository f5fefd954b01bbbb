"""The run that observers are checked with."""

from clipbench.api.events import EVENTS
from clipbench.api.registry import load_registry
from clipbench.conform.conformance import Request
from clipbench.conform.observer_checks import _completed, _failed


def test_every_kind_of_event_happens_in_it(tmp_path):
    subject = Request("observer", "jsonl").subject(load_registry(), tmp_path)
    assert {type(event).__name__ for run in (_completed, _failed) for event in run(subject)} == set(EVENTS)

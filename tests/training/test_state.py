"""The state of a run: as it comes back from a checkpoint, and what keeps a run from being resumed."""

import json

from clipbench.api import QueryRanks, Window
from clipbench.api.plain import from_plain, to_plain
from clipbench.api.result import Attempt
from clipbench.training.state import RunState, SavedRun, differences
from tests.support.empty_record import EMPTY_RECORD


def test_a_state_comes_back_from_json_with_its_types():
    state = RunState(epochs=[EMPTY_RECORD], query_ranks=QueryRanks(1, [0, 2], [1], [0]), skipped_in_a_row=2)
    state.attempts.append(Attempt("2026-01-01T00:00:00.000Z", 1, 3, ("a note",)))
    state.progress.windows_of_ranks = [[Window(2, 0.5, 0.1)]]
    saved = SavedRun({"suite": {"seed": 0}}, state)
    read = from_plain(SavedRun, json.loads(json.dumps(to_plain(saved))))
    assert read == saved
    assert isinstance(read.state.progress.windows_of_ranks[0][0], Window)


def test_differences_are_named_by_their_path():
    before, now = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "e": 4}
    expected = ["a.c was 2 and is 5", "d was 3 and is not there", "e was not there and is 4"]
    assert differences(before, now) == expected
    assert differences(before, before) == []
    assert differences({"options": {}}, {"options": {"size": 1}}) == ["options.size was not there and is 1"]

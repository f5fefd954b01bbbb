"""What ranks exchange, over a group of one and over a group that the test makes."""

import numpy as np

from clipbench.api import Window
from clipbench.training.collectives import (
    MemoryPeaks,
    SingleRank,
    WindowReport,
    any_rank,
    any_ranks,
    gather_memory,
    gather_values,
)


class Pair(SingleRank):
    """This rank, and a second one that gives ``other``."""

    def __init__(self, other):
        self.other = other

    def all_gather(self, array):
        return [array, np.asarray(self.other, array.dtype)]


class Device:
    def peak_memory(self):
        return 7


def test_a_single_rank_receives_what_it_sends():
    assert gather_values(SingleRank(), {"a": [1, None]}) == [{"a": [1, None]}]
    assert gather_memory(SingleRank(), Device(), None) == [MemoryPeaks(7, None)]


def test_the_report_of_a_window_crosses_as_an_array():
    report = WindowReport(Window(20, 1.25, 0.1 + 0.2), False, True, 1e18, True)
    other = WindowReport(Window(20, 2.5, 0.0), True, False, 3.0)
    exchanged = report.exchange(Pair([20, 2.5, 0, 1, 0, 3, 0]))
    assert exchanged == [report, other]
    assert [type(value) for value in exchanged[1].window] == [int, float, float] and exchanged[1].stop is True


def test_a_flag_of_any_rank_counts_and_memory_is_of_each():
    assert any_rank(Pair([True]), False) and not any_rank(Pair([False]), False)
    assert any_ranks(Pair([True, False]), False, False) == [True, False]
    assert gather_memory(Pair(list(b"[null, 5]")), Device(), 3) == [MemoryPeaks(7, 3), MemoryPeaks(None, 5)]

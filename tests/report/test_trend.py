"""The sparkline of a trend, and what the terminal can show of it."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clipbench.report.trend import BLOCKS, GAP, PLAIN, spark_levels, sparkline

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.none() | finite, max_size=200), st.integers(1, 60))
@example([1.7e308, -1.7e308], 60)
@example([5e-324, 0.0], 60)
def test_a_sparkline_is_as_long_as_it_may_be_and_keeps_order(values, width):
    line = sparkline(values, width=width)
    assert len(line) == min(len(values), width) and set(line) <= {*BLOCKS, GAP}
    if len(values) <= width:
        assert [cell == GAP for cell in line] == [value is None for value in values]
        known = sorted(
            (value, BLOCKS.index(cell)) for value, cell in zip(values, line, strict=True) if value is not None
        )
        heights = [height for _, height in known]
        assert heights == sorted(heights)
        if known and known[0][0] / 2 < known[-1][0] / 2:
            assert (heights[0], heights[-1]) == (0, len(BLOCKS) - 1)


def test_many_values_are_averaged_so_that_a_step_stays_where_it_was():
    draws = random.Random(0)
    values = [(90 if i < 500 else 88) + draws.uniform(-0.2, 0.2) for i in range(1000)]
    line = sparkline(values, width=50)
    assert set(line[:25]) <= set(BLOCKS[5:]) and set(line[25:]) <= set(BLOCKS[:3])


def test_values_that_are_all_alike_are_in_the_middle():
    assert set(sparkline([3.0] * 5)) <= set(BLOCKS[3:5])


@pytest.mark.parametrize(
    ("encoding", "levels"), [("utf-8", BLOCKS), ("ascii", PLAIN), ("cp1252", PLAIN), (None, PLAIN)]
)
def test_blocks_only_where_the_output_can_take_them(encoding, levels):
    assert spark_levels(encoding) == levels and len(PLAIN) == len(BLOCKS) and GAP not in PLAIN

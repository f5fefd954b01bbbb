"""A vote on bits: who differs, and when nobody can tell."""

import pytest

from clipbench.compare.nodes.vote import vote


def counted(*bits):
    """A vote of one run on each node."""
    return vote([(f"node{number}", own, number) for number, own in enumerate(bits)])


def test_the_nodes_that_differ_are_named_with_their_first_run():
    found = vote([("a", "x", 1), ("b", "x", 2), ("c", "x", 3), ("c", "y", 4), ("c", "z", 5)])
    assert (found.count, found.nodes, found.others, found.usual) == (2, 3, {"c": 4}, 1)


def test_nodes_that_all_come_to_either_of_two_do_not_repeat_their_bits():
    found = vote([(node, bits, node + bits) for node in "abcd" for bits in "xxy"])
    assert found.count == 0 and not found.settled(repeats=False)


@pytest.mark.parametrize(
    ("bits", "repeats", "settled"),
    [
        ("xx", False, False),
        ("xy", True, False),
        ("xxy", False, True),
        ("xxyz", False, False),
        ("xxxyz", False, False),
        ("xxxyz", True, True),
        ("xxyy", True, False),
        ("wxyz", True, False),
    ],
)
def test_the_usual_bits_are_right_where_most_nodes_have_them(bits, repeats, settled):
    assert counted(*bits).settled(repeats) is settled


def test_no_runs_have_no_bits():
    assert vote([]).usual is None

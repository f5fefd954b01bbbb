"""Workflow commands, as GitHub's runner reads them."""

import re

import pytest
from hypothesis import given

from clipbench.compare.verdicts import FAIL_ON, Difference
from clipbench.report.judgement.github import command, github
from clipbench.report.judgement.headline import headline
from tests.support.judgements import REASONS, comparison, judgement, judgements, verdict

LINE = re.compile(r"::(error|warning|notice) title=([^\r\n]*?)::([^\r\n]*)")


def read(line):
    """As the runner does: properties end at the second ``::``, then each escape is undone, the percent sign last."""
    level, title, message = LINE.fullmatch(line).groups()
    assert ":" not in title and "," not in title
    undo = [("%0D", "\r"), ("%0A", "\n"), ("%25", "%")]
    for sign, character in (*undo[:2], ("%3A", ":"), ("%2C", ","), undo[2]):
        title = title.replace(sign, character)
    for sign, character in undo:
        message = message.replace(sign, character)
    return level, title, message


def lines(*comparisons, **changes):
    return [read(line) for line in github(judgement(*comparisons, **changes)).splitlines()]


@pytest.mark.parametrize(
    ("status", "level", "strict_level"),
    [
        ("fail", "error", "error"),
        ("missing", "error", "error"),
        ("better", "warning", "error"),
        ("inconclusive", "warning", "error"),
        ("not comparable", "notice", "notice"),
    ],
)
def test_each_status_has_its_level(status, level, strict_level):
    judged = comparison(verdict("val_loss"), verdict(status=status))
    title = f"mine-20260101T000000Z-abcd: {status}"
    assert lines(judged)[1] == (level, title, f"recall mean {REASONS[status]}")
    assert lines(judged, fail_on=FAIL_ON)[1][0] == strict_level


def test_the_verdict_comes_first_in_the_sentence_of_every_output():
    ((level, _, message),) = lines(comparison(verdict(), verdict("train_loss", "ungated")))
    assert level == "notice"
    assert message.splitlines() == [headline(judgement(comparison())), "1 pass: exit code 0, every result passes"]
    for status, level in (("fail", "error"), ("inconclusive", "warning"), ("better", "warning")):
        judged = comparison(verdict(status=status))
        assert lines(judged)[0][0] == level
        assert lines(judged)[0][2].startswith(f"{status.upper()} mine on a processor: recall mean is 90.00 %")


def test_there_are_at_most_nine_and_the_rest_is_counted():
    many = [verdict(f"metric_{n}", "better") for n in range(7)] + [verdict(f"lost_{n}", "fail") for n in range(7)]
    found = lines(comparison(), comparison(*many), problems=["x.json: broken"])
    assert len(found) == 9 and found[0][1] == "clipbench compare"
    assert "7 more annotations are not shown" in found[0][2]
    # The worst first.
    assert [level for level, _, _ in found] == ["error"] * 9


def test_a_result_that_is_not_judged_is_one_error_with_its_reasons():
    differences = (Difference("data", "a", "1", "2"), Difference("device", "b", "3", "4"))
    refused = comparison(verdict(status="not comparable"), differences=differences)
    said = "a is 1, the reference has 2\nb is 3, the reference has 4"
    assert lines(refused)[1] == ("error", "mine-20260101T000000Z-abcd: not comparable", said)
    assert len(lines(refused)) == 2


def test_refused_files_are_errors():
    assert lines(problems=["x.json: 100 % broken\nbadly"])[1] == (
        "error",
        "refused file",
        "x.json: 100 % broken\nbadly",
    )


def test_escapes_are_those_of_the_runner():
    assert command("error", "a:b,c%\n", "a:b,c%\r\n") == "::error title=a%3Ab%2Cc%25%0A::a:b,c%25%0D%0A"


@given(judgements)
def test_any_judgement_is_lines_that_read_back(given):
    # Not splitlines: the runner ends a line at \n alone.
    *text, last = github(given).split("\n")
    read_back = [read(line) for line in text]
    assert last == "" and f"exit code {int(given.exit_code)}" in read_back[0][2] and len(read_back) <= 9
    assert any(level == "error" for level, _, _ in read_back) == (given.exit_code != 0)
    assert read_back[0][2].startswith(headline(given)[:20])

"""Statuses and the one exit code that they come to."""

import itertools
from pathlib import Path
from typing import get_args

import pytest

from clipbench.compare.verdicts import (
    FAIL_ON,
    WORST_FIRST,
    Cause,
    Comparison,
    ComparisonStatus,
    Judgement,
    Verdict,
    VerdictStatus,
    overall,
    status_of,
    worst,
)
from tests.support.judgements import CAUSES, CAUSES_OF

DOCS = Path(__file__).parents[2] / "docs" / "comparing.md"
CODES = {
    "pass": 0,
    "better": 0,
    "inconclusive": 0,
    "fail": 1,
    "not comparable": 3,
    "no reference": 3,
    "no baseline": 3,
    "failed case": 4,
}
WARNING = Verdict("recall_mean", "percent", "higher", 90.0, 90.4, 1.0, cause=Cause.WARN, limit=0.3)


def ended(status, *verdicts):
    return Comparison(("run",), "suite", "case", None, None, 1, None, None, status, verdicts)


def test_every_cause_gives_one_status():
    assert {cause for causes in CAUSES_OF.values() for cause in causes} == {None, *Cause}
    for status, causes in CAUSES_OF.items():
        assert {status_of(cause) for cause in causes} == {status}


def exit_code(comparisons, problems=(), fail_on=()):
    return Judgement(tuple(comparisons), tuple(problems), frozenset(fail_on)).exit_code


@pytest.mark.parametrize(("status", "code"), list(CODES.items()))
def test_exit_code_of_one_result(status, code):
    assert exit_code([ended(status)]) == code
    assert exit_code([ended(status), ended("pass")]) == code


@pytest.mark.parametrize("statuses", list(itertools.product(CODES, repeat=2)))
def test_exit_code_of_two_is_that_of_the_graver(statuses):
    codes = {CODES[status] for status in statuses}
    graver = next(code for code in (4, 1, 3, 0) if code in codes)
    assert exit_code([ended(status) for status in statuses]) == graver


@pytest.mark.parametrize("status", CODES)
def test_a_refused_file_comes_before_all_else(status):
    assert exit_code([ended(status)], ["x.json: broken"]) == 3
    assert exit_code([], ["x.json: broken"]) == 3


def test_no_result_at_all_is_a_missing_case():
    assert exit_code([]) == 4


@pytest.mark.parametrize("status", CODES)
def test_to_fail_on_everything_makes_a_failed_gate_of_every_warning_and_of_nothing_else(status):
    codes = {"better": 1, "inconclusive": 1}
    assert exit_code([ended(status)], fail_on=FAIL_ON) == codes.get(status, CODES[status])


@pytest.mark.parametrize("what", FAIL_ON)
@pytest.mark.parametrize("label", ["warn", "inconclusive", "better"])
def test_only_what_was_asked_for_fails_beside_what_always_does(what, label):
    cause = {"warn": Cause.WARN, "inconclusive": Cause.CHANCE, "better": Cause.BETTER}[label]
    verdict = Verdict("recall_mean", "percent", "higher", 90.0, 90.4, 1.0, cause=cause)
    # Beside a verdict that is worse, too: what was asked for is not hidden by it.
    for status in {overall([verdict]), "inconclusive"}:
        wanted = what == label or (what == "inconclusive" and status == "inconclusive")
        assert exit_code([ended(status, verdict)], fail_on=[what]) == int(wanted)


def test_what_does_not_simply_pass_is_never_the_sign_of_a_pass():
    for status in ("inconclusive", "better"):
        assert Judgement((ended("pass"), ended(status))).level == "warning"
    assert Judgement((ended("pass", WARNING),)).level == "warning"
    assert Judgement((ended("pass"),)).level == "none"
    assert Judgement((ended("inconclusive"),), fail_on=frozenset(["inconclusive"])).level == "error"


@pytest.mark.parametrize("code", {0, 1, 3, 4})
def test_the_table_in_the_docs_has_every_code(code):
    assert any(row.startswith(f"| {code} |") for row in DOCS.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("status", [*get_args(VerdictStatus), *get_args(ComparisonStatus)])
def test_every_status_is_explained_in_the_docs(status):
    assert f"`{status}`" in DOCS.read_text(encoding="utf-8")


def test_the_worst_of_several_comparisons_counts():
    assert set(WORST_FIRST) == set(get_args(ComparisonStatus))
    assert worst(["pass", "no baseline", "better"]) == "no baseline"
    assert worst(WORST_FIRST) == "failed case"


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([], "not comparable"),
        (["ungated", "not comparable"], "not comparable"),
        (["pass", "ungated"], "pass"),
        (["pass", "better"], "better"),
        (["better", "inconclusive"], "inconclusive"),
        (["inconclusive", "missing"], "fail"),
        (["pass", "fail"], "fail"),
    ],
)
def test_one_gate_that_fails_fails_the_result(statuses, status):
    assert overall([Verdict("a", "", "higher", None, cause=CAUSES[one]) for one in statuses]) == status


def test_a_difference_is_only_there_where_both_figures_are_comparable():
    def difference(value, reference, status="pass"):
        return Verdict("a", "", "higher", value, reference, cause=CAUSES[status]).difference

    assert difference(3.0, 1.0) == 2.0
    assert difference(None, 1.0) is difference(1.0, None) is difference(3.0, 1.0, "not comparable") is None
    assert difference(1.7e308, -1.7e308) is None

"""JUnit XML: what a CI server's schema takes, red exactly when the exit code is."""

from pathlib import Path

import pytest
from hypothesis import given
from lxml import etree

from clipbench.compare.verdicts import FAIL_ON, Cause
from clipbench.report.judgement.headline import comparison_headline
from clipbench.report.judgement.junit import clean, junit
from clipbench.report.judgement.wording import comparison_reasons
from tests.support.judgements import BASELINE, CHANGED, REASONS, comparison, judgement, judgements, verdict

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).parents[2] / "support" / "junit.xsd"))


def parse(text):
    root = etree.fromstring(text.encode())
    SCHEMA.assertValid(root)
    return root


def outcome(status, fail_on=(), **changes):
    """What the one metric of a comparison comes to: its test case's child that is not output, or None."""
    root = parse(junit(judgement(comparison(verdict(status=status, **changes)), fail_on=fail_on)))
    (case,) = root.findall("testsuite/testcase[@name='recall_mean']")
    return next((child for child in case if child.tag != "system-out"), None)


@pytest.mark.parametrize(
    ("status", "tag", "strict_tag"),
    [
        ("pass", None, None),
        ("fail", "failure", "failure"),
        ("missing", "error", "error"),
        ("better", None, "failure"),
        ("inconclusive", "skipped", "failure"),
        ("not comparable", "skipped", "skipped"),
        ("ungated", "skipped", "skipped"),
    ],
)
def test_each_status_in_the_terms_of_junit(status, tag, strict_tag):
    for fail_on, wanted in (((), tag), (FAIL_ON, strict_tag)):
        found = outcome(status, fail_on)
        assert (None if found is None else found.tag) == wanted
        if found is not None:
            assert (found.get("type"), found.get("message")) == (status, f"recall mean {REASONS[status]}")


def test_a_warning_passes_and_fails_where_that_was_asked_for():
    assert outcome("pass", cause=Cause.WARN) is None
    assert outcome("pass", ["better"], cause=Cause.WARN) is None
    assert outcome("pass", ["warn"], cause=Cause.WARN).get("type") == "warn"


def test_the_result_says_first_what_came_of_it_and_what_changed():
    judged = comparison(verdict(status="fail"), against=BASELINE, differences=CHANGED)
    (case,) = parse(junit(judgement(judged))).findall("testsuite/testcase[@name='result']")
    failure = case.find("failure")
    assert failure.get("message") == comparison_headline(judged)
    assert "changed since the baseline: commit 1a2b to 3c4d, uncommitted changes here, torch 2.4 to 2.5" in failure.text
    (case,) = parse(junit(judgement(comparison()))).findall("testsuite/testcase[@name='result']")
    assert case.find("system-out").text.startswith("PASS mine on a processor: recall mean is within what is allowed")


def test_the_figures_are_with_every_metric():
    text = outcome("fail").text
    for part in ("value: 90.00 percent, higher is better", "compared with: 90.91", "difference: -0.91 ± 0.61", "-1.00"):
        assert part in text
    assert REASONS["fail"] in text


@pytest.mark.parametrize("status", ["failed case", "no reference", "no baseline", "not comparable"])
def test_a_result_that_cannot_be_judged_is_an_error_of_its_own(status):
    judged = comparison(verdict(status="not comparable"), status=status)
    root = parse(junit(judgement(judged)))
    (error,) = root.findall(".//error")
    assert error.getparent().get("name") == "result"
    (why,) = comparison_reasons(judged)
    assert (error.get("type"), error.get("message")) == (status, comparison_headline(judged))
    assert error.text.splitlines() == [comparison_headline(judged), why]


def test_cases_are_known_by_names_that_do_not_change_from_run_to_run():
    names = []
    for run in ("mine-1", "mine-2"):
        root = parse(junit(judgement(comparison(runs=(run,), case="a.b@seed=1"))))
        assert root.find("testsuite").get("name") == run
        names.append([(case.get("classname"), case.get("name")) for case in root.iter("testcase")])
    assert names[0] == names[1] == [("clipbench.a_b@seed=1", "result"), ("clipbench.a_b@seed=1", "recall_mean")]


def test_two_results_of_one_case_do_not_share_a_name():
    root = parse(junit(judgement(comparison(), comparison())))
    names = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert len(names) == len(set(names)) == 4


def test_counts_are_those_of_the_cases():
    suite = comparison(verdict(status="fail"), verdict("val_loss", "missing"), verdict("train_loss", "ungated"))
    root = parse(junit(judgement(suite, comparison())))
    first = root.find("testsuite")
    assert [first.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["4", "2", "1", "1"]
    assert [root.get(key) for key in ("tests", "failures", "errors")] == ["6", "2", "1"]


def test_refused_files_and_no_results_are_errors():
    root = parse(junit(judgement(comparison(), problems=["x.json: broken", "y.json: broken"])))
    assert [error.get("message") for error in root.iter("error")] == ["x.json: broken", "y.json: broken"]
    (error,) = parse(junit(judgement())).iter("error")
    assert error.get("message") == "there is no result"


def test_what_xml_cannot_hold_is_spelt_out():
    assert clean("a\x00\x1b[31m\ud800\ufffe b\tc\n") == "a\\x00\\x1b[31m\\ud800\\ufffe b\tc\n"
    assert outcome("missing", note="<&\x1b>").get("message") == "recall mean is missing: <&\\x1b>"


@given(judgements)
def test_any_judgement_is_valid_and_red_exactly_when_the_exit_code_is(given):
    root = parse(junit(given))
    red = root.findall(".//failure") + root.findall(".//error")
    assert bool(red) == (given.exit_code != 0)
    assert len(red) == int(root.get("failures")) + int(root.get("errors"))
    assert len(root.findall(".//testcase")) >= sum(len(one.verdicts) for one in given.comparisons)

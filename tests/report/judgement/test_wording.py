"""Sentences about a judgement: one for every cause, and the verdict in a line."""

import pytest
from hypothesis import given

from clipbench.compare.verdicts import (
    Against,
    Bootstrap,
    Cause,
    CurveMatch,
    Difference,
    Failure,
    TimingTest,
    Unmatched,
)
from clipbench.report.judgement.wording import (
    comparison_reasons,
    comparison_warnings,
    detail,
    machine,
    reason,
    source_of,
    verdict_line,
)
from tests.support.judgements import REASONS, comparison, judgement, judgements, verdict

BASELINE = Against("baseline", "nightly", None, None, None)
TIMING = TimingTest("blocks ranked", (20, 30), 0.011, (2, 3))
SPEED = {"value": 90.0, "reference": 100.0, "error": 2.0, "limit": 3.0, "p_value": 0.0001, "evidence": TIMING}
RECALL = {"p_value": 0.0123, "evidence": Bootstrap(1000, True, (2, 2), True)}


@pytest.mark.parametrize("status", REASONS)
def test_every_status_has_its_sentence(status):
    judged = verdict(status=status)
    assert reason(judged, comparison(judged)) == REASONS[status]


@pytest.mark.parametrize(
    ("cause", "facts", "sentence"),
    [
        (None, {}, None),
        (Cause.TOLERANCE, RECALL, "0.91 below the baseline's 90.91 (p 0.012, error 0.61); up to 1 passes"),
        (Cause.CHANCE, RECALL, "0.91 below the baseline's 90.91 (p 0.012, error 0.61); it may still be chance"),
        (
            Cause.UNDETECTED_LOSS,
            RECALL,
            "0.91 below the baseline's 90.91 (p 0.012, error 0.61); the error does not rule out a loss of 1",
        ),
        (Cause.TOLERANCE, SPEED, "10.0% slower than the baseline (p < 0.0005, error 2.0%); up to 3% passes"),
        (
            Cause.OUTLIERS,
            SPEED,
            "10.0% slower than the baseline (p < 0.0005, error 2.0%); "
            "the median window differs by +1.1%: a few windows make the difference",
        ),
        (Cause.WARN, {}, "90 is 0.91 below the baseline's 90.91 (sampling error 0.61); more than 1 warns"),
        (Cause.NO_LIMIT, {}, "shown, not gated"),
        (Cause.NO_LIMIT, {"note": "to {90}"}, "to {90}; shown, not gated"),
        (Cause.NO_VALUE, {}, "missing (the result has no such metric)"),
        (Cause.OTHER_SEED, {}, "another seed: shown, not gated"),
        (Cause.CONDITIONS, {}, "conditions differ from the baseline's"),
        (Cause.CASE_FAILED, {}, "the case failed"),
    ],
)
def test_every_cause_has_its_sentence(cause, facts, sentence):
    judged = verdict(cause=cause, **facts)
    assert reason(judged, comparison(judged, against=BASELINE)) == sentence


def test_a_loss_curve_says_how_far_it_is_and_how_far_passes():
    curve = verdict("loss_curve", "fail", evidence=CurveMatch(0.06, 0.2, 0.05, 0.1))
    said = "mean relative error 6.00% (up to 5% passes), mean absolute error 0.2 (up to 0.1 passes)"
    assert reason(curve, comparison(curve)) == detail(curve) == said


def test_how_a_verdict_was_decided():
    assert detail(verdict()) is None
    ways = [
        (Bootstrap(1000, True, (2, 2), True), "paired bootstrap over 1000 images; 2 seeds, each on both sides"),
        (Bootstrap(1000, True, (1, 1), True), "paired bootstrap over 1000 images; one seed on both sides"),
        (Bootstrap(9, False, (1, 2), False), "unpaired bootstrap over 9 images; 1 seeds against 2 others"),
        (TIMING, "rank test over 20 and 30 blocks of windows, with the spread of 2 and 3 runs"),
        (TimingTest("t test", (4, 5), 0.0), "t test over 4 and 5 blocks of windows, too few to rank"),
    ]
    for evidence, said in ways:
        assert detail(verdict(evidence=evidence)) == said


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"failure": Failure("interrupted", "by hand")}, "the case was interrupted: by hand"),
        ({"unmatched": Unmatched("reference", None)}, "the suite names no reference"),
        ({"unmatched": Unmatched("reference", "x1", ("x2",))}, "'x1' was not found; did you mean 'x2'?"),
        ({"unmatched": Unmatched("baseline", "a on b")}, "no baseline was adopted for a on b; adopt one with: "),
        ({"unmatched": Unmatched("baseline", "a on b", ("c", "d"))}, "no baseline for a on b, only for c, d"),
        ({"bad_images": (3,)}, "3 images could not be read and were left out"),
        ({"differences": (Difference("data", "x", "1", "2"),)}, "x is 1, the reference has 2"),
        ({"verdicts": (verdict(status="ungated"),)}, "the reference gates no metric"),
    ],
)
def test_what_keeps_a_comparison_from_passing(facts, sentence):
    (said,) = comparison_reasons(comparison(**{"status": "not comparable", "differences": (), **facts}))
    assert sentence in said


def test_a_warning_is_no_reason():
    judged = comparison(verdict(cause=Cause.WARN))
    assert comparison_reasons(judged) == [] and len(comparison_warnings(judged)) == 1


def test_the_machine_in_words():
    assert machine("Card", "float16", 2) == "2 x Card, float16"
    assert machine(None, None, 1) == "device unknown, precision unknown"


def test_a_baseline_from_the_command_line_has_a_source():
    assert source_of(BASELINE) == "named on the command line"


def test_the_verdict_in_a_line():
    failed = comparison(verdict(status="fail"))
    warned = comparison(verdict(cause=Cause.WARN))
    assert verdict_line(judgement(comparison())) == "1 pass: exit code 0, every result passes"
    assert verdict_line(judgement(comparison(), failed)) == "1 pass, 1 fail: exit code 1, a gate failed"
    assert verdict_line(judgement()) == "no results: exit code 4, a case failed, or there is no result"
    assert verdict_line(judgement(warned)) == "1 pass: exit code 0, no gate failed, 1 with a warning"
    assert verdict_line(judgement(warned, strict=True)) == "1 pass: exit code 1, a warning, and --strict"
    assert verdict_line(judgement(problems=["x"])).startswith("1 refused file: exit code 3")


@given(judgements)
def test_every_reason_of_any_judgement_is_a_sentence(given_judgement):
    for one in given_judgement.comparisons:
        for judged in one.verdicts:
            assert (reason(judged, one) is None) == (judged.cause is None)
        assert bool(comparison_reasons(one)) or one.status in ("pass", "better", "inconclusive")

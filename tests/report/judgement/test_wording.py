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
    changes,
    comparison_reasons,
    comparison_warnings,
    detail,
    machine,
    reason,
    source_of,
    verdict_line,
)
from tests.support.judgements import CHANGED, REASONS, comparison, judgement, judgements, verdict

BASELINE = Against("baseline", "nightly", None, None, None, ("a", "b"))
TIMING = TimingTest("blocks ranked", (20, 30), 0.011, (2, 3))
LOSS = {"metric": "val_loss", "reference": 0.2, "limit": 0.01, "error": None}
SPEED = {"metric": "throughput", "value": 90.0, "reference": 100.0, "error": 2.0, "limit": 3.0}
SPEED |= {"p_value": 0.0001, "evidence": TIMING}
RECALL = {"p_value": 0.0123, "evidence": Bootstrap(1000, True, (2, 2), True)}


@pytest.mark.parametrize("status", REASONS)
def test_every_status_has_its_sentence(status):
    judged = verdict(status=status)
    assert reason(judged, comparison(judged)) == REASONS[status]


@pytest.mark.parametrize(
    ("cause", "facts", "sentence"),
    [
        (None, {}, None),
        (Cause.TOLERANCE, RECALL, "fell from 90.91 to 90.00 % (at most 1 point is allowed)"),
        (Cause.TOLERANCE, {"value": 30.0, "limit": 0.5}, "fell from 90.91 to 30.00 % (at most 0.5 points is allowed)"),
        (
            Cause.CHANCE,
            {**RECALL, "runs_needed": 5},
            "fell from 90.91 to 90.00 %, which may still be chance (+/- 0.61 points); "
            "5 seeds on each side are likely to decide: 3 more here and 3 more in the baseline",
        ),
        (
            Cause.UNDETECTED_LOSS,
            {"value": 90.91, **RECALL},
            "is 90.91 % on both sides, too noisy to rule out a loss of 1 point (+/- 0.61 points); "
            "up to 50 runs would hardly decide: measure where less disturbs it, or let only more count",
        ),
        (Cause.TOLERANCE, SPEED, "fell from 100.0 to 90.0 pairs/s, by 10 % (at most 3 % is allowed)"),
        (
            Cause.OUTLIERS,
            {**SPEED, "runs_needed": 6},
            "fell from 100.0 to 90.0 pairs/s, by 10 %, but the median window changed by +1.1 %: "
            "a few windows make the difference; 6 runs on each side are likely to decide: "
            "5 more here and 4 more in the baseline",
        ),
        (Cause.TOLERANCE, {**LOSS, "value": 0.25}, "rose from 0.2000 to 0.2500 nats (at most 0.0100 nats is allowed)"),
        (Cause.WARN, {}, "fell from 90.91 to 90.00 % (more than 1 point is a warning)"),
        (Cause.NO_LIMIT, {}, "is only shown"),
        (Cause.NO_LIMIT, {"note": "to {90}"}, "is only shown (to {90})"),
        (Cause.NO_VALUE, {}, "is missing: the result has no such metric"),
        (
            Cause.NO_QUERY_RANKS,
            {},
            "is missing: query ranks are not stored, or do not give the recall that the result states",
        ),
        (Cause.OTHER_SEED, {}, "is not compared: no seed is on both sides"),
        (Cause.CONDITIONS, {}, "is not compared: conditions differ from the baseline's"),
        (Cause.CASE_FAILED, {}, "is not judged: the case failed"),
    ],
)
def test_every_cause_has_its_sentence(cause, facts, sentence):
    judged = verdict(cause=cause, **facts)
    assert reason(judged, comparison(judged, against=BASELINE)) == sentence


def test_a_loss_curve_says_how_far_it_is_and_on_which_seeds():
    curve = verdict("loss_curve", "fail", limit=5.0, evidence=CurveMatch(0.06, 0.2, 0.05, 0.1, (0, 3)))
    both = comparison(curve, against=BASELINE)
    assert reason(curve, both) == (
        "is 6.0 % off the baseline's on average on the seeds 0, 3 that both sides have (at most 5 % is allowed)"
    )
    said = "mean relative error 6.00 % (up to 5 % passes), mean absolute error 0.2 (up to 0.1 passes)"
    assert detail(curve) == f"{said}; the seeds 0, 3 that both sides have"
    published = verdict("loss_curve", "fail", limit=5.0, evidence=CurveMatch(0.06, 0.2, 0.05, 0.1))
    assert (
        reason(published, comparison(published)) == "is 6.0 % off the reference's on average (at most 5 % is allowed)"
    )


def test_how_a_verdict_was_decided():
    assert detail(verdict()) is None
    ways = [
        (Bootstrap(1000, True, (2, 2), True), "paired bootstrap over 1000 images; 2 seeds, each on both sides"),
        (Bootstrap(1000, True, (1, 1), True), "paired bootstrap over 1000 images; one seed on both sides"),
        (Bootstrap(9, False, (1, 2), False), "unpaired bootstrap over 9 images; 1 seed against 2 others"),
    ]
    for evidence, said in ways:
        assert detail(verdict(evidence=evidence, p_value=0.0123)) == f"p 0.012, 95 % interval +/- 0.61 points; {said}"
    timed = [
        (TIMING, "rank test over 20 and 30 blocks of windows, with the spread of 2 and 3 runs"),
        (TimingTest("t test", (4, 5), 0.0), "t test over 4 and 5 blocks of windows, too few to rank"),
    ]
    for evidence, said in timed:
        assert detail(verdict(**{**SPEED, "evidence": evidence})) == f"p < 0.0005, 95 % interval +/- 2 %; {said}"


def test_what_changed_since_the_baseline_begins_with_what_matters_most():
    judged = comparison(against=BASELINE, differences=CHANGED)
    assert changes(judged) == [
        "commit 1a2b to 3c4d",
        "uncommitted changes here",
        "torch 2.4 to 2.5",
        "python 3.11 to 3.12",
    ]
    assert changes(comparison(differences=CHANGED)) == []  # published figures have no such facts
    many = tuple(Difference("", f"environment.packages.p{k}", "2", "1", "nothing") for k in range(10))
    assert changes(comparison(against=BASELINE, differences=many))[-2:] == [
        "p7 1 to 2",
        "2 more (--format json has all)",
    ]
    both = Difference("", "clipbench.dirty", "true", "true", "nothing")
    assert changes(comparison(against=BASELINE, differences=(both,))) == ["uncommitted changes on both sides"]


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
    look = "1 warn: exit code 0, no gate failed, but look at what does not simply pass"
    assert verdict_line(judgement(warned)) == look
    assert verdict_line(judgement(warned, fail_on=["warn", "better"])) == "1 warn: exit code 1, --fail-on better,warn"
    assert verdict_line(judgement(problems=["x"])).startswith("1 refused file: exit code 3")


@given(judgements)
def test_every_reason_of_any_judgement_is_a_sentence(given_judgement):
    for one in given_judgement.comparisons:
        for judged in one.verdicts:
            assert (reason(judged, one) is None) == (judged.cause is None)
        assert bool(comparison_reasons(one)) or one.status in ("pass", "better", "inconclusive")

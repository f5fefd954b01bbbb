"""The sentence that every output begins with."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from clipbench.compare.verdicts import Against, Cause, Failure, Unmatched
from clipbench.report.judgement.formats import FORMS
from clipbench.report.judgement.headline import headline
from tests.support.judgements import comparison, judgement, judgements, verdict

BASELINE = Against("baseline", "nightly", None, None, None, ("a",))
LOST = {"status": "fail", "value": 30.0, "reference": 92.4}
WARNED = verdict(cause=Cause.WARN)
BETTER = verdict(status="better"), verdict()
UNSURE = verdict(status="inconclusive"), verdict("throughput")


def of(*verdicts, **changes):
    changes = {"case": "quickstart", "device": "AMD EPYC", "against": BASELINE, **changes}
    return headline(judgement(comparison(*verdicts, **changes)))


def test_a_failure_names_the_value_that_fell_and_what_is_allowed():
    assert of(verdict("text_recall@1", **LOST), verdict()) == (
        "FAIL quickstart on AMD EPYC: text R@1 fell from 92.40 to 30.00 % (at most 1 point is allowed)"
    )


def test_of_several_failures_the_gravest_is_told_and_the_others_are_counted():
    said = of(verdict("recall_mean", "fail"), verdict("text_recall@1", **LOST), verdict("val_loss", "missing"))
    assert said.startswith("FAIL quickstart on AMD EPYC: text R@1 fell from 92.40 to 30.00 %")
    assert said.endswith("; 2 more metrics fail")
    missing = "FAIL quickstart on AMD EPYC: validation loss is missing: not measured"
    assert of(verdict("val_loss", "missing")) == missing


@pytest.mark.parametrize(
    ("verdicts", "facts", "said"),
    [
        ((), {"status": "failed case", "failure": Failure("failed", "x")}, "FAILED CASE {}: the case failed: x"),
        (
            (),
            {"status": "no reference", "unmatched": Unmatched("reference", None)},
            "NO REFERENCE {}: the suite names no reference",
        ),
        ((), {"runs": ("a", "b"), "world_size": 2}, "PASS quickstart (2 runs) on 2 x AMD EPYC: recall mean is within"),
        ([WARNED], {}, "WARN {}: recall mean fell from 90.91 to 90.00 % (more than 1 point is a warning)"),
        (BETTER, {}, "BETTER {}: recall mean fell"),
        (UNSURE, {}, "INCONCLUSIVE {}: recall mean fell from 90.91 to 90.00 %, which may still be chance "),
    ],
)
def test_every_verdict_has_its_sentence(verdicts, facts, said):
    assert of(*verdicts, **facts).startswith(said.format("quickstart on AMD EPYC"))


def test_what_takes_most_runs_to_decide_is_told_first():
    noisiest = verdict("image_recall@1", "inconclusive", runs_needed=9)
    assert "image R@1 fell" in of(*UNSURE, noisiest) and "9 runs on each side are likely to decide" in of(
        *UNSURE, noisiest
    )


def test_of_several_results_the_worst_is_told():
    fails, passes = comparison(verdict(status="fail")), comparison()
    assert headline(judgement(passes, fails)).startswith("FAIL mine on a processor: ")
    assert headline(judgement(passes, fails, fails)).endswith(" (and 1 more: fail)")
    two = judgement(passes, comparison(runs=("b",)))
    assert headline(two) == "PASS 2 runs of mine: every gated metric is within what is allowed"
    other = comparison(runs=("b",), suite="other")
    assert headline(judgement(passes, other)) == "PASS 2 runs: every gated metric is within what is allowed"
    assert headline(judgement(fails, problems=["x.json: a", "y"])) == "REFUSED x.json: a (and 1 more: refused)"
    assert headline(judgement()) == "NO RESULT: there is nothing to judge"


def runs(lost, **changes):
    """A comparison for each number of points of recall mean that a run has lost; 0 passes."""
    return [
        comparison(verdict(status="fail" if points else "pass", value=90.91 - points), runs=(f"{number}",), **changes)
        for number, points in enumerate(lost)
    ]


def test_of_many_runs_the_sentence_is_what_was_found_and_in_how_many():
    said = headline(judgement(*runs([0, 39, 0, 38, 0, 0, 0, 0, 0], suite="quickstart")))
    assert said == "FAIL quickstart lost up to 39 points of recall mean on 2 of 9 runs (at most 1 point is allowed)"
    other = runs([0, 5], suite="other")
    assert headline(judgement(*runs([0, 39, 0], suite="quickstart"), *other)).endswith(
        "on 1 of 3 runs (at most 1 point is allowed) (and 1 more: fail)"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"device": "Card B"}, "all on Card B"),
        ({"precision": "bfloat16", "case": "mine@precision=bfloat16"}, "all in bfloat16"),
        ({"engine": "jax"}, "all with jax"),
        ({"case": "mine@train.lr=0.1,train.batch_size=8"}, "all with train.lr=0.1"),
    ],
)
def test_what_the_failing_runs_alone_have_in_common_is_said(changes, words):
    failing = [replace(one, runs=(f"f{n}",), **changes) for n, one in enumerate(runs([3, 3]))]
    assert f"lost 3 points of recall mean on 2 of 5 runs, {words} (at most" in headline(
        judgement(*runs([0, 0, 0]), *failing)
    )
    # What a run that passes has too explains nothing.
    shared = [replace(one, runs=(f"p{n}",), **changes) for n, one in enumerate(runs([0]))]
    assert words not in headline(judgement(*runs([0, 0]), *failing, *shared))


def test_what_is_no_loss_is_told_by_its_reason():
    rose = verdict("val_loss", "fail", value=0.5, reference=0.1, limit=0.02)
    one, other = comparison(rose), comparison(runs=("b",))
    assert headline(judgement(one, other)) == (
        "FAIL mine gained 0.4000 nats of validation loss on 1 of 2 runs (at most 0.0200 nats is allowed)"
    )
    missing = comparison(verdict("val_loss", "missing"))
    assert headline(judgement(missing, other)) == ("FAIL mine on 1 of 2 runs: validation loss is missing: not measured")


def test_what_could_not_be_judged_is_counted_too():
    unlike = [comparison(status="not comparable", runs=(run,), case="mine@seed=9") for run in ("a", "b")]
    assert headline(judgement(*unlike, comparison(runs=("c",)))) == (
        "NOT COMPARABLE mine on 2 of 3 runs, all with seed=9: dataset.name is mine, the reference has theirs"
    )


@pytest.mark.parametrize("form", ["table", "markdown", "github"])
def test_every_output_begins_with_it(form):
    said = of(verdict("text_recall@1", **LOST))
    judged = judgement(
        comparison(verdict("text_recall@1", **LOST), case="quickstart", device="AMD EPYC", against=BASELINE)
    )
    text = " ".join(FORMS[form](judged).replace("%25", "%").split())
    assert said in text and text.index(said) < 40
    assert json.loads(FORMS["json"](judged))["headline"] == said
    assert f'message="{said}"' in FORMS["junit"](judged)


@given(judgements)
def test_any_judgement_has_one(given_judgement):
    assert headline(given_judgement).split()[0].isupper()

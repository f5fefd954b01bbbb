"""Results against earlier runs: what is found, what is not, and what cannot be decided."""

import copy
from dataclasses import replace

import pytest

from clipbench.api.result import BadImages, Result
from clipbench.compare.comparing import compare, ordered
from clipbench.compare.matching import Terms, match_baseline
from clipbench.compare.statistics.bootstrap import hits_of
from clipbench.compare.verdicts import Bootstrap, Cause, TimingTest
from clipbench.results.baselines import Baseline
from clipbench.results.measures.metrics import RECALL_NAMES
from tests.support.made_results import changed, classified, made_result, with_metric


def against(ours, theirs, allow=(), target=None):
    """One comparison of one or several results with one or several earlier ones."""
    ours, theirs = ([side] if isinstance(side, Result) else side for side in (ours, theirs))
    terms = Terms(frozenset(allow))
    return compare(match_baseline(ours, Baseline("base", tuple(theirs)), terms, target))


def verdict_of(comparison, metric="recall_mean"):
    (verdict,) = [verdict for verdict in comparison.verdicts if verdict.metric == metric]
    return verdict


def base(**changes):
    return made_result("base", draw=1, **changes)


# --- recall -------------------------------------------------------------------------------------------------------


def test_the_same_ranks_pass():
    comparison = against(made_result(), base())
    assert comparison.status == "pass"
    assert {verdict.cause for verdict in comparison.verdicts} <= {None, Cause.NO_LIMIT}
    assert {verdict_of(comparison, name).difference for name in RECALL_NAMES} == {0.0}
    assert verdict_of(comparison).evidence == Bootstrap(images=300, paired=True, seeds=(1, 1), same_seeds=True)


def test_a_loss_of_recall_fails_and_a_gain_is_better():
    worse, better = against(made_result(lost=0.06), base()), against(made_result(), base(lost=0.06))
    assert (worse.status, verdict_of(worse).status) == ("fail", "fail")
    assert verdict_of(worse).difference < -4
    assert (verdict_of(worse).cause, verdict_of(worse).limit) == (Cause.TOLERANCE, 0.5)
    assert verdict_of(worse).p_value < 0.0005
    assert (better.status, verdict_of(better).status) == ("better", "better")
    assert len(better.warned) > 0


def test_accuracies_are_judged_as_recalls_are():
    """By the pictures that both sides have classified: what they miss alike is no error of the difference."""
    same = against(classified(made_result()), classified(base()))
    worse = against(classified(made_result(), lost=0.06), classified(base()))
    assert (same.status, worse.status) == ("pass", "fail")
    for name in ("acc1", "acc5", "mean_per_class_recall"):
        verdict = verdict_of(worse, name)
        assert verdict_of(same, name).difference == 0.0 and verdict.difference < -4
        assert (verdict.cause, verdict.limit, verdict.evidence.paired) == (Cause.TOLERANCE, 1.0, True)
    assert verdict_of(worse, "text_recall@1").status == "pass"
    (better,) = {verdict_of(against(classified(made_result()), classified(base(), lost=0.06)), "acc1").status}
    assert better == "better"


def test_accuracies_that_one_side_lacks():
    """What the baseline has and the result has not fails; what is new is only shown."""
    lacking, new = against(made_result(), classified(base())), against(classified(made_result()), base())
    assert (verdict_of(lacking, "acc1").status, lacking.status) == ("missing", "fail")
    assert (verdict_of(new, "acc1").status, new.status) == ("ungated", "pass")
    few = against(classified(made_result(), classes=3), classified(base(), classes=3))
    assert verdict_of(few, "acc1").status == "pass" and verdict_of(few, "acc5").value is None


def test_the_verdict_does_not_depend_on_anything_drawn():
    ours, theirs = made_result(lost=0.03), base()
    assert against(ours, theirs) == against(copy.deepcopy(ours), copy.deepcopy(theirs))


def test_another_seed_alone_can_hardly_be_told_from_a_loss_but_ruin_can():
    slight, ruin = (against(made_result(seed=1, lost=lost), base(seed=0)) for lost in (0.015, 0.3))
    assert verdict_of(slight).status == "inconclusive"
    assert verdict_of(ruin).status == "fail"


def test_repeats_of_the_same_seeds_are_paired():
    """Seeds differ far more than what is lost; seen seed by seed the loss is plain."""

    def runs(lost):
        return [made_result(f"run-{seed}-{lost}", seed, lost=seed / 20 + lost) for seed in (0, 1, 2)]

    comparison = against(runs(0.04), runs(0.0))
    assert verdict_of(comparison).status == "fail"
    assert verdict_of(comparison).evidence == Bootstrap(300, True, (3, 3), same_seeds=True)
    other = [made_result(f"other-{seed}", seed + 5, lost=seed / 20 + 0.04) for seed in (0, 1, 2)]
    unpaired = against(other, runs(0.0))
    assert (verdict_of(unpaired).status, verdict_of(unpaired).evidence.same_seeds) == ("inconclusive", False)
    assert verdict_of(unpaired).error > 2 * verdict_of(comparison).error


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_a_recall_whose_ranks_do_not_give_it_is_missing(side):
    sides = {"ours": made_result(), "theirs": base()}
    sides[side] = changed(sides[side], "query_ranks.text", [0] * 300)
    comparison = against(**sides)
    assert (comparison.status, verdict_of(comparison).status) == ("fail", "missing")
    assert verdict_of(comparison).cause is Cause.NO_QUERY_RANKS


def test_other_queries_are_compared_unpaired_once_that_is_allowed():
    theirs = changed(base(), "dataset.val.annotation_sha256", "1" * 64)
    assert against(made_result(), theirs).status == "not comparable"
    allowed = against(made_result(), theirs, ["evaluation"])
    assert not verdict_of(allowed).evidence.paired
    assert verdict_of(allowed).error > verdict_of(against(made_result(), base())).error


# --- speed --------------------------------------------------------------------------------------------------------


def speed(comparison):
    return verdict_of(comparison, "throughput")


@pytest.mark.parametrize(("slower", "status"), [(0.06, "fail"), (0.0, "pass"), (0.015, "pass"), (-0.1, "better")])
def test_throughput_is_judged_from_its_windows(slower, status):
    comparison = against(made_result(slower=slower, draw=2), base())
    assert speed(comparison).status == comparison.status == status
    assert speed(comparison).difference == pytest.approx(-slower * 500, abs=6)


def test_fast_and_wrong_fails_and_right_and_slow_fails():
    assert against(made_result(slower=-0.2, lost=0.1), base()).status == "fail"
    assert against(made_result(slower=0.2), base()).status == "fail"


def test_a_few_stalls_are_no_slowdown_that_is_sure():
    verdict = speed(against(made_result(draw=2, stalled=5.0), base()))
    assert (verdict.status, verdict.cause, verdict.runs_needed) == ("inconclusive", Cause.OUTLIERS, 6)
    assert abs(verdict.evidence.median_gain) < 0.03


def test_a_few_fast_windows_do_not_hide_that_all_others_are_slow():
    """Two windows of forty that took no time make up for all others, which are 4 % slower."""
    hidden = speed(against(made_result(slower=0.04, draw=2, stalled=0.05), base()))
    assert hidden.difference > -5
    assert (hidden.status, hidden.cause) == ("inconclusive", Cause.OUTLIERS)


def test_stalls_in_six_runs_on_each_side_are_a_slowdown():
    runs = [[made_result(f"{d}-{k}", draw=d + k, stalled=s) for k in range(6)] for d, s in ((30, 5.0), (50, 1.0))]
    assert speed(against(*runs)).status == "fail"


@pytest.mark.parametrize(("slower", "status"), [(0.05, "inconclusive"), (0.5, "fail"), (0.0, "pass")])
def test_three_windows_tell_only_what_is_gross(slower, status):
    ours, theirs = (made_result(windows=3, losses=(0.5,), slower=s, draw=d) for s, d in ((slower, 1), (0.0, 2)))
    verdict = speed(against(ours, theirs))
    assert verdict.status == status


def test_runs_that_differ_as_wholes_hide_a_slowdown_that_equal_runs_show():
    def runs(spread, slower, draw):
        return [made_result(f"{draw}-{k}", slower=slower + k * spread, draw=draw + k) for k in range(3)]

    assert speed(against(runs(0.0, 0.05, 10), runs(0.0, 0.0, 20))).status == "fail"
    verdict = speed(against(runs(0.05, 0.05, 10), runs(0.05, 0.0, 20)))
    assert verdict.status == "inconclusive" and verdict.cause in (Cause.CHANCE, Cause.UNDETECTED_LOSS)
    assert (verdict.evidence.test, verdict.evidence.runs) == ("blocks ranked", (3, 3))


def test_six_runs_on_each_side_are_ranked_themselves():
    sides = [[made_result(f"{d}-{k}", slower=s, draw=d + k) for k in range(6)] for s, d in ((0.05, 30), (0.0, 50))]
    verdict = speed(against(*sides))
    assert verdict.status == "fail"
    assert verdict.evidence == TimingTest("runs ranked", (6, 6), verdict.evidence.median_gain)


def test_throughput_that_was_not_measured_fails_its_gate_with_the_reason():
    ours = made_result(windows=0)
    comparison = against(ours, base())
    assert (comparison.status, speed(comparison).status) == ("fail", "missing")
    assert speed(comparison).note == "all steps were warm-up"
    assert speed(against(made_result(), base(windows=0))).cause is Cause.NO_FIGURE


def test_a_timing_that_is_not_trusted_is_missing_whatever_its_windows_say():
    ours = with_metric(made_result(), "throughput", value=None, reason="others used the device")
    assert (speed(against(ours, base())).status, speed(against(ours, base())).note) == (
        "missing",
        "others used the device",
    )


# --- quality over the run -----------------------------------------------------------------------------------------


def test_a_target_that_the_baseline_reached_must_be_reached():
    comparison = against(made_result(lost=0.1), base(), target=90.0)
    assert verdict_of(comparison, "epochs_to_quality").status == "missing"
    assert "never reached 90" in verdict_of(comparison, "seconds_to_quality").note
    reached = verdict_of(against(made_result(), base(), target=90.0), "seconds_to_quality")
    assert (reached.status, reached.value, reached.reference) == ("ungated", 42.0, 42.0)


@pytest.mark.parametrize(
    ("seed", "losses", "status"),
    [(0, (0.5, 0.25), "pass"), (0, (0.6, 0.35), "fail"), (1, (0.6, 0.35), "ungated"), (0, (0.5, 0.25, 0.1), "missing")],
)
def test_the_loss_curve_of_the_same_seed_must_match(seed, losses, status):
    comparison = against(made_result(seed=seed, losses=losses, epochs=2), base())
    assert verdict_of(comparison, "loss_curve").status == status
    assert comparison.status == ("fail" if status in ("fail", "missing") else "pass")


def curve(ours, theirs):
    return verdict_of(against(ours, theirs), "loss_curve")


def test_more_seeds_in_the_baseline_never_weaken_the_match_of_loss_curves():
    """A run that fails beside its own seed fails too where the baseline has others, whatever those did."""
    lost = made_result(losses=(0.6, 0.35))
    baselines = [base(), *(made_result(f"seed-{n}", n, losses=(0.7, 0.45)) for n in (1, 2))]
    for theirs in (baselines[:1], baselines[:2], baselines):
        verdict = curve(lost, theirs)
        assert (verdict.status, verdict.evidence.seeds) == ("fail", (0,))
    # A run of another seed that is like its own baseline hides nothing either.
    both = curve([lost, made_result("again", 1, losses=(0.7, 0.45))], baselines)
    assert (both.status, both.evidence.seeds) == ("fail", (0, 1))
    assert curve(made_result(), baselines).status == "pass"


def test_loss_curves_of_other_seeds_are_not_compared():
    verdict = curve(made_result(seed=5, losses=(0.9, 0.9)), [base()])
    assert (verdict.cause, verdict.value) == (Cause.OTHER_SEED, None)


def test_of_several_repeats_the_worst_curve_counts():
    runs = [made_result("a"), made_result("b", losses=(0.6, 0.35))]
    assert curve(runs, base()).status == "fail"
    unlike = [made_result("a"), made_result("b", losses=(0.5, 0.25, 0.1))]
    assert curve(unlike, base()).note == "b: it has 3 epochs, the curve 2"


# --- comparability ------------------------------------------------------------------------------------------------


def test_across_a_difference_that_counts_nothing_passes_or_fails_until_it_is_allowed():
    other_card = changed(made_result(), "environment.device.name", "Card 2")
    comparison = against(other_card, base(lost=0.2))
    assert comparison.status == "not comparable"
    (difference,) = comparison.blocking
    assert (difference.path, difference.ours, difference.theirs) == ("environment.device.name", "Card 2", "Card 1")
    assert {(v.status, v.cause) for v in comparison.verdicts} == {("not comparable", Cause.CONDITIONS)}
    allowed = against(other_card, base(), ["device"])
    assert allowed.status == "pass"
    assert [d.name for d in allowed.differences if d.allowed] == ["device"]
    assert against(other_card, base(), ["world_size"]).status == "not comparable"


def test_settings_of_speed_leave_recall_comparable():
    ours = changed(made_result(slower=0.3), "config.train.compile", "default")
    comparison = against(ours, base(), target=90.0)
    assert (comparison.status, speed(comparison).status) == ("pass", "not comparable")
    assert [d.path for d in speed(comparison).differences] == ["config.train.compile"]
    assert verdict_of(comparison, "seconds_to_quality").status == "not comparable"
    assert verdict_of(comparison, "epochs_to_quality").status == "ungated"
    assert against(ours, base(), ["settings"]).status == "fail"


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_images_left_out_make_a_result_incomparable(side):
    sides = {"ours": made_result(), "theirs": base()}
    sides[side] = replace(sides[side], bad_images=BadImages(2))
    comparison = against(**sides, allow=["data", "evaluation"])
    assert (comparison.status, comparison.bad_images) == ("not comparable", (2,))


def test_query_ranks_and_recalls_of_made_results_agree():
    result = made_result(lost=0.1)
    assert hits_of(result.query_ranks).recalls()["recall_mean"] == pytest.approx(result.value("recall_mean"))


def test_a_metric_of_a_plugin_is_shown_with_its_own_unit_after_all_others():
    ours = with_metric(made_result(), "joules", value=7.0, unit="J", direction="lower")
    comparison = against(ours, base())
    verdict = verdict_of(comparison, "joules")
    assert (verdict.status, verdict.value, verdict.unit, verdict.direction) == ("ungated", 7.0, "J", "lower")
    assert comparison.verdicts[-1] is verdict
    assert ordered(["z", "loss_curve", "recall_mean", "a"]) == ["recall_mean", "loss_curve", "a", "z"]

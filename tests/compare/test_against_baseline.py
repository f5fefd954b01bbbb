"""Results against earlier runs: what is found, what is not, and what cannot be told."""

import copy

import pytest

from clipbench.compare.against_baseline import compare_group, compare_with_baselines
from clipbench.compare.against_reference import Terms
from clipbench.compare.bootstrap import hits_of
from clipbench.compare.significance import Effect, Limits, Thresholds
from clipbench.results.baselines import Baseline, as_baselines
from clipbench.results.metrics import RECALL_NAMES
from tests.support.made_results import failed, made_result


def against(ours, theirs, allow=(), target=None):
    """One comparison of one or several results with one or several earlier ones."""
    ours, theirs = ([side] if isinstance(side, dict) else side for side in (ours, theirs))
    return compare_group(ours, Baseline("base", tuple(theirs)), Terms(frozenset(allow)), Thresholds(), target)


def verdict_of(comparison, metric="recall_mean"):
    (found,) = [verdict for verdict in comparison.verdicts if verdict.metric == metric]
    return found


def base(**changes):
    return made_result("base", draw=1, **changes)


# --- one verdict --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "error", "chance", "doubt", "status"),
    [
        (-1.0, 0.2, 1e-4, None, "fail"),
        (-1.0, 0.2, 0.01, None, "inconclusive"),
        (-1.0, 0.2, 0.1, None, "pass"),
        (-1.0, 0.7, 0.1, None, "inconclusive"),
        (-1.0, 0.2, 1e-4, "a few windows", "inconclusive"),
        (-0.4, 0.1, 1e-4, None, "pass"),
        (-0.4, 1.4, 0.4, None, "inconclusive"),
        (0.0, 0.5, 0.5, None, "pass"),
        (1.0, 0.2, 1e-4, None, "better"),
        (1.0, 0.9, 0.1, None, "pass"),
    ],
)
def test_only_what_is_large_and_sure_fails_and_only_what_rules_a_loss_out_passes(gain, error, chance, doubt, status):
    limits = Limits(least=0.5, open=1.5, alpha=0.001, doubtful=0.02)
    assert Effect(gain, error, chance, chance, limits, doubt).judge()[0] == status


# --- recall -------------------------------------------------------------------------------------------------------


def test_the_same_ranks_pass():
    comparison = against(made_result(), base())
    assert comparison.status == "pass"
    assert comparison.reasons == comparison.warnings == ()
    assert {verdict_of(comparison, name).difference for name in RECALL_NAMES} == {0.0}
    assert "paired bootstrap over 300 images; one seed on both sides" in verdict_of(comparison).detail


def test_a_loss_of_recall_fails_and_a_gain_is_better():
    worse, better = against(made_result(lost=0.06), base()), against(made_result(), base(lost=0.06))
    assert (worse.status, verdict_of(worse).status) == ("fail", "fail")
    assert verdict_of(worse).difference < -4
    assert any(reason.startswith("recall_mean: ") and "up to 0.5 passes" in reason for reason in worse.reasons)
    assert (better.status, verdict_of(better).status) == ("better", "better")
    assert better.reasons == () and len(better.warnings) > 0


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
    assert "3 seeds, each on both sides" in verdict_of(comparison).detail
    other = [made_result(f"other-{seed}", seed + 5, lost=seed / 20 + 0.04) for seed in (0, 1, 2)]
    unpaired = against(other, runs(0.0))
    assert verdict_of(unpaired).status == "inconclusive"
    assert verdict_of(unpaired).error > 2 * verdict_of(comparison).error


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_ranks_that_do_not_give_the_stated_recall_decide_nothing(side):
    ours, theirs = made_result(), base()
    changed = ours if side == "ours" else theirs
    changed["ranks"]["text"] = [0] * len(changed["ranks"]["text"])
    comparison = against(ours, theirs)
    assert (comparison.status, verdict_of(comparison).status) == ("inconclusive", "inconclusive")
    assert "ranks" in verdict_of(comparison).reason


def test_other_queries_are_compared_unpaired_once_that_is_allowed():
    theirs = base()
    theirs["dataset"] = copy.deepcopy(theirs["dataset"])
    theirs["dataset"]["val"]["annotation_sha256"] = "1" * 64
    assert against(made_result(), theirs).status == "not comparable"
    allowed = against(made_result(), theirs, ["evaluation"])
    assert "unpaired" in verdict_of(allowed).detail
    assert verdict_of(allowed).error > verdict_of(against(made_result(), base())).error


# --- speed --------------------------------------------------------------------------------------------------------


def speed(comparison):
    return verdict_of(comparison, "samples_per_second")


@pytest.mark.parametrize(("slower", "status"), [(0.06, "fail"), (0.0, "pass"), (0.015, "pass"), (-0.1, "better")])
def test_throughput_is_judged_from_its_windows(slower, status):
    comparison = against(made_result(slower=slower, draw=2), base())
    assert speed(comparison).status == comparison.status == status
    assert speed(comparison).difference == pytest.approx(-slower * 500, abs=6)


def test_fast_and_wrong_fails_and_right_and_slow_fails():
    assert against(made_result(slower=-0.2, lost=0.1), base()).status == "fail"
    assert against(made_result(slower=0.2), base()).status == "fail"


def test_a_few_stalls_are_no_slowdown_that_is_sure():
    stalled = made_result(draw=2)
    for record in stalled["epochs"]:
        record["windows"][0][1] *= 5
    verdict = speed(against(stalled, base()))
    assert verdict.status == "inconclusive"
    assert "a few windows make the difference" in verdict.reason


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
    assert verdict.status == "inconclusive"
    assert "3 and 3 runs as they spread" in verdict.detail or "may still be chance" in verdict.reason


def test_six_runs_on_each_side_are_ranked_themselves():
    sides = [[made_result(f"{d}-{k}", slower=s, draw=d + k) for k in range(6)] for s, d in ((0.05, 30), (0.0, 50))]
    verdict = speed(against(*sides))
    assert (verdict.status, verdict.detail) == ("fail", "rank test over 6 and 6 runs")


def test_throughput_that_was_not_measured_fails_its_gate_with_the_reason():
    ours = made_result(windows=0)
    comparison = against(ours, base())
    assert (comparison.status, speed(comparison).status) == ("fail", "missing")
    assert speed(comparison).reason == "missing (all steps were warm-up)"
    assert speed(against(made_result(), base(windows=0))).status == "ungated"


def test_a_timing_that_is_not_trusted_is_missing_whatever_its_windows_say():
    ours = made_result()
    ours["metrics"] = copy.deepcopy(ours["metrics"])
    ours["metrics"]["last"]["values"]["samples_per_second"].update(value=None, reason="others used the device")
    assert speed(against(ours, base())).reason == "missing (others used the device)"


# --- quality over the run -----------------------------------------------------------------------------------------


def test_a_target_that_the_baseline_reached_must_be_reached():
    comparison = against(made_result(lost=0.1), base(), target=90.0)
    assert verdict_of(comparison, "epochs_to_quality").status == "missing"
    assert "never reached 90" in verdict_of(comparison, "seconds_to_quality").reason
    reached = verdict_of(against(made_result(), base(), target=90.0), "seconds_to_quality")
    assert (reached.status, reached.value, reached.reference) == ("ungated", 12.0, 12.0)


@pytest.mark.parametrize(
    ("seed", "losses", "status"),
    [(0, (0.5, 0.25), "pass"), (0, (0.6, 0.35), "fail"), (1, (0.6, 0.35), "ungated"), (0, (0.5, 0.25, 0.1), "missing")],
)
def test_the_loss_curve_of_the_same_seed_must_match(seed, losses, status):
    comparison = against(made_result(seed=seed, losses=losses), base())
    assert verdict_of(comparison, "loss_curve").status == status
    assert comparison.status == ("fail" if status in ("fail", "missing") else "pass")


# --- comparability ------------------------------------------------------------------------------------------------


def on_another_card():
    result = made_result()
    result["environment"]["device"]["name"] = "Card 2"
    return result


def test_across_a_difference_that_counts_nothing_passes_or_fails_until_it_is_allowed():
    comparison = against(on_another_card(), base(lost=0.2))
    assert comparison.status == "not comparable"
    assert comparison.reasons == ("environment.device.name is Card 2, the baseline has Card 1",)
    assert {verdict.status for verdict in comparison.verdicts} == {"not comparable"}
    allowed = against(on_another_card(), base(), ["device"])
    assert allowed.status == "pass"
    assert [d.name for d in allowed.differences if d.allowed] == ["device"]
    assert against(on_another_card(), base(), ["ranks"]).status == "not comparable"


def test_settings_of_speed_leave_recall_comparable():
    ours = made_result(slower=0.3)
    ours["config"]["train"]["compile"] = "default"
    comparison = against(ours, base())
    assert (comparison.status, speed(comparison).status) == ("pass", "not comparable")
    assert against(ours, base(), ["settings"]).status == "fail"


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_images_left_out_make_a_result_incomparable(side):
    ours, theirs = made_result(), base()
    (ours if side == "ours" else theirs)["bad_images"] = {"skipped": 2}
    comparison = against(ours, theirs, ["data", "evaluation"])
    assert comparison.status == "not comparable"
    assert "2 images could not be read" in comparison.reasons[0]


# --- many ---------------------------------------------------------------------------------------------------------


def judged(results, baselines):
    return compare_with_baselines(results, baselines, Terms(), Thresholds(), lambda result: None)


def test_repeats_are_pooled_and_failed_cases_stand_alone():
    results = [made_result("a", draw=1), made_result("b", draw=2), failed(made_result("c"))]
    found = judged(results, as_baselines("base", [base()]))
    assert [(comparison.runs, comparison.status) for comparison in found] == [
        (("c",), "failed case"),
        (("a", "b"), "pass"),
    ]
    assert found[1].title == "quickstart (2 runs)"


def test_results_of_older_software_do_not_hide_a_loss():
    old = [made_result(f"old-{k}", draw=k) for k in range(5)]
    new = made_result("new", lost=0.1)
    new["environment"]["packages"] = {"torch": "2.5.0"}
    found = judged([*old, new], as_baselines("base", [base()]))
    assert [comparison.status for comparison in found] == ["pass", "fail"]
    assert "environment.packages.torch" in {difference.path for difference in found[1].differences}


def test_without_a_baseline_for_the_case_nothing_passes():
    other = base()
    other["case"] = "another"
    adopted = [Baseline("x", (other,), "why", "2026-01-01T00:00:00Z")]
    (comparison,) = judged([made_result()], adopted)
    assert comparison.status == "no baseline"
    assert comparison.reasons == ("there is no baseline for quickstart on Card 1, only for another on Card 1",)


def test_ranks_and_recalls_of_made_results_agree():
    result = made_result(lost=0.1)
    assert hits_of(result["ranks"]).recalls()["recall_mean"] == pytest.approx(
        result["metrics"]["last"]["values"]["recall_mean"]["value"]
    )

"""Verdicts on figures of a reference: what passes, what fails and what cannot be compared."""

import copy
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.compare.comparing import compare
from clipbench.compare.deciding import by_significance, by_tolerance
from clipbench.compare.matching import Terms, match_reference
from clipbench.compare.statistics.significance import Effect, Limits
from clipbench.compare.verdicts import Bootstrap, Cause, Difference, Judgement, status_of
from clipbench.errors import ExitCode
from clipbench.results.references import Reference, ReferenceMetric
from tests.support.made_results import changed, failed, made_result, with_metric, without_metric


@pytest.fixture
def result():
    return with_metric(made_result(), "recall_mean", value=90.0)


def figure(value=90.0, tolerance=1.0, direction="higher", unit="percent", warn=None, better=None, **conditions):
    return ReferenceMetric(value, unit, direction, tolerance, conditions, warn, better)


def figures(metrics=None, conditions=None, name="figures", **others):
    metrics = {"recall_mean": figure()} if metrics is None else metrics
    described = dict.fromkeys(("date", "device", "precision", "batch_size", "epochs"))
    conditions, path = conditions or {}, Path("figures.json")
    return Reference(
        name, "", "a source", **described, metrics=metrics, conditions=conditions, notes=(), path=path, **others
    )


def compared(result, reference, terms=None):
    return compare(match_reference(result, {reference.name: reference}, reference.name, terms))


def verdict_of(comparison, metric="recall_mean"):
    (verdict,) = [verdict for verdict in comparison.verdicts if verdict.metric == metric]
    return verdict


SPEED_ON_SDAA = figure(9.82, 1.0, unit="pairs/s", **{"environment.device.kind": "sdaa", "config.train.batch_size": 16})
DIFFERS_FROM_SDAA = (
    Difference("device", "environment.device.kind", "card", "sdaa"),
    Difference("batch", "config.train.batch_size", "50", "16"),
)


# --- one metric ---------------------------------------------------------------------------------------------------

numbers = st.floats(-1e6, 1e6)
directions = st.sampled_from(["higher", "lower"])


def is_within(value, published):
    return status_of(by_tolerance(value, published).cause) in ("pass", "better")


@given(value=numbers, tolerance=st.floats(0, 1e6), direction=directions, better=st.floats(0, 1e6))
def test_equal_or_better_is_within(value, tolerance, direction, better):
    published = figure(value, tolerance, direction)
    assert is_within(value, published)
    assert is_within(value + better if direction == "higher" else value - better, published)


@given(value=st.integers(0, 10_000), tolerance=st.integers(0, 500), direction=directions, more=st.integers(1, 500))
def test_up_to_the_tolerance_worse_is_within_and_a_hundredth_more_is_not(value, tolerance, direction, more):
    """In hundredths, as recalls are published, where binary fractions round either way."""
    sign = -1 if direction == "higher" else 1
    published = figure(value / 100, tolerance / 100, direction)
    assert is_within((value + sign * tolerance) / 100, published)
    assert not is_within((value + sign * (tolerance + more)) / 100, published)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_a_value_that_is_no_number_fails_its_gate(result, value, direction):
    result = with_metric(result, "recall_mean", value=value, direction=direction)
    comparison = compared(result, figures({"recall_mean": figure(direction=direction)}))
    assert (comparison.status, verdict_of(comparison).status) == ("fail", "missing")
    assert verdict_of(comparison).note == "not a finite number"
    assert Judgement((comparison,)).exit_code == ExitCode.GATE_FAILED


def test_a_missing_metric_fails_its_gate_with_the_results_reason(result):
    result = with_metric(result, "val_loss", value=None, reason="the split is smaller than a batch")
    metrics = {"recall_mean": figure(), "val_loss": figure(1.0, 1.0, "lower", "nats"), "text_recall@1": figure(80.0)}
    comparison = compared(without_metric(result, "recall_mean"), figures(metrics))
    assert comparison.status == "fail"
    assert verdict_of(comparison, "text_recall@1").status == "pass"
    notes = {verdict.metric: verdict.note for verdict in comparison.verdicts if verdict.cause is Cause.NO_VALUE}
    assert notes == {"recall_mean": None, "val_loss": "the split is smaller than a batch"}


def test_a_run_that_was_never_evaluated_fails_its_gates(result):
    assert compared(changed(result, "metrics.last", None), figures()).status == "fail"


def test_a_result_equal_to_its_reference_passes_without_a_cause(result):
    metrics = {
        name: figure(metric.value, 0.0, metric.direction, metric.unit)
        for name, metric in result.metrics.last.values.items()
    }
    comparison = compared(result, figures(metrics))
    assert comparison.status == "pass"
    assert {(verdict.difference, verdict.cause) for verdict in comparison.verdicts} == {(0.0, None)}


@pytest.mark.parametrize(
    ("direction", "value", "status", "cause", "limit"),
    [
        ("higher", 88.5, "fail", Cause.TOLERANCE, 1.0),
        ("higher", 91.0, "pass", None, None),
        ("lower", 91.5, "fail", Cause.TOLERANCE, 1.0),
        ("lower", 89.0, "pass", None, None),
    ],
)
def test_a_tolerance_has_one_side(result, direction, value, status, cause, limit):
    result = with_metric(result, "recall_mean", value=value, direction=direction)
    verdict = verdict_of(compared(result, figures({"recall_mean": figure(direction=direction)})))
    assert (verdict.status, verdict.cause, verdict.limit) == (status, cause, limit)
    assert verdict.difference == value - 90


@pytest.mark.parametrize(("direction", "value"), [("higher", 91.5), ("lower", 88.5)])
def test_beyond_the_tolerance_on_the_good_side_is_better_and_a_warning(result, direction, value):
    result = with_metric(result, "recall_mean", value=value, direction=direction)
    comparison = compared(result, figures({"recall_mean": figure(direction=direction)}))
    assert (comparison.status, verdict_of(comparison).status) == ("better", "better")
    assert comparison.warned == (verdict_of(comparison),)
    assert (verdict_of(comparison).cause, verdict_of(comparison).limit) == (Cause.BETTER, 1.0)
    assert Judgement((comparison,)).exit_code == 0
    assert Judgement((comparison,), fail_on=frozenset(["better"])).exit_code == 1


def test_what_is_better_can_have_a_level_of_its_own(result):
    result = with_metric(result, "recall_mean", value=91.5)
    assert compared(result, figures({"recall_mean": figure(better=2.0)})).status == "pass"
    assert compared(result, figures({"recall_mean": figure(tolerance=9.0, better=1.0)})).status == "better"


@pytest.mark.parametrize(("value", "warns"), [(89.5, False), (89.4, True), (90.9, False)])
def test_a_pass_beyond_the_warning_level_warns(result, value, warns):
    result = with_metric(result, "recall_mean", value=value)
    comparison = compared(result, figures({"recall_mean": figure(warn=0.5)}))
    verdict = verdict_of(comparison)
    assert (comparison.status, verdict.status) == ("pass", "pass")
    assert (verdict.label, verdict.limit) == (("warn", 0.5) if warns else ("pass", None))
    assert len(comparison.warned) == warns
    assert Judgement((comparison,)).exit_code == 0
    assert Judgement((comparison,), fail_on=frozenset(["warn"])).exit_code == (1 if warns else 0)


def test_a_refused_reference_gives_no_warnings(result):
    result = with_metric(result, "recall_mean", value=95.0)
    comparison = compared(result, figures(conditions={"config.world_size": 9}))
    assert (comparison.status, comparison.warned) == ("not comparable", ())


@pytest.mark.parametrize("change", [{"unit": "share"}, {"direction": "lower"}])
def test_another_unit_or_direction_is_not_comparable(result, change):
    comparison = compared(with_metric(result, "recall_mean", **change), figures())
    assert comparison.status == "not comparable"
    (difference,) = verdict_of(comparison).differences
    assert (difference.path, difference.ours) == (f"its {next(iter(change))}", next(iter(change.values())))


def test_without_a_tolerance_a_metric_is_shown_and_gates_nothing(result):
    metrics = {"recall_mean": figure(), "text_recall@1": figure(94.0, None), "unheard_of": figure(1.0, None)}
    comparison = compared(result, figures(metrics))
    assert comparison.status == "pass"
    verdict = verdict_of(comparison, "text_recall@1")
    assert (verdict.status, verdict.cause, verdict.difference) == ("ungated", Cause.NO_LIMIT, -14.0)
    assert verdict_of(comparison, "unheard_of").status == "ungated"
    assert verdict_of(comparison, "unheard_of").value is None


def test_metrics_that_the_reference_lacks_are_shown(result):
    verdict = verdict_of(compared(result, figures()), "val_loss")
    assert (verdict.status, verdict.cause) == ("ungated", Cause.NO_FIGURE)
    assert (verdict.value, verdict.reference) == (0.25, None)


# --- significance -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "error", "p_value", "typical", "decision"),
    [
        (-1.0, 0.2, 1e-4, None, (Cause.TOLERANCE, 0.5)),
        (-1.0, 0.2, 0.01, None, (Cause.CHANCE, None)),
        (-1.0, 0.2, 0.1, None, (None, None)),
        (-1.0, 0.7, 0.1, None, (Cause.UNDETECTED_LOSS, 1.5)),
        (-1.0, 0.2, 1e-4, 0.1, (Cause.OUTLIERS, None)),
        (0.1, 0.2, 1e-4, -1.0, (Cause.OUTLIERS, None)),
        (0.1, 0.2, 0.1, -1.0, (None, None)),
        (-0.4, 0.1, 1e-4, None, (None, None)),
        (-0.4, 1.4, 0.4, None, (Cause.UNDETECTED_LOSS, 1.5)),
        (0.0, 0.5, 0.5, None, (None, None)),
        (1.0, 0.2, 1e-4, None, (Cause.BETTER, 0.5)),
        (1.0, 0.2, 1e-4, 0.1, (None, None)),
        (1.0, 0.9, 0.1, None, (None, None)),
    ],
)
def test_only_what_is_large_and_sure_fails_and_only_what_rules_a_loss_out_passes(
    gain, error, p_value, typical, decision
):
    limits = Limits(min_effect=0.5, max_undetected_loss=1.5, alpha=0.001, warn_alpha=0.02)
    effect = Effect(gain, error, p_value, p_value, Bootstrap(1, True, (1, 1), True), (1, 1), error, 10, typical)
    assert by_significance(effect, limits) == decision


# --- beside the metrics of an epoch -------------------------------------------------------------------------------


def test_the_sampling_error_is_shown_beside_the_difference():
    comparison = compared(made_result(lost=0.1), figures({"recall_mean": figure(86.0, 5.0)}))
    assert verdict_of(comparison).error == pytest.approx(1.9, abs=0.3)
    other = changed(made_result(lost=0.1), "query_ranks.epoch", 1)
    assert verdict_of(compared(other, figures())).error is None


def test_sampling_errors_can_be_left_out_and_decide_nothing():
    result, reference = made_result(lost=0.1), figures({"recall_mean": figure(86.0, 5.0)})
    match = match_reference(result, {"figures": reference}, "figures")
    without = compare(match, errors=False)
    assert {verdict.error for verdict in without.verdicts} == {None}
    full = compare(match)
    assert [replace(verdict, error=None) for verdict in full.verdicts] == list(without.verdicts)


@pytest.mark.parametrize(("target", "status", "value"), [(90.0, "pass", 42.0), (97.0, "missing", None)])
def test_time_to_quality_can_be_gated(target, status, value):
    metrics = {"seconds_to_quality": figure(45.0, 5.0, "lower", "s")}
    comparison = compared(made_result(), figures(metrics, target=target))
    verdict = verdict_of(comparison, "seconds_to_quality")
    assert (verdict.status, verdict.value) == (status, value)
    assert comparison.status == ("pass" if status == "pass" else "fail")
    overruled = compared(made_result(), figures(metrics, target=target), Terms(target=10.0))
    assert verdict_of(overruled, "seconds_to_quality").value == 42.0


@pytest.mark.parametrize(
    ("curve", "status"), [((0.5, 0.25), "pass"), ((0.5, 0.2), "fail"), ((0.5, 0.25, 0.2), "missing")]
)
def test_a_stored_loss_curve_must_be_matched(curve, status):
    comparison = compared(made_result(), figures(loss_curve=curve, metrics={"recall_mean": figure(93, 9.0)}))
    verdict = verdict_of(comparison, "loss_curve")
    assert verdict.status == status
    assert comparison.status == ("pass" if status == "pass" else "fail")
    if status == "missing":
        assert verdict.note == "it has 2 epochs, the curve 3"
    else:
        assert verdict.value == pytest.approx(100 * verdict.evidence.relative)


def test_a_result_that_left_images_out_is_not_comparable(result):
    from clipbench.api.result import BadImages

    comparison = compared(replace(result, bad_images=BadImages(2)), figures(loss_curve=(0.5, 0.25)))
    assert (comparison.status, comparison.bad_images) == ("not comparable", (2,))
    assert verdict_of(comparison).cause is verdict_of(comparison, "loss_curve").cause is Cause.CONDITIONS


# --- one result ---------------------------------------------------------------------------------------------------


def test_conditions_that_are_not_met_are_named_once(result):
    conditions = {"dataset.val.split": "en_test", "config.train.batch_size": 50, "weights.source": {"not": "random"}}
    comparison = compared(result, figures(conditions=conditions))
    assert comparison.status == "not comparable"
    assert comparison.blocking == (
        Difference("evaluation", "dataset.val.split", "en_val", "en_test"),
        Difference("weights", "weights.source", "random", "anything but random"),
    )
    assert (verdict_of(comparison).status, verdict_of(comparison).differences) == ("not comparable", ())


def test_conditions_that_are_allowed_to_differ_are_named_and_accepted(result):
    conditions = {"config.world_size": 4, "config.train.batch_size": 16}
    metrics = {"recall_mean": figure(), "throughput": SPEED_ON_SDAA}
    allowed = compared(result, figures(metrics, conditions), Terms(frozenset({"world_size", "batch"})))
    assert allowed.status == "pass"
    assert [(d.name, d.allowed) for d in allowed.differences] == [("world_size", True), ("batch", True)]
    assert verdict_of(allowed, "throughput").differences == DIFFERS_FROM_SDAA[:1]
    partly = compared(result, figures(metrics, conditions), Terms(frozenset({"world_size"})))
    assert partly.blocking == DIFFERS_FROM_SDAA[1:]


def test_throughput_of_another_device_is_not_comparable_but_the_rest_is(result):
    comparison = compared(result, figures({"recall_mean": figure(), "throughput": SPEED_ON_SDAA}))
    assert comparison.status == "pass"
    verdict = verdict_of(comparison, "throughput")
    assert (verdict.status, verdict.cause, verdict.difference) == ("not comparable", Cause.OWN_CONDITIONS, None)
    assert verdict.differences == DIFFERS_FROM_SDAA


@pytest.mark.parametrize("metrics", [{"throughput": SPEED_ON_SDAA}, {"recall_mean": figure(tolerance=None)}])
def test_without_a_gate_that_can_be_compared_nothing_passes(result, metrics):
    assert compared(result, figures(metrics)).status == "not comparable"


@pytest.mark.parametrize("status", ["failed", "interrupted"])
def test_a_case_that_did_not_end_well_never_passes(result, status):
    comparison = compared(replace(failed(result), status=status), figures())
    assert comparison.status == "failed case"
    assert (comparison.failure.status, comparison.failure.message) == (status, "it broke")
    assert {(verdict.status, verdict.cause) for verdict in comparison.verdicts} == {("ungated", Cause.CASE_FAILED)}


def test_a_case_that_died_before_its_first_report(result):
    comparison = compared(changed(replace(failed(result), environment=None), "metrics.last", None), figures())
    assert (comparison.status, comparison.device, comparison.epoch) == ("failed case", None, None)


def test_comparing_leaves_the_result_as_it_was(result):
    before = copy.deepcopy(result)
    compared(result, figures())
    assert result == before


def test_comparing_imports_nothing_heavy():
    code = "import sys, clipbench.compare.verdicts, clipbench.report.judgement.formats, clipbench.compare.trend"
    code += ", clipbench.results.collecting.collect; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "clipbench.compare.verdicts" in loaded
    assert not {"numpy", "rich", "jsonschema", "torch", "PIL"} & set(loaded)
    gate = "import sys, clipbench.compare.gate; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", gate], capture_output=True, text=True, check=True).stdout.split()
    assert not {"rich", "jsonschema", "torch", "PIL"} & set(loaded)

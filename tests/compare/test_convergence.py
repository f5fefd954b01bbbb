"""Time to quality, and loss curves beside one another."""

import pytest

from clipbench.api.result import Metric
from clipbench.compare.statistics.convergence import loss_curve, match_curves, mean_curve, quality_metrics
from tests.support.made_results import changed, made_result


def with_recalls(*means):
    result = made_result(losses=[0.5] * len(means))
    for number, mean in enumerate(means):
        result = changed(result, f"epochs.{number}.recall", None if mean is None else {"recall_mean": mean})
    return result


@pytest.mark.parametrize(
    ("means", "epochs"), [((80.0, 90.0, 95.0), 2), ((91.0, 80.0), 1), ((None, None, 90.0), 3), ((80.0, None, 99.0), 3)]
)
def test_time_to_quality_ends_with_the_first_evaluation_that_reached_it(means, epochs):
    found = quality_metrics(with_recalls(*means), 90.0)
    assert found["epochs_to_quality"].value == epochs
    assert found["seconds_to_quality"] == Metric(42.0 * epochs, "s", "lower")


@pytest.mark.parametrize(("means", "reason"), [((80.0, 89.99), "its best was 89.99"), ((None,), "its best was none")])
def test_a_target_that_was_never_reached_is_null_with_the_reason(means, reason):
    for metric in quality_metrics(with_recalls(*means), 90.0).values():
        assert metric.value is None
        assert "recall_mean never reached 90" in metric.reason and reason in metric.reason


def test_weights_that_reach_the_target_untrained_take_no_epoch():
    result = changed(with_recalls(95.0), "epochs.0.epoch", 0)
    assert quality_metrics(result, 90.0)["epochs_to_quality"].value == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "matches"),
    [
        ([1.0, 0.5], [1.0, 0.5], True),
        ([1.04, 0.52], [1.0, 0.5], True),
        ([1.06, 0.53], [1.0, 0.5], False),
        ([1.0, 3e-4], [1.0, 1e-4], True),  # the absolute error is small enough
        ([0.0, 0.0], [0.0, 0.0], True),
        ([1e-3], [0.0], False),
    ],
)
def test_a_curve_matches_by_either_error(ours, theirs, matches):
    assert match_curves(ours, theirs).matches is matches


@pytest.mark.parametrize(
    ("ours", "theirs", "reason"),
    [
        ([1.0], [1.0, 0.5], "it has 1 epochs, the curve 2"),
        ([1.0, None], [1.0, 0.5], "epoch 2 has no loss"),
        ([], [], "there is no curve to match"),
    ],
)
def test_what_cannot_be_matched_says_why(ours, theirs, reason):
    assert match_curves(ours, theirs) == reason


def test_the_curve_of_a_result_begins_with_the_first_epoch_trained():
    result = changed(made_result(losses=(0.7, 0.5, 0.25)), "epochs.0.epoch", 0)
    assert loss_curve(result) == [0.5, 0.25]


def test_the_mean_of_curves_is_taken_epoch_by_epoch():
    assert mean_curve([[1.0, 0.5], [3.0, None]]) == [2.0, None]
    assert mean_curve([[1.0], [1.0, 0.5]]) == []

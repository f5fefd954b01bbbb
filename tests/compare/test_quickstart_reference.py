"""The quickstart's reference: it lets every seed through, and nothing that has learnt otherwise.

The figures were measured: train loss of each epoch, last validation loss, recall means of text, image and both.
"""

import pytest

from clipbench.compare.comparing import compare
from clipbench.compare.matching import match_reference
from clipbench.report.judgement.headline import comparison_headline
from clipbench.results.references import shipped_references
from tests.support.made_results import changed, made_result, with_metric

SEEDS = [
    ([2.1633, 0.3322, 0.1085, 0.0931], 0.0886, 97.40, 95.36, 96.38),
    ([2.2165, 0.3311, 0.0980, 0.0939], 0.0911, 97.53, 95.35, 96.44),
    ([1.8032, 0.2908, 0.1006, 0.0879], 0.0924, 96.93, 95.89, 96.41),
    ([1.9161, 0.2894, 0.1093, 0.0982], 0.0917, 96.33, 95.16, 95.75),
    ([1.8356, 0.2964, 0.0992, 0.0926], 0.0876, 97.53, 95.92, 96.73),
    ([1.9825, 0.3049, 0.1031, 0.0893], 0.0934, 97.07, 95.57, 96.32),
    ([1.9625, 0.3407, 0.1141, 0.0952], 0.0950, 97.33, 95.87, 96.60),
]
ACC1 = [87.2, 82.2, 92.0, 88.8, 84.2, 85.6, 81.6]  # of the same seeds
BFLOAT16 = ([2.1684, 0.3309, 0.1068, 0.0934], 0.0885, 96.87, 95.35, 96.11)
BROKEN = {
    "a quarter of the learning rate": ([2.8420, 0.4605, 0.1695, 0.1583], 0.1547, 97.00, 93.97, 95.49),
    "a text tower that is not trained": ([3.3570, 2.3792, 1.9546, 1.8549], 1.8893, 53.20, 48.01, 50.61),
    "shuffled captions": ([3.9189, 3.9126, 3.9119, 3.9118], 3.9118, 0.87, 0.93, 0.90),
}


def judged(losses, val_loss, *recalls, **others):
    result = made_result(losses=losses)
    for split, images in (("train", 4000), ("val", 500)):
        result = changed(result, f"dataset.{split}.images", images)
    names = ("val_loss", "train_loss", "text_recall_mean", "image_recall_mean", "recall_mean")
    for name, value in zip(names, (val_loss, losses[-1], *recalls), strict=True):
        result = with_metric(result, name, value=value)
    for name, value in others.items():
        result = with_metric(result, name, value=value, unit="percent")
    return compare(match_reference(result, shipped_references()), errors=False)


@pytest.mark.parametrize("figures", [*SEEDS, BFLOAT16])
def test_every_seed_passes(figures):
    assert (judged(*figures).status, judged(*figures).label) == ("pass", "pass")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a quarter of the learning rate", "validation loss is 0.1547 nats, 0.0633 above the reference's 0.0914"),
        ("a text tower that is not trained", "image recall mean is 48.01 %, 47.6 points below the reference's 95.59"),
        ("shuffled captions", "recall mean is 0.90 %, 95.5 points below the reference's 96.38"),
    ],
)
def test_what_has_learnt_otherwise_fails(name, said):
    comparison = judged(*BROKEN[name])
    assert comparison.status == "fail" and said in comparison_headline(comparison)
    assert {v.metric: v.status for v in comparison.verdicts}["loss_curve"] == "fail"


@pytest.mark.parametrize(("acc1", "status"), [*((value, "pass") for value in ACC1), (65.0, "fail"), (None, "missing")])
def test_a_result_that_has_classified_is_judged_by_that_too(acc1, status):
    assert {v.metric: v.status for v in judged(*SEEDS[0], acc1=acc1).verdicts}["acc1"] == status


def test_its_figures_are_those_of_the_seeds():
    """Means over the seeds; each tolerance is 5.57 standard deviations, the loss curve's too."""
    reference = shipped_references()["quickstart"]
    columns = {
        "train_loss": [losses[-1] for losses, *_ in SEEDS],
        "val_loss": [row[1] for row in SEEDS],
        "text_recall_mean": [row[2] for row in SEEDS],
        "image_recall_mean": [row[3] for row in SEEDS],
        "recall_mean": [row[4] for row in SEEDS],
        "acc1": ACC1,
    }
    for name, values in columns.items():
        mean = sum(values) / len(values)
        spread = (sum((value - mean) ** 2 for value in values) / (len(values) - 1)) ** 0.5
        assert reference.metrics[name].value == pytest.approx(mean, rel=1e-3)
        assert reference.metrics[name].tolerance == pytest.approx(5.57 * spread, rel=0.03)
    curve = [sum(losses) / len(SEEDS) for losses in zip(*(row[0] for row in SEEDS), strict=True)]
    assert reference.loss_curve == pytest.approx(curve, rel=1e-3)
    away = [_curve_of(*row) for row in SEEDS]
    assert max(away) < 0.5 * reference.loss_curve_tolerance
    assert _curve_of(*BROKEN["a quarter of the learning rate"]) > 4 * reference.loss_curve_tolerance


def _curve_of(*figures):
    (verdict,) = [verdict for verdict in judged(*figures).verdicts if verdict.metric == "loss_curve"]
    return verdict.evidence.relative

"""The record of an epoch: figures over many ranks, and a share of the peak that no device can have."""

from dataclasses import replace

import pytest

from clipbench.api import DeviceInfo, QueryRanks, Window
from clipbench.errors import CaseFailedError
from clipbench.training.collectives import MemoryPeaks
from clipbench.training.epoch_record import epoch_record
from clipbench.training.evaluating.evaluation import Evaluated
from clipbench.training.state import EpochProgress
from tests.support.empty_record import HARDWARE

INFO = DeviceInfo("card", 8, devices_per_card=4)
# Rank 1 takes longer in the first window, rank 0 in the second, rank 2 in sum.
WINDOWS = [
    [Window(10, 2.0, 0.1), Window(10, 4.0, 0.2)],
    [Window(10, 3.0, 0.3), Window(10, 2.0, 0.1)],
    [Window(10, 2.9, 0.0), Window(10, 3.9, 0.0)],
]


PEAKS = MemoryPeaks(5, 7)


def record(ranks=3, peak=None, flops=0.0, info=INFO, windows=WINDOWS, evaluation=None, memory=None, **more):
    progress = EpochProgress(
        **{"steps": 20, "losses": [1.0] * 20, "flops": flops, "windows_of_ranks": windows[:ranks], **more}
    )
    hosts = tuple(f"host{n}" for n in range(ranks))
    hardware = replace(HARDWARE, info=info, hosts=hosts, peak_flops=peak)
    return epoch_record(1, progress, 1e-4, evaluation, memory or [PEAKS] * ranks, 32, hardware)


def test_throughput_is_over_the_slowest_rank_of_each_window():
    found = record()
    assert found.throughput == pytest.approx(20 * 32 / 7.0)
    assert found.throughput_per_device == pytest.approx(20 * 32 / 7.0 / 3)
    assert found.slowest_rank == 2 and found.windows == ((10, 3.0, 0.3), (10, 4.0, 0.2))
    assert [entry.seconds for entry in found.per_rank] == pytest.approx([6.0, 5.0, 6.8])
    assert [entry.host for entry in found.per_rank] == ["host0", "host1", "host2"]
    assert found.per_rank[1].data_wait == pytest.approx(0.4 / 5.0)


def test_a_card_is_counted_once_however_few_of_its_devices_are_used():
    assert record().throughput_per_card == pytest.approx(20 * 32 / 7.0)
    five = record(5, windows=[WINDOWS[0]] * 5)
    assert five.throughput_per_card == pytest.approx(20 * 32 / 6.0 / 2)
    assert record(info=DeviceInfo("whole", 1)).throughput_per_card is None


def test_mfu_is_the_formulas_flops_over_the_peak_of_all_devices():
    flops = 20 * 32 * 5e9  # of all ranks, over the epoch
    found = record(peak=1e12, flops=flops)
    assert found.mfu == pytest.approx(5e9 * (20 * 32 / 7.0) / (3 * 1e12))
    with pytest.raises(CaseFailedError, match="more than is possible"):
        record(peak=1e10, flops=flops)


@pytest.mark.parametrize(
    "more, why",
    [
        ({"flops": 1e9}, "the device's peak is not known"),
        ({"peak": 1e12}, "the learner does not count its operations"),
        ({"peak": 1e12, "flops": 1e9, "windows": [[], [], []]}, "no step was taken after the warm-up"),
    ],
)
def test_mfu_is_null_with_its_reason(more, why):
    found = record(**more)
    assert found.mfu is None and found.reasons["mfu"] == why


def test_nothing_timed_is_nothing_claimed():
    found = record(windows=[[], [], []])
    assert found.throughput is None and found.slowest_rank is None and found.windows == ()


EVALUATION = Evaluated({"recall_mean": 50.0}, 2.5, None, 1.5, QueryRanks(1, [0, 1], [0, 1, 2], [0, 1, 1]))


def test_memory_is_the_highest_of_all_ranks_and_unknown_where_one_is():
    found = record(2, evaluation=EVALUATION, memory=[PEAKS, MemoryPeaks(None, 9)])
    assert (found.recall, found.val_loss, found.seconds.eval) == ({"recall_mean": 50.0}, 2.5, 1.5)
    assert (found.peak_memory_bytes, found.host_memory_bytes) == (None, 9)
    assert [entry.host_memory_bytes for entry in found.per_rank] == [7, 9]
    assert found.reasons["peak_memory_bytes"] == "the device does not report it"


def test_every_value_that_is_none_has_its_reason():
    withheld = {"losses": [], "skipped_steps": 20, "windows": [[]]}
    found = record(1, memory=[MemoryPeaks(None, None)], **withheld)
    for name in (
        "train_loss", "val_loss", "recall", "throughput", "data_wait", "step_seconds", "mfu", "grad_norm",
        "peak_memory_bytes", "host_memory_bytes",
    ):  # fmt: skip
        assert getattr(found, name) is None and found.reasons[name]
    assert found.reasons["train_loss"] == "the gradient scaler withheld every step"
    few = replace(EVALUATION, loss=None, loss_reason="3 validation images are fewer than one batch of 8")
    for evaluation, reason in (
        (None, "not evaluated after this epoch"),
        (few, few.loss_reason),
        (replace(EVALUATION, loss=float("inf")), "not finite (inf)"),
    ):
        found = record(1, evaluation=evaluation)
        assert found.val_loss is None and found.reasons["val_loss"] == reason


def test_untrained_weights_have_an_evaluation_and_no_figure_of_training():
    hardware = replace(HARDWARE, info=INFO, peak_flops=1e12)
    found = epoch_record(0, EpochProgress(), None, EVALUATION, [PEAKS], 32, hardware)
    assert (found.epoch, found.steps, found.per_rank, found.peak_memory_bytes) == (0, 0, (), 5)
    untrained = {name for name, reason in found.reasons.items() if reason == "nothing was trained"}
    timing = {"throughput", "data_wait", "step_seconds", "mfu"}
    assert untrained == {"train_loss", "learning_rate", "grad_norm", *timing}
    assert set(found.reasons) == untrained | {"telemetry"}

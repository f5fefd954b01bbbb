"""The record of an epoch: figures over many ranks, and a share of the peak that no device can have."""

from types import SimpleNamespace

import pytest

from clipbench.api import DeviceInfo
from clipbench.errors import CaseFailedError
from clipbench.training.epoch_record import slowest_rank, slowest_windows, trained
from clipbench.training.state import Partial

CASE = SimpleNamespace(train=SimpleNamespace(batch_size=32))
INFO = DeviceInfo("card", 8, devices_per_card=4)
# Rank 1 takes longer in the first window, rank 0 in the second, rank 2 in sum.
WINDOWS = [[(10, 2.0, 0.1), (10, 4.0, 0.2)], [(10, 3.0, 0.3), (10, 2.0, 0.1)], [(10, 2.9, 0.0), (10, 3.9, 0.0)]]


def record(ranks=3, peak=None, flops=0.0, info=INFO, windows=WINDOWS):
    partial = Partial(steps=20, losses=[1.0] * 20, flops=flops, windows=windows[:ranks])
    return trained(partial, 0, CASE, [f"host{n}" for n in range(ranks)], info, peak)


def test_throughput_is_over_the_slowest_rank_of_each_window():
    assert slowest_windows(WINDOWS) == [(10, 3.0, 0.3), (10, 4.0, 0.2)]
    assert slowest_rank(WINDOWS) == 2
    found = record()
    assert found["samples_per_second"] == pytest.approx(20 * 32 / 7.0)
    assert found["samples_per_second_per_device"] == pytest.approx(20 * 32 / 7.0 / 3)
    assert found["slowest_rank"] == 2
    assert [entry["seconds"] for entry in found["per_rank"]] == pytest.approx([6.0, 5.0, 6.8])
    assert [entry["host"] for entry in found["per_rank"]] == ["host0", "host1", "host2"]
    assert found["per_rank"][1]["data_wait"] == pytest.approx(0.4 / 5.0)


def test_a_card_is_counted_once_however_few_of_its_devices_are_used():
    assert record()["samples_per_second_per_card"] == pytest.approx(20 * 32 / 7.0)
    five = record(5, windows=[WINDOWS[0]] * 5)
    assert five["samples_per_second_per_card"] == pytest.approx(20 * 32 / 6.0 / 2)
    assert "samples_per_second_per_card" not in record(info=DeviceInfo("whole", 1))


def test_mfu_is_the_formulas_flops_over_the_peak_of_all_devices():
    flops = 20 * 32 * 5e9  # of all ranks, over the epoch
    found = record(peak=1e12, flops=flops)
    assert found["mfu"] == pytest.approx(5e9 * (20 * 32 / 7.0) / (3 * 1e12))
    with pytest.raises(CaseFailedError, match="more than there is"):
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
    assert found["mfu"] is None and found["reasons"]["mfu"] == why


def test_nothing_timed_is_nothing_claimed():
    found = record(windows=[[], [], []])
    assert found["samples_per_second"] is None and found["slowest_rank"] is None and found["windows"] == []

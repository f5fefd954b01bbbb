"""Loader processes: a device that waits for data is noticed."""

from dataclasses import replace

import pytest

from clipbench.api import Window
from clipbench.training.batches import starvation_warning
from tests.support.empty_record import EMPTY_RECORD


def record(wait, seconds=10.0):
    return replace(EMPTY_RECORD, epoch=1, data_wait=wait, windows=(Window(10, seconds, 0.0),))


@pytest.mark.parametrize(
    "wait, workers, cores, part",
    [
        (0.05, 2, 8, None),
        (None, 2, 8, None),
        (0.5, 2, 8, "--set train.workers=4"),
        (0.06, 2, 8, "--set train.workers=3"),
        (0.5, 0, 8, "--set train.workers=1"),
        (0.75, 4, 8, "about 16 would be enough, but the 8 cores"),
    ],
)
def test_a_starving_device_gives_a_warning_with_the_fitting_workers(wait, workers, cores, part):
    warning = starvation_warning(record(wait), workers, cores)
    assert warning is None if part is None else warning.startswith("epoch 1: ") and part in warning


def test_a_short_epoch_gives_no_warning():
    assert starvation_warning(record(0.5, seconds=9.9), 2, 8) is None

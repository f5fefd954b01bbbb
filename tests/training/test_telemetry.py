"""Energy and power between readings that come when they come."""

import time

import pytest

from clipbench.api import Reading
from clipbench.training.telemetry import Sampler, _Moment, combine, joules_until, summary


def moments(*readings, every=1.0):
    """Moments one second apart, with their joules summed up as the sampler does."""
    made = []
    for number, reading in enumerate(readings):
        before = made[-1] if made else None
        made.append(_Moment(number * every, reading, joules_until(before, reading, number * every)))
    return made


def test_a_counter_goes_before_power_and_only_its_differences_count():
    made = moments(*(Reading(joules=5000 + 50 * second, watts=999) for second in range(5)))
    found = summary("meter", made, {"train": [(0.5, 2.5)], "eval": [(2.5, 4.0)]}, "")
    assert found.joules == {"train": pytest.approx(100), "eval": pytest.approx(75)}
    assert (found.watts_mean, found.watts_peak, found.reasons) == (999, 999, {})


def test_without_a_counter_energy_is_power_over_time():
    made = moments(*(Reading(watts=watts) for watts in (100, 200, 300)))
    found = summary("meter", made, {"train": [(0.0, 2.0)]}, "")
    assert found.joules["train"] == pytest.approx(150 + 250)
    assert found.joules["eval"] is None and found.reasons == {"joules.eval": "nothing was done in this phase"}


def test_without_power_it_is_what_the_counter_gives():
    made = moments(*(Reading(joules=70.0 * second) for second in range(4)))
    assert summary("meter", made, {"train": [(0.0, 3.0)]}, "").watts_mean == pytest.approx(70)


@pytest.mark.parametrize("odd", [Reading(joules=1.0), Reading()])
def test_a_counter_that_starts_anew_or_is_gone_gives_no_figure_and_never_zero(odd):
    made = moments(Reading(joules=500.0), Reading(joules=600.0), odd, Reading(joules=900.0))
    found = summary("meter", made, {"train": [(0.0, 3.0)]}, "")
    assert found.joules["train"] is None and "started anew" in found.reasons["joules.train"]


def test_seconds_throttled_are_counted_by_reason():
    hot, fine = Reading(throttled=("thermal", "power cap")), Reading(throttled=())
    found = summary("meter", moments(fine, hot, hot, fine), {"train": [(0.0, 3.0)]}, "")
    assert found.throttled_seconds == {"thermal": 2.0, "power cap": 2.0}
    assert summary("meter", moments(Reading(), Reading()), {"train": [(0.0, 1.0)]}, "").throttled_seconds is None


def test_another_process_on_the_device_is_noticed():
    assert summary("meter", moments(Reading(processes=1), Reading(processes=2)), {"train": [(0.0, 1.0)]}, "").shared
    assert summary("meter", moments(Reading(processes=1)), {"train": [(0.0, 1.0)]}, "").shared is False
    assert summary("meter", moments(Reading()), {"train": [(0.0, 1.0)]}, "").shared is None


def test_samples_are_spread_over_the_epoch():
    made = moments(*(Reading(watts=float(second)) for second in range(200)))
    samples = summary("meter", made, {"train": [(0.0, 199.0)]}, "").samples
    assert 40 <= len(samples) <= 61 and samples[0].seconds == 0 and samples[-1].seconds > 190


def test_ranks_add_up_and_one_without_a_figure_takes_the_sum_away():
    one = summary("meter", moments(*(Reading(watts=100, celsius=50) for _ in range(3))), {"train": [(0.0, 2.0)]}, "")
    other = summary("meter", moments(*(Reading(watts=50, celsius=80) for _ in range(3))), {"train": [(0.0, 2.0)]}, "")
    both = combine([one, other])
    assert (both.joules["train"], both.watts_mean, both.celsius_peak) == (pytest.approx(300), 150, 80)
    blind = summary("meter", moments(Reading(), Reading(), Reading()), {"train": [(0.0, 2.0)]}, "")
    assert combine([one, blind]).joules["train"] is None
    assert combine([one, None]) is None and combine([]) is None


class Meter:
    """A steady hundred watts."""

    def __init__(self, fault=None):
        self.fault, self.closed = fault, False

    def read(self):
        if self.fault:
            self.fault()
        return Reading(watts=100.0)

    def close(self):
        self.closed = True


def sampled(meter):
    sampler = Sampler(meter, "meter", interval=0.01)
    sampler.start()
    sampler.begin("train")
    began = time.monotonic()
    time.sleep(0.1)
    took = time.monotonic() - began
    found = sampler.take()
    sampler.close()
    return found, took


def test_a_thread_reads_while_the_run_goes_on():
    meter = Meter()
    found, took = sampled(meter)
    # The thread's first reading may come after the phase began: then its energy is not known, and says so.
    assert found.joules["train"] is None or found.joules["train"] == pytest.approx(100 * took, rel=0.5)
    assert found.watts_mean == 100 and meter.closed


def test_a_meter_that_raises_ends_the_measuring_and_not_the_run():
    def fault():
        raise OSError("the needle is stuck")

    found, _ = sampled(Meter(fault))
    assert found.joules["train"] is None
    assert found.reasons["joules.train"] == "meter raised OSError: the needle is stuck"


def test_an_epoch_that_was_resumed_has_no_energy():
    sampler = Sampler(Meter(), "meter", interval=0.01)
    sampler.start()
    sampler.begin("train", resumed=True)
    found = sampler.take()
    sampler.close()
    assert found.joules["train"] is None and "resumed" in found.reasons["joules.train"]


def test_without_a_meter_there_is_nothing_to_take():
    sampler = Sampler(None, absent="none here")
    sampler.start()
    sampler.begin("train")
    assert sampler.take() is None and sampler.latest() is None
    sampler.close()

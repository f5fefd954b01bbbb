import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.errors import UsageError
from clipbench.suites.schedule import ScheduleConfig, learning_rate_at, learning_rates

PUBLISHED = {"lr": 1e-6, "batch_size": 32, "epochs": 50}
UNLIMITED = {"peak_limits": None, "floor_limits": None, "warmup_limits": None, "tail_limits": None}


def test_equals_the_reference(expected):
    for case in expected["learning_rate"]:
        low, high = case["peak_limits"]
        config = ScheduleConfig(peak_limits=(low, high), floor_limits=(low / 100, high / 100))
        got = learning_rates(config, lr=case["lr"], batch_size=case["batch_size"], epochs=case["epochs"])
        assert got == pytest.approx(case["per_epoch"], rel=1e-12)


def test_the_published_run_peaks_at_its_lower_limit():
    rates = learning_rates(ScheduleConfig(), **PUBLISHED)
    assert rates[:5] == pytest.approx([1e-6, 1.2222e-6, 1.8889e-6, 3e-6, 2.9928e-6], rel=1e-4)
    assert max(rates) == rates[3]
    assert rates[35:] == [3e-8] * 15
    assert rates[34] > 3e-8


def test_starts_at_a_tenth_of_a_peak_above_the_minimum():
    config = ScheduleConfig(peak_limits=None, floor_limits=None)
    assert learning_rates(config, lr=1e-3, batch_size=64, epochs=10)[0] == pytest.approx(1e-4)


def test_per_step_passes_through_the_rates_of_the_epochs():
    config = ScheduleConfig(per="step")
    steps = [learning_rate_at(config, step / 10, **PUBLISHED) for step in range(500)]
    assert steps[::10] == learning_rates(config, **PUBLISHED)
    assert steps[5] == pytest.approx(1e-6 + 2e-6 * (0.5 / 3) ** 2)
    assert len(set(steps[:350])) == 350


def test_null_limits_leave_the_values_alone():
    rates = learning_rates(ScheduleConfig(**UNLIMITED), lr=0.5, batch_size=128, epochs=20)
    assert max(rates) == rates[2] == 1.0
    assert rates[14:] == pytest.approx([0.01] * 6)


def test_constant_rate():
    config = ScheduleConfig(**UNLIMITED, warmup_ratio=0, tail_ratio=0, floor_ratio=1)
    assert learning_rates(config, lr=1e-4, batch_size=64, epochs=4) == pytest.approx([1e-4] * 4)


@pytest.mark.parametrize("epochs", range(6))
def test_short_runs(epochs):
    rates = learning_rates(ScheduleConfig(), lr=1e-6, batch_size=32, epochs=epochs)
    assert rates == pytest.approx([1e-6, 3e-6, 3e-8] if epochs == 3 else rates)
    assert len(rates) == epochs


@given(
    epochs=st.integers(1, 200),
    lr=st.floats(1e-7, 1),
    batch_size=st.integers(1, 4096),
    fraction=st.floats(0, 1, exclude_max=True),
)
def test_every_rate_lies_between_the_limits(epochs, lr, batch_size, fraction):
    rate = learning_rate_at(ScheduleConfig(), fraction * epochs, lr=lr, batch_size=batch_size, epochs=epochs)
    assert math.isfinite(rate)
    assert 3e-8 * (1 - 1e-12) <= rate <= 1e-5 * (1 + 1e-12)


@given(epochs=st.integers(1, 200))
def test_falls_from_the_peak_on(epochs):
    rates = learning_rates(ScheduleConfig(), lr=1e-6, batch_size=32, epochs=epochs)
    after = rates[rates.index(max(rates)) :]
    assert all(later <= earlier * (1 + 1e-12) for earlier, later in itertools.pairwise(after))


@pytest.mark.parametrize("name", ["peak_limits", "floor_limits", "warmup_limits", "tail_limits"])
def test_limits_the_wrong_way_round_are_refused(name):
    with pytest.raises(UsageError, match=name):
        ScheduleConfig(**{name: (2.0, 1.0)})

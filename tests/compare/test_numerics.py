"""A check of numerics is a gate of its own: with a reference, with a baseline, and with nothing to compare with."""

from dataclasses import replace

import pytest

from clipbench.api import to_plain
from clipbench.api.config import NumericsConfig
from clipbench.api.result import FirstSteps, Numerics
from tests.support.made_results import made_result
from tests.support.stored_results import run, stored

ASKED = NumericsConfig(batch_size=8, steps=3, least_fall=0.01, float32_steps=2, largest_error=1e-4)
FLOAT32 = FirstSteps((4.0, 3.9), (20.0, 19.0))
GOOD = Numerics(ASKED, 8, 1e-6, FirstSteps((4.0, 3.9, 3.8), (20.0, 19.0, 18.0)), FLOAT32, FLOAT32, (1e-6, 2e-6), "cpu")


def checked(numerics, run_id="made-1", reference=None, asked=ASKED, **changes):
    """A made result whose suite asks for a check, with what that has found."""
    result = made_result(run_id, **changes)
    config = {**result.config, "numerics": to_plain(asked), "reference": reference}
    return replace(result, config=config, numerics=numerics, reference=reference)


def float32(*losses, norms=(20.0, 19.0), errors=(1e-6, 2e-6)):
    return replace(GOOD, float32=FirstSteps(losses, norms), features_error=errors)


def fixed_batch(*losses):
    return replace(GOOD, fixed_batch=FirstSteps(losses, (None,) * len(losses)))


def test_it_passes_without_a_reference_and_says_how_far(place):
    shown = " ".join(run("compare", stored(checked(GOOD))).split())
    assert shown.startswith(
        "PASS quickstart on Card 1: all 2 gated metrics are within what is allowed (loss on one batch"
    )
    assert "1 pass: exit code 0" in shown and "judged by its check of numerics" in shown
    assert "loss on one batch is 95 % of its first after 3 steps (at most 99 % is allowed), gate pass" in shown
    assert "float32 error is 2e-06 in 2 steps beside cpu (at most 0.0001 is allowed), gate pass" in shown


@pytest.mark.parametrize(
    ("numerics", "reason"),
    [
        (
            fixed_batch(4.0, 3.99, 3.97),
            "loss on one batch is 99.25 % of its first after 3 steps (at most 99 % is allowed)",
        ),
        (fixed_batch(4.0, 4.1, 4.2), "loss on one batch is 105 % of its first"),
        (fixed_batch(4.0, None), "loss on one batch is missing: the loss is not finite at step 2"),
        (fixed_batch(0.0, 0.0, 0.0), "loss on one batch is 100 % of its first"),
        (float32(4.0, 3.9005), "float32 error is 0.00013 in 2 steps beside cpu (at most 0.0001 is allowed)"),
        (float32(4.0, 3.9, norms=(20.0, 19.1)), "float32 error is 0.00"),
        (float32(4.0, 3.9, errors=(1e-6, 2e-3)), "float32 error is 0.00"),
        (float32(4.0, None, norms=(20.0, None)), "float32 error is missing: a loss, gradient norm or feature"),
        (float32(4.0, 3.9, norms=(20.0, None)), "float32 error is missing"),
        (float32(4.0, 3.9, errors=(None, 1e-6)), "float32 error is missing"),
        (
            replace(GOOD, float32=None, trusted=None, problem="it ended with SIGSEGV"),
            "is missing: it ended with SIGSEGV",
        ),
        (None, "no check of numerics, though its suite asks for one"),
    ],
)
def test_what_is_wrong_or_not_known_fails(place, numerics, reason):
    shown = " ".join(
        run("compare", stored(checked(numerics)), "--format", "markdown", code=1).replace("\\", "").split()
    )
    assert reason in shown


def test_losses_of_almost_nothing_are_compared_in_nats(place):
    """The rounding of a float32 loss does not shrink with it."""
    tiny = replace(float32(0.00100001, 0.0009), trusted=FirstSteps((0.001, 0.0009), (20.0, 19.0)))
    run("compare", stored(checked(tiny)))


def test_the_trusted_device_has_nothing_to_be_compared_with(place):
    alone = replace(GOOD, float32=None, trusted=None, features_error=None, trusted_device="card", is_trusted=True)
    shown = " ".join(run("compare", stored(checked(alone))).split())
    assert "float32 error is only shown (not needed: the device is the one that others are checked by)" in shown


@pytest.mark.parametrize(
    "numerics",
    [
        replace(GOOD, asked=replace(ASKED, largest_error=0.5)),
        replace(GOOD, fixed_batch=FirstSteps((4.0, 3.0), (1.0, 1.0))),
        replace(GOOD, is_trusted=True),
        float32(4.0),
    ],
)
def test_a_check_that_does_not_agree_with_the_suite_is_refused(place, numerics):
    assert "numerics" in run("compare", stored(checked(numerics)), code=3)


def test_a_suite_may_leave_float32_out(place):
    asked = replace(ASKED, float32_steps=0)
    none = replace(GOOD, asked=asked, float32=None, trusted=None, features_error=None, trusted_device=None)
    assert "float32_error" not in run("compare", stored(checked(none, asked=asked)))


def test_it_counts_beside_a_reference_and_a_baseline(place):
    bad = fixed_batch(4.0, 4.0, 4.0)
    assert "no reference" in run("compare", stored(checked(GOOD, reference="gone")), code=3)
    run("compare", stored(checked(bad, reference="gone")), code=1)
    base = stored(checked(GOOD, "base", draw=1), "old")
    run("compare", stored(checked(GOOD, "good"), "new"), "--baseline", base)
    # One of several runs is enough.
    run("compare", stored(checked(bad, "bad"), "new"), "new", "--baseline", base, code=1)


def test_a_result_without_a_check_has_no_gate(place):
    shown = run("compare", stored(replace(checked(None), config={**checked(None).config, "numerics": None})), code=3)
    assert "the suite names no reference" in shown and "fixed_batch_loss" not in shown

"""The learner of the JAX engine: what every learner does, and agreement with one that computes more simply."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np
import pytest

from clipbench.api import LossConfig, NotReadyError, UsageError
from clipbench_jax.parameters import stacked
from tests.support.jax_jobs import make_learner
from tests.support.torch_jobs import ADAMW, SMALL, make_batch

LOCAL, GLOBAL, BATCH = (LossConfig("sum", negatives) for negatives in ("local", "global", "batch"))


def weights_of(learner):
    return {name: ref.read() for name, ref in learner.state().tensors.items() if name.startswith("model.")}


def after_a_step(n=8, **changes):
    learner = make_learner(**changes)
    learner.train_step(*make_batch(n=n), lr=1e-3)
    return learner


def assert_same_step(learner, other, **tolerance):
    (one,), (two,) = learner.drain_steps(), other.drain_steps()
    np.testing.assert_allclose(one.loss, two.loss, rtol=1e-5)
    np.testing.assert_allclose(one.grad_norm, two.grad_norm, rtol=1e-4)
    ours, theirs = weights_of(learner), weights_of(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        if not name.endswith("in_proj_bias"):  # the keys' part of it has no gradient but rounding
            np.testing.assert_allclose(ours[name], theirs[name], err_msg=name, **(tolerance or {"atol": 2e-5}))


@pytest.fixture(scope="module")
def plain():
    return after_a_step(loss=BATCH)


def test_a_step_is_reported_once_with_its_norm(plain):
    learner = make_learner()
    learner.train_step(*make_batch(), lr=1e-3)
    learner.train_step(*make_batch(seed=1), lr=1e-3)
    reports = learner.drain_steps()
    assert len(reports) == 2 and not any(report.skipped for report in reports)
    assert all(np.isfinite(report.loss) and report.grad_norm > 0 for report in reports)
    assert learner.drain_steps() == []
    assert learner.describe()["compile_seconds"] > 0 and learner.flops() > 0


def test_recomputed_activations_change_nothing(plain):
    assert_same_step(after_a_step(loss=BATCH, grad_checkpointing=True), after_a_step(loss=BATCH))


def test_micro_batches_with_the_whole_batch_as_negatives_are_one_batch():
    assert_same_step(after_a_step(loss=BATCH, accumulate=4), after_a_step(loss=BATCH))


@pytest.mark.parametrize("loss", [LOCAL, GLOBAL])
def test_micro_batches_of_their_own_negatives_are_averaged(loss):
    """Two halves that are the same pairs have the gradient of one half."""
    pixels, tokens = make_batch(n=4)
    twice = make_learner(loss=loss, accumulate=2)
    twice.train_step(np.concatenate([pixels, pixels]), np.concatenate([tokens, tokens]), lr=1e-3)
    assert_same_step(twice, after_a_step(n=4, loss=loss))


def test_bfloat16_is_near_float32(plain):
    (report,) = after_a_step(precision="bfloat16").drain_steps()
    (exact,) = after_a_step().drain_steps()
    assert report.loss != exact.loss and report.loss == pytest.approx(exact.loss, rel=2e-2)


def test_float16_withholds_a_step_whose_gradient_overflows():
    learner = after_a_step(precision="float16", loss=BATCH)
    (report,) = learner.drain_steps()
    while report.skipped:  # the first scale is too large for some models, and halved until it is not
        scale = learner.describe()["scaler_scale"]
        learner.train_step(*make_batch(n=8), lr=1e-3)
        (report,) = learner.drain_steps()
        assert learner.describe()["scaler_scale"] == (scale / 2 if report.skipped else scale)
    (exact,) = after_a_step(loss=BATCH).drain_steps()
    assert report.loss == pytest.approx(exact.loss, rel=2e-2)
    assert report.grad_norm == pytest.approx(exact.grad_norm, rel=5e-2)
    before, withheld = weights_of(learner), learner.describe()["scaler_skipped_steps"]
    learner._state = learner._state._replace(scaler=learner._state.scaler._replace(scale=np.float32(1e38)))
    learner.train_step(*make_batch(n=8), lr=1e-3)
    (report,) = learner.drain_steps()
    assert report.skipped and report.grad_norm is None
    assert learner.describe()["scaler_scale"] == pytest.approx(5e37)
    assert learner.describe()["scaler_skipped_steps"] == withheld + 1
    after = weights_of(learner)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_weights_decay_but_not_norms_and_biases_where_the_suite_says_so():
    start = dict(weights_of(make_learner()))
    decaying = replace(ADAMW, weight_decay=10.0, decay_norms_and_biases=False)
    learner, other = (after_a_step(optimizer=config) for config in (decaying, replace(decaying, weight_decay=0.0)))
    ours, theirs = weights_of(learner), weights_of(other)
    for name, value in start.items():
        expected = theirs[name] - (1e-3 * 10 * value if value.ndim >= 2 else 0)
        np.testing.assert_allclose(ours[name], expected, atol=1e-6, err_msg=name)


def test_the_logit_scale_stays_below_a_hundred():
    learner = make_learner()
    learner._state.params["logit_scale"] = jax.numpy.float32(4.7)
    learner.train_step(*make_batch(), lr=1e-3)
    assert learner.logit_scale() == pytest.approx(np.log(100))


def test_what_is_not_finite_is_named():
    learner = make_learner()
    assert learner.not_finite() is None
    name = "transformer.resblocks.*.mlp.c_fc.bias"
    learner._state.params[name] = learner._state.params[name].at[0, 3].set(np.nan)
    assert learner.not_finite() == "transformer.resblocks.0.mlp.c_fc.bias"


def test_a_smaller_last_batch_has_the_same_features():
    learner = make_learner()
    pixels, tokens = make_batch(n=6)
    for encode, batch in ((learner.encode_images, pixels), (learner.encode_texts, tokens)):
        whole = learner.gather([encode(batch)])
        parts = learner.gather([encode(batch[:4]), encode(batch[4:])])
        assert whole.shape == parts.shape and whole.dtype == np.float32
        np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_a_run_goes_on_from_its_state():
    learner = after_a_step()
    saved = learner.state()
    # Written down now: the next step takes the memory of the arrays.
    tensors = {name: replace(ref, read=partial(np.copy, ref.read())) for name, ref in saved.tensors.items()}
    learner.train_step(*make_batch(n=8, seed=1), lr=1e-3)
    resumed = make_learner(seed=9)
    resumed.restore(replace(saved, tensors=tensors))
    resumed.train_step(*make_batch(n=8, seed=1), lr=1e-3)
    assert resumed.state().values["steps"] == 2
    learner.drain_steps(), resumed.drain_steps()
    ours, theirs = weights_of(resumed), weights_of(learner)
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-6, err_msg=name)


def test_the_state_of_another_model_is_refused():
    other = make_learner(replace(SMALL, embed_dim=8)).state()
    with pytest.raises(NotReadyError, match=r"of another shape or type: model\.\S*proj"):
        make_learner().restore(other)
    with pytest.raises(NotReadyError, match="gradient scaler"):
        make_learner(precision="float16").restore(make_learner().state())


def test_a_mode_of_torchs_compiler_is_refused():
    with pytest.raises(UsageError, match=r"train\.compile: default: engine jax compiles every step"):
        make_learner(compile="default")


def test_blocks_are_stacked_in_their_order_and_a_single_one_is_not():
    weights = {f"transformer.resblocks.{layer}.ln_1.bias": np.full(2, float(layer)) for layer in range(12)}
    found = stacked(weights)
    assert found["transformer.resblocks.*.ln_1.bias"][:, 0].tolist() == list(range(11))
    assert found["transformer.resblocks.11.ln_1.bias"].tolist() == [11, 11]
    assert stacked({"transformer.resblocks.0.ln_1.bias": np.zeros(2)}).keys() == {"transformer.resblocks.0.ln_1.bias"}

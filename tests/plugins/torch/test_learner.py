"""One learner on the processor: steps, precisions, decay, checkpoints and what it tells of itself."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from clipbench.api import LossConfig
from clipbench_torch.device import CpuDevice
from clipbench_torch.inputs import as_tensor
from clipbench_torch.learner import TorchLearner, build_model
from clipbench_torch.optimizer import AdamW, adamw_implementation, decay_groups
from tests.support.torch_jobs import ADAMW, SMALL, make_batch, make_job


@pytest.fixture(autouse=True)
def same_products(monkeypatch):
    """Tuning times products and may choose otherwise at a busy moment: as true, but not bit for bit the same."""
    monkeypatch.setattr(CpuDevice, "tune", lambda self, earlier=None: {"float32_products": "default"})


def train(learner, steps=3, lr=1e-3, first=0):
    for step in range(first, first + steps):
        learner.train_step(*make_batch(seed=step), lr=lr)
    return [step.loss for step in learner.drain_steps()]


def test_losses_are_drained_once_and_in_order():
    learner = TorchLearner(make_job())
    one = [train(learner, 1, first=step)[0] for step in range(3)]
    assert train(TorchLearner(make_job()), 3) == one
    assert learner.drain_steps() == []


def test_a_model_learns_its_batch():
    learner = TorchLearner(make_job())
    batch = make_batch(n=8)
    for _ in range(30):
        learner.train_step(*batch, lr=1e-3)
    losses = [step.loss for step in learner.drain_steps()]
    assert losses[-1] < 0.2 * losses[0]


def test_untrained_loss_and_reductions():
    total = train(TorchLearner(make_job()), 1)
    mean = train(TorchLearner(make_job(loss=LossConfig(reduction="mean", negatives="local"))), 1)
    assert mean == pytest.approx([loss / 2 for loss in total])


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("autocast_text", [True, False])
def test_half_precisions_train_close_to_float32(precision, autocast_text):
    full = train(TorchLearner(make_job()), 4)
    learner = TorchLearner(make_job(precision=precision, autocast_text=autocast_text))
    if learner._scaler is not None:
        learner._scaler = torch.amp.GradScaler("cpu", init_scale=1024)  # torch's own start skips some first steps
    half = train(learner, 4)
    assert half != full
    assert half == pytest.approx(full, rel=3e-2)
    assert all(parameter.dtype == torch.float32 for parameter in learner._model.parameters())
    assert all(bool(torch.isfinite(parameter).all()) for parameter in learner._model.parameters())


def test_autocast_reaches_the_text_tower_only_where_asked(monkeypatch):
    kinds = []
    for autocast_text in (False, True):
        learner = TorchLearner(make_job(precision="bfloat16", autocast_text=autocast_text))
        encode = learner._model.encode_text

        def spy(tokens, encode=encode):
            texts = encode(tokens)
            kinds.append(texts.dtype)
            return texts

        monkeypatch.setattr(learner._model, "encode_text", spy)
        train(learner, 1)
    assert kinds == [torch.float32, torch.bfloat16]


def test_features_are_float32_and_not_normalised_whatever_the_precision():
    pixels, tokens = make_batch()
    plain, half = (TorchLearner(make_job(precision=precision)) for precision in ("float32", "bfloat16"))
    for encode, batch in (("encode_images", pixels), ("encode_texts", tokens)):
        want = plain.gather([getattr(plain, encode)(batch)])
        got = half.gather([getattr(half, encode)(batch[:1]), getattr(half, encode)(batch[1:])])
        assert got.dtype == np.float32
        assert got.shape == (4, SMALL.embed_dim)
        np.testing.assert_allclose(got, want, atol=1e-5)
        assert not np.allclose(np.linalg.norm(got, axis=1), 1)


def test_pixels_are_normalised_by_the_configs_mean_and_std():
    learner = TorchLearner(make_job())
    pixels, _ = make_batch()
    want = (pixels / 255 - np.array(SMALL.mean)) / np.array(SMALL.std)
    got = learner._towers.normalise(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(got, want.transpose(0, 3, 1, 2), atol=1e-5)


def test_read_only_arrays_are_copied_and_others_shared():
    array = np.zeros((2, 3), np.uint8)
    assert as_tensor(array).data_ptr() == array.ctypes.data
    array.flags.writeable = False
    assert as_tensor(array).data_ptr() != array.ctypes.data


def test_float16_skips_steps_that_overflow_and_counts_them():
    learner = TorchLearner(make_job(precision="float16"))
    learner._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = learner._model.visual.proj.detach().clone()
    train(learner, 1)
    assert torch.equal(before, learner._model.visual.proj)
    described = learner.describe()
    assert described["scaler_skipped_steps"] == 1
    assert described["scaler_scale"] == 2.0**39
    train(learner, 40)
    assert not torch.equal(before, learner._model.visual.proj)


@pytest.mark.parametrize(("start", "want"), [(9.0, math.log(100)), (-3.0, 0.0)])
def test_logit_scale_stays_between_1_and_100(start, want):
    learner = TorchLearner(make_job())
    with torch.no_grad():
        learner._model.logit_scale.fill_(start)
    train(learner, 1, lr=1e-6)
    assert learner.logit_scale() == pytest.approx(want)


def test_the_seed_decides_the_run():
    assert train(TorchLearner(make_job(seed=1))) == train(TorchLearner(make_job(seed=1)))
    assert train(TorchLearner(make_job(seed=1))) != train(TorchLearner(make_job(seed=2)))


def test_decay_covers_every_parameter_as_published():
    model = build_model(make_job(), torch.device("cpu"))
    (group,) = decay_groups(model, ADAMW)
    assert len(group["params"]) == len(list(model.parameters()))
    assert group["weight_decay"] == 0.01


def test_decay_leaves_out_norms_biases_and_the_scale_where_asked():
    model = build_model(make_job(), torch.device("cpu"))
    decayed, kept = decay_groups(model, replace(ADAMW, decay_norms_and_biases=False))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    kept_names = {names[id(parameter)] for parameter in kept["params"]}
    assert kept["weight_decay"] == 0
    assert {"logit_scale", "ln_final.weight", "transformer.resblocks.0.attn.in_proj_bias"} <= kept_names
    assert all(
        "ln_" in name or "bias" in name or name in ("logit_scale", "visual.class_embedding") for name in kept_names
    )
    assert len(decayed["params"]) + len(kept["params"]) == len(names)


def test_weight_decay_reaches_the_weights():
    learner = TorchLearner(make_job(optimizer=replace(ADAMW, weight_decay=0.5)))
    bare = TorchLearner(make_job(optimizer=replace(ADAMW, weight_decay=0.0)))
    before = bare._model.visual.proj.detach().clone()
    train(learner, 1)
    train(bare, 1)
    torch.testing.assert_close(
        learner._model.visual.proj.detach(),
        bare._model.visual.proj.detach() - 1e-3 * 0.5 * before,
        atol=1e-7,
        rtol=1e-6,
    )


def test_it_says_what_it_runs():
    described = TorchLearner(make_job()).describe()
    model = build_model(make_job(), torch.device("cpu"))
    assert described["parameter_count"] == sum(parameter.numel() for parameter in model.parameters())
    assert described["optimizer"].startswith("AdamW, ")
    assert described["float32_products"] == "default"


@pytest.mark.parametrize(("broken", "kind"), [((), "fused"), (("fused",), "foreach"), (("fused", "foreach"), "loop")])
def test_the_optimiser_falls_back_where_a_device_lacks_its_kernels(monkeypatch, broken, kind):
    step = AdamW.step

    def step_without_kernels(self, *args):
        if any(self.defaults[flag] for flag in broken):
            raise NotImplementedError("no such kernel")
        return step(self, *args)

    monkeypatch.setattr(AdamW, "step", step_without_kernels)
    assert adamw_implementation(torch.device("cpu")) == kind

"""The formula of operations against torch's own count of those that run."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from clipbench.api import LossConfig
from clipbench.clip import config as variants
from clipbench.clip.flops import image_flops, text_flops, training_flops
from clipbench_torch.bert import BertClip
from clipbench_torch.learner import TorchLearner
from clipbench_torch.model import Clip
from tests.support.torch_jobs import SMALL, make_batch, make_job

VARIANTS = {
    "b16": variants.CLIP_VIT_B16, "b32": variants.CLIP_VIT_B32, "l14": variants.CLIP_VIT_L14,
    "l14-336": variants.CLIP_VIT_L14_336, "tiny": variants.CLIP_TINY, "cn-b32": variants.CLIP_CN_VIT_B32,
}  # fmt: skip


def empty(config):
    return (BertClip if config.text_tower == "bert" else Clip)(config)


def of_linear(x, weight, *_, **__):
    return 2 * math.prod(x) * weight[0]


# torch's counter does not know oneDNN's linear layer.
ALSO_COUNTED = {torch.ops.mkldnn._linear_pointwise: of_linear}


def counted(run):
    # The plain products of attention: fused kernels compute some again in backward, which is no work done.
    with (
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False, custom_mapping=ALSO_COUNTED) as counter,
    ):
        run()
    return counter.get_total_flops()


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_features_take_what_is_counted(config):
    with torch.device("meta"):
        model = empty(config)
        pixels = torch.empty(2, 3, config.image_size, config.image_size)
        tokens = torch.zeros(3, 11, dtype=torch.int32)
        assert counted(lambda: model.encode_image(pixels)) == 2 * image_flops(config)
        assert counted(lambda: model.encode_text(tokens)) == 3 * text_flops(config, 11)


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_a_training_pass_takes_what_is_counted(config):
    def run():
        images, texts = model.encode_image(pixels), model.encode_text(tokens)
        (images @ texts.t()).sum().backward()

    with torch.device("meta"):
        model = empty(config)
        pixels = torch.empty(2, 3, config.image_size, config.image_size)
        tokens = torch.zeros(2, 9, dtype=torch.int32)
        assert counted(run) == training_flops(config, pairs=2, length=9, negatives=2)


@pytest.mark.parametrize("layers", [1, 2, 5])
@pytest.mark.parametrize("patch", [8, 16])
def test_a_learner_counts_its_steps(layers, patch):
    config = replace(SMALL, vision_layers=layers, text_layers=layers, patch_size=patch)
    learner = TorchLearner(make_job(config))
    assert learner.flops() == 0
    ran = sum(counted(lambda seed=seed: learner.train_step(*make_batch(config, seed=seed), lr=1e-3)) for seed in (0, 1))
    assert learner.flops() == ran
    learner.encode_images(make_batch(config)[0])
    assert learner.flops() == ran


def test_work_done_twice_is_counted_once():
    pixels, tokens = make_batch(n=8)
    plain, cached, local = (
        TorchLearner(make_job(**changes))
        for changes in (
            {},
            {"accumulate": 4, "loss": LossConfig("sum", "batch"), "grad_checkpointing": True},
            {"accumulate": 4},
        )
    )
    tokens = np.tile(tokens[:1], (8, 1))
    for learner in (plain, cached, local):
        learner.train_step(pixels, tokens, lr=1e-3)
    assert cached.flops() == plain.flops()
    # Micro-batches hold each pair against fewer others.
    assert plain.flops() - local.flops() == 3 * 2 * SMALL.embed_dim * (8 * 8 - 4 * 2 * 2)


def test_longer_captions_take_more():
    tokens = torch.from_numpy(make_batch()[1])
    assert Clip.text_length(tokens) == max(row.argmax() + 1 for row in tokens.numpy())
    assert text_flops(SMALL, 16) > 2 * text_flops(SMALL, 7)

"""Weights drawn from a seed: OpenAI's distributions, by name, the same on every machine."""

import hashlib

import numpy as np
import pytest

from clipbench.clip.config import CLIP_TINY, CLIP_VIT_B16
from clipbench.clip.initial_weights import initial_weights, parameter_shapes

WIDTH, LAYERS = 128, 2
BLOCK, VISION_BLOCK = "transformer.resblocks.0", "visual.transformer.resblocks.0"
SPREADS = {
    "token_embedding.weight": 0.02,
    "positional_embedding": 0.01,
    f"{BLOCK}.attn.in_proj_weight": WIDTH**-0.5,
    f"{BLOCK}.attn.out_proj.weight": WIDTH**-0.5 * (2 * LAYERS) ** -0.5,
    f"{BLOCK}.mlp.c_fc.weight": (2 * WIDTH) ** -0.5,
    f"{BLOCK}.mlp.c_proj.weight": WIDTH**-0.5 * (2 * LAYERS) ** -0.5,
    "text_projection": WIDTH**-0.5,
    "visual.proj": WIDTH**-0.5,
    "visual.class_embedding": WIDTH**-0.5,
    "visual.positional_embedding": WIDTH**-0.5,
    # Uniform between plus and minus a bound, which is the spread times the root of three.
    f"{VISION_BLOCK}.attn.in_proj_weight": (2 / (4 * WIDTH)) ** 0.5,
    f"{VISION_BLOCK}.attn.out_proj.weight": (3 * WIDTH) ** -0.5,
    f"{VISION_BLOCK}.mlp.c_fc.weight": (3 * WIDTH) ** -0.5,
    f"{VISION_BLOCK}.mlp.c_fc.bias": (3 * WIDTH) ** -0.5,
    f"{VISION_BLOCK}.mlp.c_proj.weight": (3 * 4 * WIDTH) ** -0.5,
    f"{BLOCK}.mlp.c_proj.bias": (3 * 4 * WIDTH) ** -0.5,
    "visual.conv1.weight": (3 * 3 * CLIP_TINY.patch_size**2) ** -0.5,
}


@pytest.fixture(scope="module")
def drawn():
    return dict(initial_weights(CLIP_TINY, 0))


@pytest.mark.parametrize("name", SPREADS)
def test_spreads_are_those_of_openai(drawn, name):
    few = drawn[name].size < 1000
    assert drawn[name].std() == pytest.approx(SPREADS[name], rel=0.2 if few else 0.02)
    assert abs(drawn[name].mean()) < SPREADS[name] * 5 / drawn[name].size ** 0.5


def test_norms_begin_at_one_and_attention_without_biases(drawn):
    ones = [name for name in drawn if ".ln_" in f".{name}" and name.endswith("weight")]
    zeros = [
        name
        for name in drawn
        if (".ln_" in f".{name}" and name.endswith("bias")) or name.endswith(("in_proj_bias", "out_proj.bias"))
    ]
    assert len(ones) == 4 * LAYERS + 3 and len(zeros) == 8 * LAYERS + 3
    assert all((drawn[name] == 1).all() for name in ones) and not any(drawn[name].any() for name in zeros)
    assert drawn["logit_scale"] == np.float32(np.log(1 / 0.07))


def test_everything_is_float32_of_the_stated_shape(drawn):
    shapes = parameter_shapes(CLIP_TINY)
    assert {name: values.shape for name, values in drawn.items()} == shapes
    assert {values.dtype for values in drawn.values()} == {np.dtype(np.float32)}
    assert sum(np.prod(shape, dtype=int) for shape in parameter_shapes(CLIP_VIT_B16).values()) == 149_620_737


def test_another_seed_and_another_name_give_other_weights(drawn):
    other = dict(initial_weights(CLIP_TINY, 1))["visual.proj"]
    assert not np.isclose(other, drawn["visual.proj"]).any()
    first, second = drawn[f"{BLOCK}.mlp.c_fc.weight"], drawn["transformer.resblocks.1.mlp.c_fc.weight"]
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02


def test_the_values_are_the_same_on_every_machine_and_with_every_numpy(drawn):
    # References are measured with these numbers: where they change, every figure of a run from scratch does.
    digest = hashlib.sha256(b"".join(values.tobytes() for values in drawn.values())).hexdigest()
    assert digest == "f760dc47bd1cf770c629811f71783e1e9cee2936466ab09a7f268feaa902839b"

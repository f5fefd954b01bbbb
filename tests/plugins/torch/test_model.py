"""The model against two independent implementations: transformers', and a plain one in float64 written here."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.peer import encode_images, encode_texts, transformers_model
from clipbench.clip import config as variants
from clipbench.clip.initial_weights import initial_weights
from clipbench_torch.inputs import cut_to_length
from clipbench_torch.model import Clip
from tests.support.torch_jobs import SMALL, make_batch


def cut_to_longest(tokens):
    return cut_to_length(tokens, Clip.text_length(tokens))


def filled(config, seed=0, dtype=torch.float32):
    model = Clip(config)
    model.initialize(seed)
    # Biases and norms that are not 0 and 1, so that one left out shows.
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model.to(dtype)


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (variants.CLIP_VIT_B16, 149_620_737),
        (variants.CLIP_VIT_B32, 151_277_313),
        (variants.CLIP_VIT_L14, 427_616_513),
        (variants.CLIP_VIT_L14_336, 427_944_193),
    ],
)
def test_variants_have_the_published_number_of_parameters(config, count):
    with torch.device("meta"):
        model = Clip(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_every_parameter_begins_as_the_seed_says_in_every_engine():
    model = Clip(SMALL)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(float("nan"))
    model.initialize(7)
    drawn = dict(initial_weights(SMALL, 7))
    assert list(model.state_dict()) == list(drawn)
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), drawn[name], name)


# --- transformers' implementation ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        SMALL,
        replace(SMALL, text_activation="gelu_tanh"),
        replace(SMALL, text_activation="gelu", vision_activation="gelu"),
        pytest.param(variants.CLIP_VIT_B16, marks=pytest.mark.slow),
        pytest.param(variants.CLIP_VIT_B32, marks=pytest.mark.slow),
        pytest.param(replace(variants.CLIP_VIT_B32, text_activation="gelu_tanh"), marks=pytest.mark.slow),
    ],
    ids=["small", "small-tanh", "small-gelu", "b16", "b32", "b32-tanh"],
)
def test_features_equal_those_of_transformers(config):
    model = filled(config)
    pytest.importorskip("transformers")
    theirs = transformers_model(config, model.state_dict()).eval()
    pixels = torch.randn(2, 3, config.image_size, config.image_size, generator=torch.Generator().manual_seed(2))
    tokens = torch.from_numpy(make_batch(config, n=3)[1])
    with torch.inference_mode():
        images, texts = encode_images(theirs, pixels), encode_texts(theirs, tokens.long())
        torch.testing.assert_close(model.encode_image(pixels), images, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.encode_text(cut_to_longest(tokens)), texts, atol=1e-5, rtol=1e-5)


# --- a plain implementation: every token through every block, captions at full length ------------------------------


def plain_attention(x, attn, mask):
    n, length, width = x.shape
    q, k, v = (x @ attn.in_proj_weight.t() + attn.in_proj_bias).chunk(3, dim=-1)
    q, k, v = (part.reshape(n, length, attn.heads, -1).transpose(1, 2) for part in (q, k, v))
    scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5 + mask
    y = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(n, length, width)
    return y @ attn.out_proj.weight.t() + attn.out_proj.bias


def plain_activation(x, name):
    if name == "quick_gelu":
        return x * torch.sigmoid(1.702 * x)
    if name == "gelu":
        return x * (1 + torch.erf(x / 2**0.5)) / 2
    return F.gelu(x, approximate="tanh")


def plain_blocks(x, tower, activation, mask):
    for block in tower.resblocks:
        x = x + plain_attention(block.ln_1(x), block.attn, mask)
        hidden = plain_activation(block.mlp.c_fc(block.ln_2(x)), activation)
        x = x + block.mlp.c_proj(hidden)
    return x


def plain_image(model, pixels):
    x = model.visual.conv1(pixels).flatten(2).transpose(1, 2)
    first = model.visual.class_embedding.expand(len(x), 1, -1)
    x = model.visual.ln_pre(torch.cat([first, x], dim=1) + model.visual.positional_embedding)
    x = plain_blocks(x, model.visual.transformer, model.config.vision_activation, 0)
    return model.visual.ln_post(x)[:, 0] @ model.visual.proj


def plain_text(model, tokens):
    length = tokens.shape[1]
    mask = torch.full((length, length), float("-inf"), dtype=torch.float64).triu(1)
    x = model.token_embedding(tokens) + model.positional_embedding
    x = model.ln_final(plain_blocks(x, model.transformer, model.config.text_activation, mask))
    return x[torch.arange(len(x)), tokens.argmax(dim=1)] @ model.text_projection


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu", "gelu_tanh"])
def test_cutting_captions_and_pruning_the_last_block_change_nothing(activation):
    model = filled(replace(SMALL, text_activation=activation, vision_activation=activation), dtype=torch.float64)
    tokens = torch.from_numpy(make_batch()[1])
    pixels = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    cut = cut_to_longest(tokens)
    assert cut.shape[1] < tokens.shape[1]

    def features_and_gradients(encode_image, encode_text):
        model.zero_grad()
        images, texts = encode_image(pixels), encode_text()
        (model.logit_scale * (images * texts.roll(1, 0)).tanh()).sum().backward()
        return images, texts, {name: parameter.grad for name, parameter in model.named_parameters()}

    images, texts, gradients = features_and_gradients(model.encode_image, lambda: model.encode_text(cut))
    gradients = {name: gradient.clone() for name, gradient in gradients.items()}
    plain = features_and_gradients(lambda x: plain_image(model, x), lambda: plain_text(model, tokens))
    torch.testing.assert_close(images, plain[0], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(texts, plain[1], atol=1e-12, rtol=1e-12)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, plain[2][name], atol=1e-12, rtol=1e-10, msg=name)


def test_what_follows_the_end_token_does_not_matter():
    model = filled(SMALL)
    tokens = torch.from_numpy(make_batch()[1])
    ends = tokens.argmax(dim=1)
    noisy = tokens.clone()
    for row, end in zip(noisy, ends, strict=True):
        row[end + 1 :] = 5
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_text(noisy), model.encode_text(tokens))


def test_only_columns_after_the_last_end_token_are_cut():
    tokens = torch.tensor([[9, 1, 63, 0, 0, 0], [9, 1, 2, 63, 0, 0]])
    assert torch.equal(cut_to_longest(tokens), tokens[:, :4])
    full = torch.tensor([[9, 1, 2, 3, 4, 63]])
    assert torch.equal(cut_to_longest(full), full)


def test_lengths_are_few_because_kernels_are_made_for_each():
    tokens = torch.zeros(40, 42, dtype=torch.int32)
    tokens[range(40), range(2, 42)] = 63
    lengths = [cut_to_longest(row[None]).shape[1] for row in tokens]
    assert sorted(set(lengths)) == [4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 42]
    assert all(length >= end + 1 for length, end in zip(lengths, range(2, 42), strict=True))

"""The BERT text tower against transformers' BertModel, with the head that the Chinese reference puts on it."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from clipbench.api import ModelSpec
from clipbench.clip import config as variants
from clipbench.clip.initial_weights import initial_weights
from clipbench_torch.bert import BertClip
from clipbench_torch.learner import TorchLearner
from clipbench_torch.model import empty_model
from tests.support.chinese import SMALL_CN
from tests.support.torch_jobs import make_job

LENGTHS = (5, 9, 16, 2)


def spec(config=SMALL_CN):
    return ModelSpec("cn", "torch", "for tests", config, "clipbench_torch.bert:BertClip")


def cn_job(config=SMALL_CN, **changes):
    return make_job(config, **{"model": spec(config), **changes})


def batch(config=SMALL_CN, seed=0, lengths=LENGTHS):
    """Pixels, and captions of these lengths, padded with 0."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (len(lengths), config.image_size, config.image_size, 3), dtype=np.uint8)
    tokens = rng.integers(1, config.vocab_size, (len(lengths), config.context_length), dtype=np.int32)
    tokens[np.arange(config.context_length) >= np.array(lengths)[:, None]] = 0
    return pixels, tokens


class Theirs(nn.Module):
    """The reference's model: transformers' BertModel, ``ln_final`` and a projection, beside a vision tower."""

    def __init__(self, model):
        super().__init__()
        transformers = pytest.importorskip("transformers")
        config = model.config
        self.visual = model.visual
        self.transformer = transformers.BertModel(
            transformers.BertConfig(
                vocab_size=config.vocab_size,
                hidden_size=config.text_width,
                num_hidden_layers=config.text_layers,
                num_attention_heads=config.text_heads,
                intermediate_size=4 * config.text_width,
                max_position_embeddings=config.text_positions,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            )
        )
        self.transformer.load_state_dict(model.transformer.state_dict())
        self.ln_final, self.text_projection, self.logit_scale = model.ln_final, model.text_projection, model.logit_scale

    def encode_text(self, tokens):
        tokens = tokens.long()
        pooled = self.transformer(input_ids=tokens, attention_mask=tokens.ne(0).long()).pooler_output
        return self.ln_final(pooled) @ self.text_projection

    def loss(self, pixels, tokens):
        images = F.normalize(self.visual(pixels), dim=-1)
        texts = F.normalize(self.encode_text(tokens), dim=-1)
        logits = self.logit_scale.exp() * images @ texts.t()
        right = torch.arange(len(pixels))
        return F.cross_entropy(logits, right) + F.cross_entropy(logits.t(), right)


def filled(config=SMALL_CN, seed=0):
    model = BertClip(config)
    model.initialize(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.1)
    return model


@pytest.mark.parametrize(
    "config",
    [
        SMALL_CN,
        replace(SMALL_CN, text_layers=1),
        pytest.param(variants.CLIP_CN_VIT_B32, marks=pytest.mark.slow),
    ],
    ids=["small", "one-layer", "b32"],
)
def test_features_equal_those_of_transformers(config):
    model = filled(config)
    theirs = Theirs(model).eval()
    tokens = torch.from_numpy(batch(config)[1])
    with torch.inference_mode():
        expected = theirs.encode_text(tokens)
        for length in (16, config.context_length):
            torch.testing.assert_close(model.encode_text(tokens[:, :length]), expected, atol=1e-5, rtol=1e-5)


def test_steps_equal_those_of_transformers():
    """Losses of eight steps, and features after them: to 1e-5."""
    learner = TorchLearner(cn_job())
    theirs = Theirs(copy.deepcopy(learner._model))
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    expected = []
    for step in range(8):
        pixels, tokens = batch(seed=step)
        learner.train_step(pixels, tokens, 1e-3)
        optimizer.zero_grad()
        loss = theirs.loss(learner._towers.normalise(torch.from_numpy(pixels)), torch.from_numpy(tokens))
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    assert [report.loss for report in learner.drain_steps()] == pytest.approx(expected, rel=1e-5)
    tokens = torch.from_numpy(batch(seed=9)[1])
    with torch.inference_mode():
        torch.testing.assert_close(learner.encode_texts(tokens), theirs.encode_text(tokens), atol=1e-5, rtol=1e-4)
    assert learner.logit_scale() == pytest.approx(theirs.logit_scale.item(), abs=1e-5)


def test_every_parameter_begins_as_the_seed_says():
    model = BertClip(SMALL_CN)
    model.initialize(7)
    drawn = dict(initial_weights(SMALL_CN, 7))
    assert list(model.state_dict()) == list(drawn)
    for name, parameter in model.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), drawn[name], name)
    assert drawn["transformer.embeddings.word_embeddings.weight"].std() == pytest.approx(0.02, rel=0.1)
    assert not drawn["transformer.encoder.layer.1.output.dense.bias"].any()
    assert (drawn["transformer.encoder.layer.0.attention.output.LayerNorm.weight"] == 1).all()


def test_the_variant_has_as_many_parameters_as_its_parts():
    """OpenAI's vision tower has 87,849,216; bert-base-chinese 102,267,648; then norm, projection and logit scale."""
    with torch.device("meta"):
        model = empty_model(spec(variants.CLIP_CN_VIT_B32), variants.CLIP_CN_VIT_B32)
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}
    assert counts == {"visual": 87_849_216, "transformer": 102_267_648, "ln_final": 1_536}
    assert sum(p.numel() for p in model.parameters()) == sum(counts.values()) + 768 * 512 + 1


@pytest.mark.parametrize("changes", [{"grad_checkpointing": True}, {"accumulate": 2}])
def test_other_ways_to_compute_a_step_give_the_same(changes):
    """Micro-batches have losses of their own, so only the gradient of a whole batch is the same."""
    loss = replace(cn_job().loss, negatives="batch")
    plain, other = TorchLearner(cn_job(loss=loss)), TorchLearner(cn_job(loss=loss, **changes))
    for step in range(3):
        for learner in (plain, other):
            learner.train_step(*batch(seed=step), 1e-3)
    losses = [[report.loss for report in learner.drain_steps()] for learner in (plain, other)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_token_called_pad_inside_a_caption_is_no_padding():
    model = filled()
    tokens = torch.from_numpy(batch()[1])
    tokens[2, 3] = 0
    with torch.inference_mode():
        changed = tokens.clone()
        changed[2, 3] = 7
        assert not torch.allclose(model.encode_text(tokens)[2], model.encode_text(changed)[2])
        alone = model.encode_text(tokens[2:3, : BertClip.text_length(tokens[2:3])])
        torch.testing.assert_close(model.encode_text(tokens)[2:3], alone, atol=1e-6, rtol=1e-5)


def test_the_length_that_is_needed():
    tokens = torch.from_numpy(batch()[1])
    assert BertClip.text_length(tokens) == 16
    assert BertClip.text_length(tokens[:1]) == 5
    assert BertClip.text_length(tokens[1:2]) == 9

"""Weights of a model with a BERT: in one file, or OpenAI's for the vision tower and a BERT's for the texts."""

import json

import pytest
import torch

from clipbench.api import NotReadyError
from clipbench.clip.initial_weights import initial_weights
from clipbench_torch.engine import TorchEngine
from clipbench_torch.learner import build_model
from clipbench_torch.model import Clip
from tests.plugins.torch.test_bert import cn_job, filled, spec
from tests.support.chinese import SMALL_CN
from tests.support.torch_jobs import SMALL

HEAD = ("ln_final.weight", "ln_final.bias", "text_projection")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def openai():
    """A model of OpenAI's kind with the same vision tower, by its state dict."""
    model = Clip(SMALL)
    model.initialize(3)
    return model.state_dict()


@pytest.fixture(scope="module")
def whole():
    return filled(seed=5).state_dict()


def bert(whole, prefix="bert.", old=True):
    """What transformers saves of a BERT that was trained with heads, before 2020 if ``old``."""
    state = {prefix + name.removeprefix("transformer."): v for name, v in whole.items() if "transformer." in name[:12]}
    if old:
        ends = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
        state = {next((n.replace(a, b) for a, b in ends.items() if a in n), n): v for n, v in state.items()}
    counted = torch.arange(SMALL_CN.text_positions)[None]
    return {**state, f"{prefix}embeddings.position_ids": counted, "cls.predictions.bias": torch.zeros(64)}


def save(folder, name, state):
    torch.save(state, folder / name)
    return folder / name


@pytest.mark.parametrize(("prefix", "old"), [("bert.", True), ("", False)])
def test_two_files_and_a_head_from_the_seed(tmp_path, openai, whole, prefix, old):
    files = {
        "weights": save(tmp_path, "ViT.pth", openai),
        "text_weights": save(tmp_path, "bert.bin", bert(whole, prefix, old)),
    }
    TorchEngine().check_weights(spec(), SMALL_CN, *files.values())
    state = build_model(cn_job(seed=11, **files), CPU).state_dict()
    drawn = dict(initial_weights(SMALL_CN, 11))
    for name, tensor in state.items():
        if name in HEAD:
            expected = torch.from_numpy(drawn[name])
        else:
            expected = openai[name] if name.startswith("visual.") or name == "logit_scale" else whole[name]
        assert torch.equal(tensor, expected), name


def test_the_texts_alone_and_a_whole_checkpoint(tmp_path, whole):
    text_weights = save(tmp_path, "bert.bin", bert(whole))
    state = build_model(cn_job(seed=11, text_weights=text_weights), CPU).state_dict()
    drawn = dict(initial_weights(SMALL_CN, 11))
    assert torch.equal(state["visual.proj"], torch.from_numpy(drawn["visual.proj"]))
    assert torch.equal(state["transformer.pooler.dense.weight"], whole["transformer.pooler.dense.weight"])
    counted = {"transformer.embeddings.position_ids": torch.arange(24)[None]}
    content = {f"module.{name}": tensor for name, tensor in {**whole, **counted}.items()}
    weights = save(tmp_path, "whole.pth", {"state_dict": content})
    state = build_model(cn_job(weights=weights), CPU).state_dict()
    assert all(torch.equal(state[name], whole[name]) for name in whole)


def refused(*files, config=SMALL_CN):
    with pytest.raises(NotReadyError) as refusal:
        TorchEngine().check_weights(spec(config), config, *files)
    return str(refusal.value)


def test_weights_of_another_model_are_named(tmp_path, openai, whole):
    vision, texts = save(tmp_path, "ViT.pth", openai), save(tmp_path, "bert.bin", bert(whole))
    told = refused(vision)
    assert "ViT.pth does not fit model cn" in told and "text_tower clip, but the model has text_tower bert" in told
    assert "To have its vision tower alone, name a BERT's weights for the texts with model.text_weights" in told
    assert "no weights of a BERT" in refused(None, vision) and str(vision) in refused(None, vision)
    assert "bert.bin does not fit the model. 33 missing: logit_scale" in refused(texts, texts)
    larger = {name: torch.cat([v, v]) if "word_embeddings" in name else v for name, v in bert(whole).items()}
    told = refused(vision, save(tmp_path, "larger.bin", larger))
    assert "larger.bin" in told and "vocab_size 128, but the model has vocab_size 64" in told
    assert "Name the vocabulary that belongs to these weights with model.vocabulary" in told
    lacking = save(tmp_path, "lacking.bin", {name: v for name, v in bert(whole).items() if "pooler" not in name})
    assert "2 missing: transformer.pooler.dense.weight (32, 32)" in refused(None, lacking)
    infinite = {**bert(whole), "bert.pooler.dense.bias": torch.full((32,), torch.inf)}
    assert "1 not finite: transformer.pooler.dense.bias" in refused(None, save(tmp_path, "infinite.bin", infinite))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model_type": "roberta"}, "describes a model of type 'roberta'; expected transformers' 'bert'"),
        ({"num_attention_heads": 4}, "text_heads 4, but the model has text_heads 2"),
        ({"num_attention_heads": 2, "hidden_act": "relu"}, "text_activation relu"),
        ({"num_attention_heads": 2, "layer_norm_eps": 1e-5}, "layer_norm_eps is 1e-05; the model's BERT has 1e-12"),
    ],
)
def test_the_description_beside_a_bert_counts(tmp_path, whole, values, told):
    texts = save(tmp_path, "pytorch_model.bin", bert(whole))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **values}))
    assert told in refused(None, texts)


def test_a_model_of_openai_says_that_weights_are_of_the_chinese_one(tmp_path):
    from clipbench.api.weights import Description, check_fit
    from clipbench.clip.config import CLIP_CN_VIT_B32, CLIP_VIT_B32

    described = {name: getattr(CLIP_CN_VIT_B32, name) for name in ("text_tower", "vocab_size", "text_width")}
    models = {"clip-vit-b32": CLIP_VIT_B32, "clip-cn-vit-b32": CLIP_CN_VIT_B32}
    with pytest.raises(NotReadyError, match=r"Use --set model.name=clip-cn-vit-b32"):
        check_fit(tmp_path, "clip-vit-b32", CLIP_VIT_B32, models, [Description("Its tensors are of", described)])

"""Weights under the names of transformers and of open_clip, and what the files beside them say of their model."""

import functools
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clipbench.api import CLIP_TINY, CLIP_VIT_B16, CLIP_VIT_B32
from clipbench.api.weights import check_fit, describe_tensors, has_transformers_names, read_descriptions
from clipbench.api.weights import to_openai_names as renamed
from clipbench.errors import NotReadyError
from clipbench_torch import clipbench_models
from clipbench_torch.bert import BertClip
from clipbench_torch.learner import build_model
from clipbench_torch.model import Clip
from clipbench_torch.weights import load_weights, read_weights
from tests.support.numpy_runs import clipbench, results
from tests.support.torch_jobs import make_batch, make_job
from tests.support.weight_folders import (
    CONFIG,
    filled,
    open_clip_description,
    save_open_clip,
    save_transformers,
    transformers_config,
)

transformers = pytest.importorskip("transformers")
HERE = Path("somewhere/model.safetensors")
MODELS = {spec.name: spec.config for spec in clipbench_models()}


def to_openai_names(state, path):
    return renamed(state, path, torch.cat)


def loaded(path, config=CONFIG):
    return build_model(make_job(config, weights=path), torch.device("cpu"))


def assert_equal_models(model, other):
    for name, tensor in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name


def edit(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


# --- transformers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["safetensors", "bin"])
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu", "gelu_tanh"])
def test_features_equal_those_of_the_model_that_transformers_saved(tmp_path, form, activation):
    config = replace(CONFIG, text_activation=activation, vision_activation=activation)
    theirs = save_transformers(tmp_path, config, form)
    (path,) = [*tmp_path.glob("*.safetensors"), *tmp_path.glob("*.bin")]
    model = loaded(path, config)
    pixels = torch.randn(3, 3, config.image_size, config.image_size, generator=torch.Generator().manual_seed(2))
    tokens = torch.from_numpy(make_batch(config, n=5)[1])
    with torch.inference_mode():
        images = theirs.visual_projection(theirs.vision_model(pixels).pooler_output)
        texts = theirs.text_projection(theirs.text_model(tokens.long()).pooler_output)
        torch.testing.assert_close(model.encode_image(pixels), images, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(model.encode_text(tokens), texts, atol=1e-5, rtol=1e-5)
        assert torch.equal(model.logit_scale, theirs.logit_scale)


def test_every_name_of_the_largest_model_is_known():
    for spec in clipbench_models():
        with torch.device("meta"):
            theirs = transformers.CLIPModel(transformers_config(spec.config)).state_dict()
            ours = Clip(spec.config).state_dict()
        assert has_transformers_names(theirs) and not has_transformers_names(ours)
        ours_by_name = to_openai_names(theirs, HERE)
        assert {name: t.shape for name, t in ours_by_name.items()} == {name: t.shape for name, t in ours.items()}


def test_half_precision_of_both_kinds_becomes_float32(tmp_path):
    theirs = save_transformers(tmp_path)
    for dtype in (torch.float16, torch.bfloat16):
        theirs.to(dtype).save_pretrained(tmp_path)
        model = loaded(tmp_path / "model.safetensors")
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        assert torch.equal(model.visual.class_embedding, theirs.vision_model.embeddings.class_embedding.float())


def small_state():
    """Transformers' names of a text tower with one layer, the values told apart."""
    prefix = "text_model.encoder.layers.0.self_attn"
    return {f"{prefix}.{part}_proj.weight": torch.full((2, 2), float(n)) for n, part in enumerate("vkq")}


def test_query_key_and_value_are_joined_in_this_order():
    joined = to_openai_names(small_state(), HERE)["transformer.resblocks.0.attn.in_proj_weight"]
    assert joined[:, 0].tolist() == [2, 2, 1, 1, 0, 0]


@pytest.mark.parametrize("shape", [None, (), (4, 2), (1, 2), (2, 3)])
def test_parts_that_do_not_belong_together_keep_their_names(shape):
    state = small_state()
    key = "text_model.encoder.layers.0.self_attn.k_proj.weight"
    if shape is None:
        del state[key]
    else:
        state[key] = torch.zeros(shape)
    assert to_openai_names(state, HERE).keys() == state.keys()


def test_what_is_not_known_is_refused_by_its_own_name(tmp_path):
    state = {**save_transformers(tmp_path).state_dict(), "vision_model.extra.weight": torch.zeros(2)}
    del state["text_model.encoder.layers.1.self_attn.v_proj.bias"]
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(NotReadyError) as refusal:
        loaded(tmp_path / "pytorch_model.bin")
    for part in (
        "vision_model.extra.weight (2,)",
        "1 missing: transformer.resblocks.1.attn.in_proj_bias",
        "q_proj.bias",
    ):
        assert part in str(refusal.value), part


def test_two_tensors_of_one_name_are_refused():
    state = {
        "text_model.embeddings.token_embedding.weight": torch.zeros(2, 2),
        "token_embedding.weight": torch.ones(2, 2),
    }
    with pytest.raises(NotReadyError, match=r"model.safetensors: two tensors in it are both 'token_embedding.weight'"):
        to_openai_names(state, HERE)
    with pytest.raises(NotReadyError, match=r"both 'ln_final\.bias'"):
        to_openai_names({"text.ln_final.bias": torch.zeros(2), "ln_final.bias": torch.ones(2)}, HERE)


# --- open_clip ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["safetensors", "bin"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_open_clips_files(tmp_path, form, nested, activation):
    config = replace(CONFIG, text_activation=activation, vision_activation=activation)
    theirs = save_open_clip(tmp_path, config, nested, form)
    (path,) = [*tmp_path.glob("*.safetensors"), *tmp_path.glob("*.bin")]
    assert_equal_models(loaded(path, config), theirs)


def test_a_checkpoint_of_open_clips_training(tmp_path):
    theirs = filled()
    state = {f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}
    path = tmp_path / "epoch_32.pt"
    torch.save({"epoch": 32, "name": "run", "state_dict": state, "optimizer": {"state": {}}}, path)
    assert_equal_models(loaded(path), theirs)


# --- what does not fit ----------------------------------------------------------------------------------------------


any_job = functools.cache(make_job)  # tuning a device takes a while


def spec_job(name, weights, **changes):
    (spec,) = [spec for spec in clipbench_models() if spec.name == name]
    return replace(any_job(), weights=weights, model=spec, config=replace(spec.config, **changes))


def fits(job, descriptions):
    check_fit(job.weights, job.model.name, job.config, MODELS, descriptions)


def refusal_of(job, *descriptions):
    with pytest.raises(NotReadyError) as refusal:
        fits(job, descriptions)
    return str(refusal.value)


def described(tmp_path, data, name="config.json"):
    (tmp_path / name).write_text(json.dumps(data))
    return list(read_descriptions(tmp_path / "model.safetensors", transformers=name != "open_clip_config.json"))


@functools.cache
def empty_state(config):
    with torch.device("meta"):
        return (BertClip if config.text_tower == "bert" else Clip)(config).state_dict()


def test_tensors_of_another_patch_size_name_both_and_the_model_that_fits():
    job = spec_job("clip-vit-b16", HERE)
    text = refusal_of(job, describe_tensors(empty_state(CLIP_VIT_B32), job.config))
    assert text == (
        f"{HERE} does not fit model clip-vit-b16. Its tensors are of patch_size 32, but the model has patch_size 16. "
        "Use --set model.name=clip-vit-b32."
    )


@pytest.mark.parametrize("spec", clipbench_models(), ids=lambda spec: spec.name)
def test_tensors_and_both_descriptions_of_a_model_fit_it_and_no_other(tmp_path, spec):
    fitting = [describe_tensors(empty_state(spec.config), spec.config)]
    if spec.config.text_tower == "clip":  # nobody else has a model with a BERT's pooler
        fitting += described(tmp_path, transformers_config(spec.config).to_dict())
        fitting += described(tmp_path, open_clip_description(spec.config), "open_clip_config.json")
        assert len(fitting) == 3
    fits(spec_job(spec.name, HERE), fitting)
    for other in clipbench_models():
        if other.name != spec.name:
            assert refusal_of(spec_job(other.name, HERE), *fitting).endswith(f"se --set model.name={spec.name}.")


def test_plain_gelu_for_quick_gelu(tmp_path):
    """As laion's models are: transformers' file says so of each tower, open_clip's by leaving quick_gelu out."""
    data = open_clip_description(replace(CLIP_VIT_B32, vision_activation="gelu"))
    del data["model_cfg"]["quick_gelu"]
    told = described(tmp_path, data, "open_clip_config.json")
    assert refusal_of(spec_job("clip-vit-b32", HERE), *told) == (
        f"{HERE} does not fit model clip-vit-b32. open_clip_config.json beside it says vision_activation gelu, "
        "text_activation gelu, but the model has vision_activation quick_gelu, text_activation quick_gelu. "
        "Use --set model.name=clip-vit-b32-gelu."
    )
    quick = described(tmp_path, transformers_config(CLIP_VIT_B32).to_dict())
    text = refusal_of(spec_job("clip-vit-b32-gelu", HERE), *quick)
    assert "vision_activation quick_gelu" in text and text.endswith("Use --set model.name=clip-vit-b32.")


def test_an_activation_that_the_suite_chose_is_its_own_affair(tmp_path):
    quick = described(tmp_path, transformers_config(CLIP_VIT_B16).to_dict())
    fits(spec_job("clip-vit-b16", HERE, text_activation="gelu_tanh"), quick)
    text = refusal_of(spec_job("clip-vit-b16-gelu", HERE, text_activation="gelu_tanh"), *quick)
    assert "text_activation" not in text and "vision_activation quick_gelu" in text


def test_an_activation_of_one_tower_is_a_key_of_the_suite(tmp_path):
    mixed = described(tmp_path, transformers_config(replace(CLIP_VIT_B16, text_activation="gelu_tanh")).to_dict())
    assert refusal_of(spec_job("clip-vit-b16", HERE), *mixed).endswith("Use --set model.text_activation=gelu_tanh.")
    fits(spec_job("clip-vit-b16", HERE, text_activation="gelu_tanh"), mixed)


def test_the_other_remedies(tmp_path):
    job = spec_job("clip-vit-b16", HERE)
    tensors = describe_tensors(empty_state(CLIP_VIT_B16), job.config)
    wrong = described(tmp_path, transformers_config(CLIP_VIT_B32).to_dict())
    assert "one of the two files is a wrong one" in refusal_of(job, *wrong, tensors)
    other = describe_tensors(empty_state(CLIP_VIT_B16), replace(job.config, vocab_size=9))
    assert "model.vocabulary" in refusal_of(spec_job("clip-vit-b16", HERE, vocab_size=9), other)
    huge = describe_tensors(empty_state(CONFIG), job.config)
    assert refusal_of(job, huge).endswith("No model of the engine fits; use other weights.")


def test_normalisation_belongs_to_the_weights(tmp_path):
    data = open_clip_description(replace(CLIP_VIT_B16, vision_activation="gelu", mean=(0.5,) * 3, std=(0.5,) * 3))
    told = described(tmp_path, data, "open_clip_config.json")
    assert "says mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5], but" in refusal_of(
        spec_job("clip-vit-b16-gelu", HERE), *told
    )
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5] * 3, "size": 224}))
    told = described(tmp_path, transformers_config(CLIP_VIT_B16).to_dict())
    text = refusal_of(spec_job("clip-vit-b16", HERE), *told)
    assert "preprocessor_config.json beside it says mean [0.5, 0.5, 0.5], but the model has mean (0.48" in text


def test_a_picture_size_that_patches_do_not_fill_fits():
    config = replace(CONFIG, image_size=40)
    assert describe_tensors(empty_state(config), config).values["image_size"] == 40
    assert describe_tensors(empty_state(config), CONFIG).values["image_size"] == 32


def test_mismatches_end_a_load(tmp_path):
    save_transformers(tmp_path)
    with pytest.raises(
        NotReadyError, match=r"config.json beside it says vision_heads 2, but the model has vision_heads 4"
    ):
        loaded(tmp_path / "model.safetensors", replace(CONFIG, vision_heads=4))
    with pytest.raises(
        NotReadyError, match=r"Its tensors are of patch_size 16, image_size 32, but the model has patch_size 8,"
    ):
        loaded(tmp_path / "model.safetensors", replace(CONFIG, patch_size=8, image_size=16))


# --- hostile and broken files ---------------------------------------------------------------------------------------


def deep(levels):
    return "[" * levels + "]" * levels


BROKEN = {
    "not JSON": "{",
    "not JSON ": "\0\xff",
    "not a description": "[1]",
    "not a description ": '"' + "x" * 2_000_000 + '"',
    "not a description  ": f'{{"model_type": {deep(100_000)}}}',
    "not a description   ": f'{{"model_type": {deep(900)}}}',
    "not JSON   ": '{"projection_dim": ' + "9" * 5000 + "}",
    "model of type None": "{}",
    "model of type 'siglip'": '{"model_type": "siglip"}',
    f"model of type {deep(100)[:60]}": f'{{"model_type": {deep(100)}}}',
    "text_config is 7; expected names": '{"model_type": "clip", "text_config": 7}',
    "vision_config.layer_norm_eps is 'x'": '{"model_type": "clip", "vision_config": {"layer_norm_eps": "x"}}',
    "text_config.layer_norm_eps is 1e-06": '{"model_type": "clip", "text_config_dict": {"layer_norm_eps": 1e-6}}',
    "embed_dim [1, 2], ": '{"model_type": "clip", "projection_dim": [1, 2]}',
    "embed_dim nan": '{"model_type": "clip", "projection_dim": NaN}',
    "vision_width {'a': {}}": '{"model_type": "clip", "vision_config": {"hidden_size": {"a": {}}}}',
    "text_activation ['quick_gelu']": '{"model_type": "clip", "text_config": {"hidden_act": ["quick_gelu"]}}',
    "text_activation relu": '{"model_type": "clip", "text_config": {"hidden_act": "relu"}}',
    "patch_size 16.0": '{"model_type": "clip", "vision_config": {"patch_size": 16.0}}',
    "text_layers True": '{"model_type": "clip", "text_config": {"num_hidden_layers": true}}',
}


@pytest.mark.parametrize("reason", BROKEN)
def test_broken_descriptions_are_refused_by_name(tmp_path, reason):
    save_transformers(tmp_path)
    (tmp_path / "config.json").write_text(BROKEN[reason], encoding="latin-1")
    with pytest.raises(NotReadyError) as refusal:
        loaded(tmp_path / "model.safetensors")
    assert "config.json" in str(refusal.value) and reason.strip() in str(refusal.value)
    assert len(str(refusal.value)) < 3000


OPEN_CLIP_BROKEN = {
    "text_cfg.hf_model_name is 'xlm-roberta-base'": lambda d: d["text_cfg"].update(hf_model_name="xlm-roberta-base"),
    "vision_cfg.timm_model_name is 'vit'": lambda d: d["vision_cfg"].update(timm_model_name="vit"),
    "vision_cfg.attentional_pool is True": lambda d: d["vision_cfg"].update(attentional_pool=True),
    "vision_cfg.pool_type is 'avg'": lambda d: d["vision_cfg"].update(pool_type="avg"),
    "model_cfg.multimodal_cfg is": lambda d: d.update(multimodal_cfg={"width": 5}),
    "vision_layers [3, 4, 6, 3]": lambda d: d["vision_cfg"].update(layers=[3, 4, 6, 3]),
    "vision_heads 1": lambda d: d["vision_cfg"].pop("head_width") and d["vision_cfg"].update(width=64),
    "vision_width x": lambda d: d["vision_cfg"].update(width="x"),
    "text_heads 4": lambda d: d["text_cfg"].update(heads=4),
    "embed_dim None": lambda d: d.pop("embed_dim"),
    "vision_cfg is [1]": lambda d: d.update(vision_cfg=[1]),
}


@pytest.mark.parametrize("reason", OPEN_CLIP_BROKEN)
def test_open_clips_descriptions_of_other_models_are_refused(tmp_path, reason):
    save_open_clip(tmp_path)
    edit(tmp_path / "open_clip_config.json", lambda data: OPEN_CLIP_BROKEN[reason](data["model_cfg"]))
    with pytest.raises(NotReadyError) as refusal:
        loaded(tmp_path / "open_clip_model.safetensors")
    assert "open_clip_config.json" in str(refusal.value) and reason in str(refusal.value)


def test_harmless_keys_of_open_clip_are_accepted(tmp_path):
    theirs = save_open_clip(tmp_path)

    def change(data):
        data["model_cfg"].update(custom_text=True)
        data["model_cfg"]["vision_cfg"].update(
            pool_type="tok", ls_init_value=None, attentional_pool=False, mlp_ratio=4.0
        )
        data["preprocess_cfg"].update(interpolation="bicubic", resize_mode="shortest")

    edit(tmp_path / "open_clip_config.json", change)
    assert_equal_models(loaded(tmp_path / "open_clip_model.safetensors"), theirs)


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path("run.txt"),)


@pytest.mark.parametrize("where", ["beside", "inside", "as a name"])
def test_code_under_transformers_names_is_not_run(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    state = dict(save_transformers(tmp_path).state_dict())
    if where == "beside":
        state = {"state_dict": state, "extra": Malicious()}
    elif where == "inside":
        state["text_model.extra"] = Malicious()
    else:
        state[Malicious()] = torch.zeros(1)
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(NotReadyError, match="would run code"):
        loaded(tmp_path / "pytorch_model.bin")
    assert not Path("run.txt").exists()


def test_tensors_of_absurd_shapes_are_refused_not_described(tmp_path):
    state = filled().state_dict()
    state |= {"visual.conv1.weight": torch.zeros(()), "visual.positional_embedding": torch.zeros(0, 32)}
    state |= {"positional_embedding": torch.zeros(()), "visual.proj": torch.zeros(5)}
    path = tmp_path / "w.pth"
    torch.save(state, path)
    with pytest.raises(NotReadyError, match=r"4 of another shape|does not fit"):
        loaded(path)
    state = {
        "text_model.embeddings.position_embedding.weight": torch.zeros(()),
        "visual_projection.weight": torch.zeros(3),
    }
    torch.save(state, path)
    with pytest.raises(NotReadyError, match="does not fit the model"):
        loaded(path)


def test_a_model_with_transformers_names_of_its_own_keeps_them(tmp_path):
    theirs = save_transformers(tmp_path)
    again = transformers.CLIPModel(transformers_config())
    load_weights(again, make_job(CONFIG, weights=tmp_path / "model.safetensors"))
    assert_equal_models(again, theirs)
    assert has_transformers_names(read_weights(tmp_path / "model.safetensors"))


def test_a_run_from_the_hubs_cache(tmp_path):
    """The result has the hash of the file of weights, and a description that does not fit ends the run before it."""
    snapshot = tmp_path / "hub" / "models--org--name" / "snapshots" / "1234"
    save_transformers(snapshot, CLIP_TINY)
    words = ["run", "quickstart", "--set", "model.weights=org/name", "--set", "train.epochs=0"]
    words += ["--set", "dataset.options.val_images=60", "--set", "dataset.options.train_images=60"]
    done = clipbench(*words, cwd=tmp_path, HF_HUB_CACHE=str(tmp_path / "hub"))
    assert done.returncode == 0, done.stderr
    (result,) = results(tmp_path)
    assert result.weights.source == "model.safetensors"
    assert result.weights.sha256 == hashlib.sha256((snapshot / "model.safetensors").read_bytes()).hexdigest()
    edit(snapshot / "config.json", lambda data: data["text_config"].update(hidden_act="gelu"))
    done = clipbench(*words, cwd=tmp_path, HF_HUB_CACHE=str(tmp_path / "hub"))
    assert done.returncode == 5
    text = " ".join(done.stdout.split())
    assert "text_activation gelu, but the model has text_activation quick_gelu" in text
    assert "Use --set model.text_activation=gelu." in text

"""Weights in every format that the engine reads, under every name; and files that are refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from clipbench.api import ModelSpec
from clipbench.errors import NotReadyError
from clipbench_jax.weights import load_weights, read_weights
from tests.support.weight_folders import CONFIG, filled, save_open_clip, save_transformers

MODEL = ModelSpec("test", "jax", "for tests", CONFIG, "clipbench_jax.learner:JaxLearner")


def assert_same(got, want):
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        assert got[name].dtype == np.float32 and np.array_equal(got[name], tensor.float().numpy()), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("form", ["zip", "safetensors"])
def test_state_dicts(tmp_path, form, dtype):
    from safetensors.torch import save_file

    state = {name: tensor.to(dtype) for name, tensor in filled().state_dict().items()}
    path = tmp_path / "weights"
    if form == "zip":
        torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    else:
        save_file(state, path)
    assert_same(read_weights(path), state)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch retires TorchScript
def test_a_torchscript_archive(tmp_path):
    model = torch.jit.trace(torch.nn.Linear(3, 2), torch.zeros(1, 3))
    model.save(str(tmp_path / "m.pt"))
    assert_same(read_weights(tmp_path / "m.pt"), model.state_dict())


@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_names_of_transformers_and_open_clip(tmp_path, form):
    theirs = save_transformers(tmp_path, form=form)
    (path,) = [*tmp_path.glob("*.safetensors"), *tmp_path.glob("*.bin")]
    found = load_weights(MODEL, CONFIG, path)
    projection = theirs.visual_projection.weight.detach().numpy().T
    assert np.array_equal(found["visual.proj"], projection) and found["visual.proj"].flags.c_contiguous
    query = theirs.text_model.encoder.layers[1].self_attn.q_proj.weight.detach().numpy()
    assert np.array_equal(found["transformer.resblocks.1.attn.in_proj_weight"][: len(query)], query)
    (tmp_path / "other").mkdir()
    saved = save_open_clip(tmp_path / "other", nested=True, form=form)
    (path,) = [*(tmp_path / "other").glob("*.safetensors"), *(tmp_path / "other").glob("*.bin")]
    assert_same(load_weights(MODEL, CONFIG, path), saved.state_dict())


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path("run.txt"),)


def write_old(path):
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)


def write_infinite(path):
    torch.save({**filled().state_dict(), "logit_scale": torch.tensor(float("inf"))}, path)


REFUSED = {
    "no such file": lambda path: None,
    "torch.save wrote before 1.6": write_old,
    "which is no part of weights": lambda path: torch.save({"a": Malicious()}, path),
    "no state dict in it, but a list": lambda path: torch.save([1], path),
    "1 not finite: logit_scale": write_infinite,
    "1 missing: visual.proj": lambda path: torch.save(
        {name: tensor for name, tensor in filled().state_dict().items() if name != "visual.proj"}, path
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_refusals_name_the_file_and_the_reason(reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    REFUSED[reason](path)
    with pytest.raises(NotReadyError) as refusal:
        load_weights(MODEL, CONFIG, path)
    assert str(path) in str(refusal.value) and reason in str(refusal.value)
    assert not Path("run.txt").exists()

"""A learner's state goes out to the disk and back into another learner, which goes on as if nothing had happened."""

import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from clipbench.api import LearnerState
from clipbench.errors import NotReadyError
from clipbench.training import checkpoints
from clipbench_torch import optimizer
from clipbench_torch.device import CpuDevice
from clipbench_torch.learner import TorchLearner
from tests.support import torch_states
from tests.support.torch_jobs import SMALL, make_batch, make_job

STAND_IN = Path(__file__).parents[2] / "support" / "sdaa_stand_in"
KINDS = {"fused": {"fused": True}, "foreach": {"foreach": True}, "loop": {"foreach": False}}


@pytest.fixture(autouse=True)
def same_products(monkeypatch):
    """Tuning times products and may choose otherwise at a busy moment: as true, but not bit for bit the same."""
    monkeypatch.setattr(CpuDevice, "tune", lambda self, earlier=None: {"float32_products": "default"})


def train(learner, steps, first=0):
    for step in range(first, first + steps):
        learner.train_step(*make_batch(seed=step), lr=1e-3)
    return [report.loss for report in learner.drain_steps()]


def through_disk(state, folder):
    checkpoints.save(folder, "step-00000003", state, {"at": 3}, None)
    return checkpoints.latest(folder).state


def arrays(learner):
    return {name: ref.read().copy() for name, ref in learner.state().tensors.items()}


def assert_same(got, want):
    assert list(got) == list(want)
    for name, array in want.items():
        assert array.dtype == got[name].dtype
        assert array.tobytes() == got[name].tobytes(), name


@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_restored_learner_goes_on_bit_for_bit(tmp_path, monkeypatch, kind, precision):
    monkeypatch.setattr(optimizer, "adamw_implementation", lambda place: kind)
    whole = TorchLearner(make_job(precision=precision))
    train(whole, 3)
    state = through_disk(whole.state(), tmp_path)
    rest = train(whole, 3, first=3)

    resumed = TorchLearner(make_job(precision=precision, seed=5))
    train(resumed, 1, first=9)
    resumed.restore(state)
    assert train(resumed, 3, first=3) == rest
    assert_same(arrays(resumed), arrays(whole))
    assert resumed.state().values == whole.state().values
    assert resumed.describe() == whole.describe()
    assert any(name.endswith(".exp_avg_sq") for name in resumed.state().tensors)


def test_the_scaler_goes_on_where_it_was(tmp_path):
    """Its scale, and how many steps in a row have been finite: the next growth comes at the same step."""

    def scaler():
        return torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=4)

    whole, resumed = (TorchLearner(make_job(precision="float16")) for _ in range(2))
    whole._scaler, resumed._scaler = scaler(), scaler()
    before = train(whole, 30)
    resumed.restore(through_disk(whole.state(), tmp_path))
    assert len(before) == 30
    assert 1 < resumed._scaler.get_scale() < 2.0**40
    assert train(resumed, 9, first=30) == train(whole, 9, first=30)
    assert resumed.describe() == whole.describe()
    assert resumed.describe()["scaler_skipped_steps"] > 0


def test_a_learner_that_has_not_stepped_has_a_state_too(tmp_path):
    fresh, other = TorchLearner(make_job()), TorchLearner(make_job(seed=5))
    state = through_disk(fresh.state(), tmp_path)
    assert not any(name.startswith("optimizer.") for name in state.tensors)
    train(other, 2)
    other.restore(state)
    assert train(other, 2) == train(fresh, 2)


def test_the_state_is_the_model_and_three_tensors_for_each_parameter():
    learner = TorchLearner(make_job())
    train(learner, 1)
    state = learner.state()
    names = list(learner._model.state_dict())
    assert [name for name in state.tensors if name.startswith("model.")] == [f"model.{name}" for name in names]
    assert {f"optimizer.{name}.{key}" for name in names for key in ("exp_avg", "exp_avg_sq", "step")} == {
        name for name in state.tensors if name.startswith("optimizer.")
    }
    for ref in state.tensors.values():
        array = ref.read()
        assert (array.dtype, array.shape, array.flags.c_contiguous) == (ref.dtype, ref.shape, True)


def test_on_the_processor_reading_copies_nothing():
    learner = TorchLearner(make_job())
    read = learner.state().tensors["model.visual.proj"].read()
    assert read.ctypes.data == learner._model.visual.proj.data_ptr()


def test_bfloat16_and_what_lies_across_survive(tmp_path):
    """No learner here has them today; a model of a plugin may."""
    from clipbench_torch.state import read_state, restore_state

    def model(fill):
        model = torch.nn.Linear(6, 5, bias=False, dtype=torch.bfloat16)
        model.weight.data = fill(5, 6).bfloat16().t().contiguous().t()
        model.register_buffer("seen", fill(3).to(torch.int64))
        return model

    first, second = model(torch.randn), model(torch.zeros)
    want = first.weight.detach().clone()
    optimizers = [torch.optim.AdamW(one.parameters(), lr=0.1) for one in (first, second)]
    state = through_disk(read_state(first, optimizers[0], None, 7), tmp_path)
    assert restore_state(second, optimizers[1], None, state, torch.device("cpu")) == 7
    assert torch.equal(second.weight, want)
    assert torch.equal(second.seen, first.seen)


def without(state, *names):
    return LearnerState({name: ref for name, ref in state.tensors.items() if name not in names}, state.values)


def with_values(state, **values):
    return LearnerState(state.tensors, {**state.values, **values})


def renamed(state, old, new):
    return LearnerState({name.replace(old, new): ref for name, ref in state.tensors.items()}, state.values)


def of_other_type(state, name, dtype):
    ref = state.tensors[name]
    return LearnerState({**state.tensors, name: replace(ref, dtype=np.dtype(dtype))}, state.values)


REFUSED = {
    "1 missing: model.visual.proj.": lambda state: without(state, "model.visual.proj"),
    "1 missing: optimizer.visual.proj.exp_avg.": lambda state: without(state, "optimizer.visual.proj.exp_avg"),
    "visual.ln_extra": lambda state: renamed(state, "visual.ln_post", "visual.ln_extra"),
    "model.visual.proj is float64 (32, 16), the model's is float32 (32, 16)": lambda state: of_other_type(
        state, "model.visual.proj", "f8"
    ),
    "optimizer.visual.proj.exp_avg is uint16": lambda state: of_other_type(
        state, "optimizer.visual.proj.exp_avg", "u2"
    ),
    "lacks the values steps": lambda state: LearnerState(state.tensors, {"optimizer": {}, "scaler": None}),
    "1 unexpected: optimizer.nose": lambda state: with_values(state, optimizer={"nose": {"step": 1}}),
    "gradient scaler": lambda state: with_values(state, scaler={"scale": 2.0}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(reason):
    learner = TorchLearner(make_job())
    train(learner, 1)
    before = arrays(learner)
    with pytest.raises(NotReadyError) as refusal:
        learner.restore(REFUSED[reason](learner.state()))
    assert reason in str(refusal.value)
    assert_same(arrays(learner), before)


def test_the_state_of_another_variant_names_a_few_of_its_tensors():
    larger = TorchLearner(make_job(replace(SMALL, vocab_size=70)))
    with pytest.raises(
        NotReadyError, match=r"token_embedding.weight is float32 \(70, 32\), the model's is float32 \(64, 32\)"
    ):
        TorchLearner(make_job()).restore(larger.state())


def run_ranks(folder, *words):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, torch_states.__file__]
    ranks = [
        subprocess.Popen([*command, str(rank), str(folder), *words], env=environment, stderr=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    try:
        return [(rank.communicate(timeout=120)[1], rank.returncode) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()  # those that wait for one that failed


@pytest.mark.slow
def test_two_ranks_go_on_bit_for_bit_from_what_the_first_one_has(tmp_path):
    assert [code for _, code in run_ranks(tmp_path, "go on")] == [0, 0]
    whole = [dict(np.load(tmp_path / f"whole{rank}.npz")) for rank in range(2)]
    resumed = [dict(np.load(tmp_path / f"resumed{rank}.npz")) for rank in range(2)]
    for rank in range(2):
        assert_same(resumed[rank], whole[rank])
        assert_same(resumed[rank], {**resumed[0]})


@pytest.mark.slow
def test_two_ranks_both_refuse_what_the_first_one_finds_wrong(tmp_path):
    for errors, code in run_ranks(tmp_path, "other model"):
        assert code == 5, errors
        assert "does not fit the model" in errors


@pytest.mark.slow
def test_a_device_with_memory_of_its_own_goes_on_bit_for_bit(tmp_path):
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("the stand-in for torch_sdaa needs a C++ compiler (g++)")
    done = subprocess.run(
        [sys.executable, torch_states.__file__, "0", str(tmp_path), "stand-in"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(STAND_IN), *sys.path])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert_same(dict(np.load(tmp_path / "resumed0.npz")), dict(np.load(tmp_path / "whole0.npz")))


def test_a_checkpoints_tensors_open_with_the_packages_own_reader(tmp_path):
    pytest.importorskip("safetensors")
    from safetensors.torch import load_file

    learner = TorchLearner(make_job())
    train(learner, 1)
    folder = checkpoints.save(tmp_path, "step-00000001", learner.state(), {}, None)
    read = load_file(Path(folder) / "tensors.safetensors")
    assert read.keys() == learner.state().tensors.keys()
    for name, tensor in learner._model.state_dict().items():
        assert torch.equal(read[f"model.{name}"], tensor)

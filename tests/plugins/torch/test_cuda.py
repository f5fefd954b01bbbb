"""Device cuda: what it says of itself anywhere, and what it does where there is a GPU."""

import json
import os
import subprocess
import sys
import warnings
from functools import partial
from importlib.machinery import PathFinder

import numpy as np
import pytest
import torch

from clipbench_torch import builds
from clipbench_torch.cuda import CudaDevice, cuda_peak_flops
from clipbench_torch.engine import TorchEngine
from clipbench_torch.inputs import in_pinned_memory
from clipbench_torch.learner import TorchLearner
from tests.support.torch_jobs import make_batch, make_job


@pytest.mark.parametrize(
    ("name", "precision", "teraflops"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.4),
        ("NVIDIA H100 PCIe", "float16", 756),
        ("NVIDIA H200", "float32", 67),
        ("NVIDIA A100-SXM4-80GB", "float32", 19.5),
        ("NVIDIA A100 80GB PCIe", "bfloat16", 312),
        ("NVIDIA L40S", "float16", 362),
        ("NVIDIA L4", "float16", 121),
        ("Tesla T4", "float16", 65),
        ("Tesla T4", "bfloat16", None),
        ("Tesla V100-SXM2-16GB", "float16", 125),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "float16", None),
        ("NVIDIA GH200 480GB", "float16", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "float16", None),
        ("NVIDIA GeForce GTX 1080", "float32", None),
    ],
)
def test_peak_of_known_gpus_and_of_no_others(name, precision, teraflops):
    assert cuda_peak_flops(name, precision) == (None if teraflops is None else pytest.approx(teraflops * 1e12))


@pytest.mark.parametrize(
    ("version", "reason"),
    [
        ("__version__ = '2.9.1'\ncuda: str | None = '12.8'\nhip: str | None = None\n", None),
        ("__version__ = '2.9.1'\ncuda = '12.8'\n", None),
        ("__version__ = '2.9.1+rocm7'\ncuda: Optional[str] = None\n", "torch 2.9.1+rocm7 was built without CUDA"),
        ("its maker has written something else", None),
        (None, None),
    ],
)  # fmt: skip
def test_what_torch_was_built_for_is_read_from_its_files(version, reason, monkeypatch, tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise SystemExit('torch was imported')")
    if version is not None:
        (tmp_path / "torch" / "version.py").write_text(version)
    monkeypatch.setattr(builds, "find_spec", partial(PathFinder.find_spec, path=[str(tmp_path)]))
    found = builds.built_without("cuda", "CUDA")
    assert found is None if reason is None else found.startswith(reason)


def test_torch_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(builds, "find_spec", lambda name: None)
    assert builds.built_without("cuda", "CUDA") == "torch is not installed"


def test_cuda_says_why_it_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: warnings.warn("the driver is too old", stacklevel=1))
    reason = CudaDevice().unavailable()
    assert reason.startswith(f"torch {torch.__version__} finds no card: check `nvidia-smi` and CUDA_VISIBLE_DEVICES")
    assert reason.endswith("the driver is too old")


def test_other_processes_are_those_that_nvidia_smi_lists(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '4711, python, 1024 MiB'\necho '4712, Xorg, 10 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert CudaDevice().others() == ["process 4711, python, 1024 MiB", "process 4712, Xorg, 10 MiB"]
    tool.write_text("#!/bin/sh\nexit 0\n")
    assert CudaDevice().others() == []
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert CudaDevice().others() is None


# --- with a GPU -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cuda():
    device = CudaDevice()
    reason = device.unavailable()
    if reason is not None:
        pytest.skip(f"device cuda: {reason}")
    device.select(0)
    device.tune()
    yield device
    device.tune()  # whatever a test has switched


def losses(**changes):
    learner = TorchLearner(make_job(**changes))
    for step in range(4):
        learner.train_step(*make_batch(n=8, seed=step), lr=1e-3)
    return learner, [step.loss for step in learner.drain_steps()]


def ask(device, precision):
    return {probe.name: probe for probe in TorchEngine().probe(device, precision)}


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_a_gpu_passes_its_probes(cuda, precision):
    if precision not in cuda.precisions():
        pytest.skip(f"this GPU has no {precision}")
    answers = ask(cuda, precision)
    assert all(probe.ok for probe in answers.values()), answers
    # It is asynchronous: work is waited for, and not done when it has been asked for.
    seconds = answers["synchronize"].measured["seconds"]
    assert seconds["synchronize"] > max(seconds["launch"], seconds["read"])


@pytest.mark.cuda
def test_tf32_under_the_name_of_float32_is_found_out(cuda):
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no TF32")
    torch.set_float32_matmul_precision("high")
    probe = ask(cuda, "float32")["matmul"]
    assert (probe.ok, probe.refuses) == (False, "run")
    assert "a shorter format; unset NVIDIA_TF32_OVERRIDE" in probe.detail
    cuda.tune()
    assert ask(cuda, "float32")["matmul"].ok


class Careless(CudaDevice):
    def synchronize(self):
        pass


@pytest.mark.cuda
def test_a_gpu_that_is_not_waited_for_is_found_out(cuda):
    probe = ask(Careless(), "float32")["synchronize"]
    assert (probe.ok, probe.refuses) == (False, "timing")


@pytest.mark.cuda
def test_a_gpu_trains_as_the_processor_does(cuda):
    _, want = losses()
    learner, got = losses(device=cuda)
    assert got == pytest.approx(want, rel=1e-4)
    assert learner.describe()["optimizer"] == "AdamW, fused"
    assert learner.describe()["backends.cudnn.allow_tf32"] is False
    pixels, tokens = make_batch()
    assert learner.gather([learner.encode_images(pixels), learner.encode_texts(tokens)]).shape == (8, 16)


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precisions(cuda, precision):
    if precision not in cuda.precisions():
        pytest.skip(f"this GPU has no {precision}")
    _, want = losses()
    learner, got = losses(device=cuda, precision=precision, autocast_text=False)
    assert got == pytest.approx(want, rel=3e-2)
    assert ("scaler_scale" in learner.describe()) == (precision == "float16")


@pytest.mark.cuda
def test_a_gpu_tells_its_name_memory_and_peak(cuda):
    cuda.reset_peak_memory()
    block = torch.ones(1 << 20, device=cuda.torch_device)
    assert cuda.peak_memory() >= block.nbytes
    info = cuda.info()
    assert info.name
    assert info.count >= 1
    assert info.driver
    assert info.total_memory > 1 << 30
    assert 0 < cuda.free_memory() < info.total_memory
    cuda.synchronize()


@pytest.mark.cuda
def test_seeds_repeat(cuda):
    drawn = []
    for seed in (1, 1, 2):
        cuda.seed(seed)
        drawn.append(torch.rand(4, device=cuda.torch_device).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def clipbench(*words):
    command = [sys.executable, "-m", "clipbench", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


@pytest.mark.cuda
@pytest.mark.slow
def test_the_quickstart_on_a_gpu_is_the_processors(cuda, tmp_path):
    results = {}
    for device, precision in (("cuda", "float32"), ("cpu", "float32"), ("cuda", "amp")):
        folder = tmp_path / f"{device}-{precision}"
        done = clipbench("run", "quickstart", "--device", device, "--set", f"precision={precision}", "--out", folder)
        assert done.returncode == 0, done.stdout + done.stderr
        (path,) = folder.glob("*.json")
        results[folder.name] = json.loads(path.read_text())
    card, processor, half = results.values()
    assert card["environment"]["device"]["kind"] == "cuda"
    train = [[record["train_loss"] for record in result["epochs"]] for result in (card, processor, half)]
    assert np.array(train[0]) == pytest.approx(np.array(train[1]), rel=1e-3)
    recalls = [result["epochs"][-1]["recall"]["recall_mean"] for result in (card, processor, half)]
    assert recalls[0] == pytest.approx(recalls[1], abs=1.0)
    assert recalls[2] == pytest.approx(recalls[1], abs=3.0)
    assert all(record["peak_memory_bytes"] > 21e6 for record in card["epochs"])
    assert clipbench("compare", tmp_path / "cuda-float32").returncode == 0


@pytest.mark.cuda
@pytest.mark.slow
def test_the_published_model_takes_its_steps_on_a_gpu(cuda, data_root, tmp_path):
    words = ["--device", "cuda", "--set", f"dataset.root={data_root}", "--max-steps", "3", "--out", tmp_path]
    done = clipbench("run", "flickr8k_smoke", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = tmp_path.glob("*.json")
    result = json.loads(path.read_text())
    assert result["epochs"][0]["steps"] == 3
    assert result["model"]["attention"] == "scaled_dot_product_attention"


@pytest.mark.cuda
def test_doctor_examines_a_gpu(cuda):
    done = clipbench("doctor", "--device", "cuda", "--format", "json")
    findings = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["cuda"]["level"] == "ok"
    assert [findings[f"cuda {name}"]["level"] for name in ("autocast", "matmul", "attention", "synchronize")] == [
        "ok", "ok", "ok", "ok",
    ]  # fmt: skip


@pytest.mark.cuda
def test_the_loader_gives_batches_in_pinned_memory(cuda):
    parts = [np.arange(6, dtype=np.int32).reshape(2, 3), np.arange(3, dtype=np.int32).reshape(1, 3)]
    pinned = in_pinned_memory(parts)
    assert pinned.is_pinned()
    np.testing.assert_array_equal(pinned.numpy(), np.concatenate(parts))

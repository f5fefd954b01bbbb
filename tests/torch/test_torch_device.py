"""Devices: what the processor's tuning may keep, and what CUDA says of itself."""

import pytest
import torch
import torch.nn.functional as F
from torch_jobs import make_batch, make_job

from clipbench_torch import device as devices
from clipbench_torch.device import CpuDevice, CudaDevice, choose_float32_products, cuda_peak_flops
from clipbench_torch.learner import TorchLearner


@pytest.fixture(autouse=True)
def matmul_precision():
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def test_products_are_true_float32_after_tuning():
    chosen = choose_float32_products()
    assert chosen["float32_products_relative_error"] < 2e-6
    x, weight = torch.randn(64, 512), torch.randn(256, 512)
    exact = F.linear(x.double(), weight.double())
    assert float((F.linear(x, weight).double() - exact).norm() / exact.norm()) < 2e-6
    kept = "medium" if chosen["float32_products"] == "onednn" else "highest"
    assert torch.get_float32_matmul_precision() == kept


def test_tuning_rejects_products_in_a_shorter_type(monkeypatch):
    exact = devices._linear_products

    def rounded(x, weight, gradient):
        if x.dtype == torch.float32 and torch.get_float32_matmul_precision() == "medium":
            x = x.bfloat16().float()
        return exact(x, weight, gradient)

    monkeypatch.setattr(devices, "_linear_products", rounded)
    chosen = choose_float32_products()
    assert chosen["float32_products"] == "default"
    assert chosen["float32_products_relative_error"] < 2e-6
    assert torch.get_float32_matmul_precision() == "highest"


def test_tuning_rejects_what_is_slower(monkeypatch):
    seconds = 0.0

    def thread_time():
        nonlocal seconds
        seconds += 2.0 if torch.get_float32_matmul_precision() == "medium" else 1.0
        return seconds

    monkeypatch.setattr(devices.time, "thread_time", thread_time)
    assert choose_float32_products()["float32_products"] == "default"


def test_tuning_decides_once(monkeypatch):
    device = CpuDevice()
    first = device.tune()
    monkeypatch.setattr(devices, "choose_float32_products", lambda: pytest.fail("products timed again"))
    assert device.tune() == first


def test_processor():
    device = CpuDevice()
    assert device.unavailable() is None
    assert device.info().name
    assert device.peak_memory() is None
    assert device.precisions()[:2] == ("float32", "bfloat16")
    assert device.grad_scaler("bfloat16") is None
    assert device.grad_scaler("float16") is not None
    assert device.torch_device(3) == torch.device("cpu")


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


def test_cuda_says_why_it_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None, raising=False)
    assert "built without CUDA" in CudaDevice().unavailable()
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices.shutil, "which", lambda tool: None)
    assert "no NVIDIA driver" in CudaDevice().unavailable()
    monkeypatch.setattr(devices.shutil, "which", lambda tool: "/usr/bin/nvidia-smi")
    assert "torch sees no GPU" in CudaDevice().unavailable()


# --- with a GPU -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cuda():
    device = CudaDevice()
    reason = device.unavailable()
    if reason is not None:
        pytest.skip(reason)
    return device


def run(**changes):
    learner = TorchLearner(make_job(**changes))
    for step in range(4):
        learner.train_step(*make_batch(n=8, seed=step), lr=1e-3)
    return learner, [step.loss for step in learner.drain_steps()]


@pytest.mark.cuda
def test_cuda_trains_as_the_processor_does(cuda):
    _, want = run()
    learner, got = run(device=cuda)
    assert got == pytest.approx(want, rel=1e-4)
    assert learner.describe()["optimizer"] == "AdamW, fused"
    assert learner.describe()["tf32"] is False
    pixels, tokens = make_batch()
    assert learner.gather([learner.encode_images(pixels), learner.encode_texts(tokens)]).shape == (8, 16)


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_cuda_half_precisions(cuda, precision):
    if precision not in cuda.precisions():
        pytest.skip(f"this GPU has no {precision}")
    _, want = run()
    learner, got = run(device=cuda, precision=precision, autocast_text=False)
    assert got == pytest.approx(want, rel=3e-2)
    assert ("scaler_scale" in learner.describe()) == (precision == "float16")


@pytest.mark.cuda
def test_cuda_tells_its_name_memory_and_peak(cuda):
    cuda.select(0)
    cuda.reset_peak_memory()
    block = torch.ones(1 << 20, device=cuda.torch_device(0))
    assert cuda.peak_memory() >= block.nbytes
    info = cuda.info()
    assert info.name
    assert info.driver
    assert info.total_memory > 1 << 30
    cuda.synchronize()

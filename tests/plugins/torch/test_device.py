"""Devices: the contract that each of them keeps, and what the processor's tuning may keep."""

import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from clipbench.api import Device
from clipbench.api.registry import load_object, load_registry
from clipbench_torch import device as devices
from clipbench_torch.device import CpuDevice, TorchDevice, choose_float32_products

TOP = Path(__file__).parents[3]


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


@pytest.mark.parametrize(("onednn", "default", "chosen"), [(2, 1, "default"), (1, 1.02, "default"), (1, 1.1, "onednn")])
def test_tuning_takes_what_is_faster_by_more_than_noise(onednn, default, chosen, monkeypatch):
    seconds = 0.0

    def thread_time():
        nonlocal seconds
        seconds += onednn if torch.get_float32_matmul_precision() == "medium" else default
        return seconds

    monkeypatch.setattr(devices.time, "thread_time", thread_time)
    monkeypatch.setattr(devices, "FLOAT32_ERROR_LIMIT", 1.0)  # whatever this processor's products are
    assert choose_float32_products()["float32_products"] == chosen
    assert torch.get_float32_matmul_precision() == devices.PATHS[chosen]


def test_a_resumed_run_keeps_its_products(monkeypatch):
    monkeypatch.setattr(devices, "_onednn_is_faster", lambda *_: pytest.fail("timed again"))
    monkeypatch.setattr(devices, "FLOAT32_ERROR_LIMIT", 1.0)
    for earlier in ("default", "onednn"):
        assert CpuDevice().tune({"float32_products": earlier})["float32_products"] == earlier
    monkeypatch.setattr(devices, "FLOAT32_ERROR_LIMIT", 0.0)  # as on a processor that computes them in bfloat16
    assert CpuDevice().tune({"float32_products": "onednn"})["float32_products"] == "default"


def test_tuning_decides_once(monkeypatch):
    device = CpuDevice()
    first = device.tune()
    monkeypatch.setattr(devices, "choose_float32_products", lambda *_: pytest.fail("products timed again"))
    assert device.tune() == first


def test_processor():
    device = CpuDevice()
    assert device.unavailable() is None
    assert device.info().name
    assert device.peak_memory() is None
    assert device.precisions()[:2] == ("float32", "bfloat16")
    assert device.grad_scaler("bfloat16") is None
    assert device.grad_scaler("float16") is not None
    assert device.torch_device == torch.device("cpu")


# --- the contract, for every device of the torch engine ------------------------------------------------------------

# What the core asks of any device, and what the torch engine asks of its own besides.
OF_THE_CORE = {
    "unavailable", "others", "select", "tune", "info", "precisions", "peak_flops", "free_memory",
    "reset_peak_memory", "peak_memory", "environment_variables",
}  # fmt: skip
OF_THE_ENGINE = {
    "torch_device", "seed", "synchronize",
    "autocast", "grad_scaler", "collective_backend", "attention_backend", "compiles",
    "pin_memory", "float32_hint", "compile_backend",
}  # fmt: skip
DEVICES = {spec.name: spec for spec in load_registry().devices.specs if spec.engine == "torch"}


def members(cls):
    return {name for name, value in vars(cls).items() if not name.startswith("_")}


def sources(folder):
    return "".join(path.read_text(encoding="utf-8") for path in (TOP / folder).rglob("*.py"))


def test_the_contract_is_this_list_and_every_member_is_used():
    assert members(Device) == OF_THE_CORE
    assert members(TorchDevice) == OF_THE_CORE | OF_THE_ENGINE
    for users, contract in (("clipbench", OF_THE_CORE), ("plugins/clipbench-torch", OF_THE_ENGINE)):
        for member in contract:
            assert re.search(rf"\bdevice\.{member}\b", sources(users)), f"{users} does not use {member}"


def test_every_device_that_ships_is_here():
    assert {"cpu", "cuda", "sdaa", "npu", "mlu", "musa", "hpu", "rocm", "xpu", "mps"} <= set(DEVICES)
    assert [name for name, spec in DEVICES.items() if spec.tried] == ["cpu"]


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_a_device_has_every_member_of_its_own_or_from_the_base_class(name):
    device = load_object(DEVICES[name].load)()
    assert device.name == name and isinstance(device, TorchDevice)
    # There is no default for these that suits all devices.
    for member in ("unavailable", "info", "synchronize", "collective_backend"):
        assert getattr(type(device), member) is not getattr(TorchDevice, member)


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_what_a_device_knows_without_being_there(name):
    device = load_object(DEVICES[name].load)()
    reason = device.unavailable()
    assert reason is None or len(reason) > 20
    assert device.collective_backend() in [*torch.distributed.Backend.backend_list, "tccl", "hccl", "cncl", "mccl"]
    assert all(variable.isupper() for variable in device.environment_variables())
    assert len(set(device.environment_variables())) == len(device.environment_variables())


def test_the_processor_answers_everything():
    device = CpuDevice()
    device.select(0)
    device.reset_peak_memory()
    device.synchronize()
    assert (device.peak_memory(), device.free_memory(), device.others()) == (None, None, None)
    assert device.info().count == device.info().devices_per_card == 1
    assert all(device.peak_flops(precision) is None for precision in device.precisions())
    drawn = []
    for seed in (1, 1, 2):
        device.seed(seed)
        drawn.append(torch.rand(4).tolist())
    assert drawn[0] == drawn[1] != drawn[2]
    for precision in device.precisions():
        with device.autocast(precision):
            assert torch.is_autocast_enabled("cpu") == (precision != "float32")

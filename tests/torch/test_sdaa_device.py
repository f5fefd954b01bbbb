"""Device sdaa: why it is not there, and steps on a stand-in for the vendor's extension."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import sdaa_steps
import torch

from clipbench_sdaa import device as sdaa
from clipbench_sdaa.device import SdaaDevice
from clipbench_torch.device import CpuDevice

STAND_IN = Path(__file__).parents[1] / "sdaa_stand_in"


@pytest.fixture
def extension(monkeypatch):
    """An extension with nothing but its name; give ``torch.sdaa`` what a test needs."""
    module = ModuleType("torch_sdaa")
    monkeypatch.setitem(sys.modules, "torch_sdaa", module)
    monkeypatch.setattr(
        torch, "sdaa", SimpleNamespace(is_available=lambda: True, device_count=lambda: 4), raising=False
    )
    return module


def test_missing_extension(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_sdaa", None)
    assert "torch_sdaa is not installed" in SdaaDevice().unavailable()


def test_extension_that_does_not_import(monkeypatch):
    def broken():
        raise ImportError("libsdaart.so: cannot open shared object file")

    monkeypatch.setattr(sdaa, "extension", broken)
    assert "does not import: libsdaart.so" in SdaaDevice().unavailable()


def test_no_card(extension):
    assert SdaaDevice().unavailable() is None
    torch.sdaa.device_count = lambda: 0
    assert "finds no card" in SdaaDevice().unavailable()


def test_old_torch(extension, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.0.0a0+gitdfe6533")
    assert "torch 2.0.0a0+gitdfe6533 is too old" in SdaaDevice().unavailable()


def test_bfloat16_is_offered_only_where_autocast_takes_a_type(extension):
    extension.amp = SimpleNamespace(autocast=lambda enabled=True: None)
    assert SdaaDevice().precisions() == ("float32", "float16")
    extension.amp = SimpleNamespace(autocast=lambda enabled=True, dtype=None: dtype)
    assert SdaaDevice().precisions() == ("float32", "float16", "bfloat16")
    assert SdaaDevice().autocast("bfloat16") is torch.bfloat16


def test_what_an_old_extension_lacks_is_done_without(extension):
    device = SdaaDevice()
    assert device.peak_memory() is None
    device.reset_peak_memory()
    assert device.tune() == {"torch_sdaa": "unknown", "flash_attention": False}
    torch.sdaa.current_device = lambda: 0
    torch.sdaa.get_device_properties = lambda index: SimpleNamespace(total_memory=15_296 << 20)
    assert device.info().name == "SDAA"
    assert device.info().total_memory == 15_296 << 20


def test_driver_version(monkeypatch, tmp_path):
    tool = tmp_path / "teco-smi"
    tool.write_text("#!/bin/sh\necho '| TECO-SMI 1.0    Driver Version: 1.9.0    Runtime Version: 2.0 |'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert sdaa.driver_version() == "1.9.0"


def run_on_stand_in(precision, **knobs):
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("the stand-in for torch_sdaa needs a C++ compiler (g++)")
    path = os.pathsep.join([str(STAND_IN), *sys.path])
    done = subprocess.run(
        [sys.executable, "-W", "error", sdaa_steps.__file__, precision],
        env={**os.environ, "PYTHONPATH": path, **knobs},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("api", ["", "legacy"])
def test_steps_on_the_stand_in_are_the_processors(api):
    want = sdaa_steps.losses_on(CpuDevice(), "float32")
    # KEEP_PARAMS=0: moving the model makes new parameters, as on a stock device of this kind.
    got = run_on_stand_in("float32", FAKE_SDAA_API=api, FAKE_SDAA_KEEP_PARAMS="0")
    assert got["place"] == ["sdaa"]
    assert got["losses"] == pytest.approx(want["losses"], rel=1e-4)
    assert got["flash_attention"] == (api == "")
    assert got["precisions"] == (["float32", "float16"] if api else ["float32", "float16", "bfloat16"])
    assert got["peak_memory"] > 0
    assert got["devices_per_card"] == 4

    half = run_on_stand_in("float16", FAKE_SDAA_API=api)
    assert half["losses"] == pytest.approx(want["losses"], rel=3e-2)
    assert half["losses"] != got["losses"]
    assert half["scaler_skipped_steps"] == 0


SMALL_QUICKSTART = ("train_images=200", "val_images=50")


def quickstart(folder, *words, **knobs):
    """The result of a short quickstart, run as from the shell."""
    options = [word for option in SMALL_QUICKSTART for word in ("--set", f"dataset.options.{option}")]
    command = [sys.executable, "-m", "clipbench", "run", "quickstart", "--set", "train.workers=0", *options, *words]
    path = os.pathsep.join([str(STAND_IN), *sys.path])
    done = subprocess.run(
        [*command, "--out", str(folder)],
        env={**os.environ, "PYTHONPATH": path, **knobs},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text())


@pytest.mark.slow
def test_auto_takes_the_card_and_computes_as_the_processor_does(tmp_path):
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("the stand-in for torch_sdaa needs a C++ compiler (g++)")
    card = quickstart(tmp_path / "card")
    processor = quickstart(tmp_path / "cpu", "--device", "cpu")
    devices = [result["environment"]["device"] for result in (card, processor)]
    assert [device["kind"] for device in devices] == ["sdaa", "cpu"]
    assert [device["requested"] for device in devices] == ["auto", "cpu"]
    losses = [[record["train_loss"] for record in result["epochs"]] for result in (card, processor)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert card["epochs"][0]["peak_memory_bytes"] > 0

    half = quickstart(tmp_path / "half", "--set", "precision=amp", FAKE_SDAA_API="legacy")
    assert half["environment"]["device"]["precision"] == "float16"
    assert half["epochs"][-1]["train_loss"] < half["epochs"][0]["train_loss"]
    assert half["model"]["scaler_scale"] > 0

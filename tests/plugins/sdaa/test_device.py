"""Device sdaa: why it is not there, and steps on a stand-in for the vendor's extension."""

import json
import os
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from clipbench_sdaa import clipbench_devices
from clipbench_sdaa.device import SdaaDevice
from clipbench_torch.device import CpuDevice
from tests.support import sdaa_steps, stand_in
from tests.support.stand_in import STAND_IN, compiled


@pytest.fixture
def extension(monkeypatch):
    """An extension with nothing but its name; give ``torch.sdaa`` what a test needs."""
    module = ModuleType("torch_sdaa")
    monkeypatch.setitem(sys.modules, "torch_sdaa", module)
    monkeypatch.setattr(
        torch,
        "sdaa",
        SimpleNamespace(is_available=lambda: True, device_count=lambda: 4, synchronize=lambda: None),
        raising=False,
    )
    return module


def test_missing_extension():
    (spec,) = clipbench_devices()
    assert spec.absent() is None or spec.absent().startswith("torch_sdaa is not installed: it comes with Tecorigin's")


def test_no_card(extension):
    assert SdaaDevice().unavailable() is None
    torch.sdaa.device_count = lambda: 0
    assert "finds no card" in SdaaDevice().unavailable()


def test_bfloat16_is_offered_only_where_autocast_takes_a_type(extension):
    extension.amp = SimpleNamespace(autocast=lambda enabled=True: None)
    assert SdaaDevice().precisions() == ("float32", "float16")
    extension.amp = SimpleNamespace(autocast=lambda enabled=True, dtype=None: dtype)
    assert SdaaDevice().precisions() == ("float32", "float16", "bfloat16")
    torch.sdaa.is_bf16_supported = lambda: False
    assert SdaaDevice().precisions() == ("float32", "float16")
    assert SdaaDevice().autocast("bfloat16") is torch.bfloat16


def test_what_an_old_extension_lacks_is_done_without(extension):
    device = SdaaDevice()
    assert device.peak_memory() is None
    device.reset_peak_memory()
    assert device.tune() == {"torch_sdaa": "unknown", "flash_attention": False}
    assert device.info().unknown["peak_memory"] == (
        "there is no reset_peak_memory_stats or reset_max_memory_allocated in torch.sdaa"
    )
    torch.sdaa.current_device = lambda: 0
    torch.sdaa.get_device_properties = lambda index: SimpleNamespace(total_memory=15_296 << 20)
    assert device.info().name == "SDAA"
    assert device.info().total_memory == 15_296 << 20
    assert device.free_memory() is None
    torch.sdaa.mem_get_info = lambda: (1 << 30, 2 << 30)
    assert device.free_memory() == 1 << 30


@pytest.fixture
def teco_smi(monkeypatch, tmp_path):
    """Have teco-smi print a text."""

    def prints(text):
        (tmp_path / "table").write_text(text)
        tool = tmp_path / "teco-smi"
        tool.write_text(f"#!/bin/sh\ncat {tmp_path}/table\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return prints


def test_what_teco_smi_tells(teco_smi):
    teco_smi(
        "| TECO-SMI 1.0    Driver Version: 1.9.0    Runtime Version: 2.0 |\n"
        "| 0  TECO_AICARD_01 | 00000000:01:00.0 |  OK |  0%  45C  90W |    20MB / 15296MB |\n"
        "| 1  TECO_AICARD_01 | 00000000:01:00.0 |  OK | 97%  61C  90W | 14000 MB / 15296 MB |\n"
    )
    assert SdaaDevice().driver() == "1.9.0"
    assert SdaaDevice().others() == ["device 1: 14000 of 15296 MB of its memory are in use"]
    teco_smi("a table of another kind")
    assert SdaaDevice().driver() is None
    assert SdaaDevice().others() is None


# --- from the shell -------------------------------------------------------------------------------------------------


def clipbench(*words, path=STAND_IN, **knobs):
    """What ``clipbench ...`` comes to with ``path`` in front of PYTHONPATH."""
    return stand_in.clipbench(*words, path=path, **knobs)


@pytest.fixture
def module(tmp_path):
    """A folder with one module, to be found before the real one of that name."""

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        return tmp_path

    return write


ABSENT = "raise ModuleNotFoundError('No module named {0}', name='{0}')"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("torch_sdaa", ABSENT.format("torch_npu"), "sdaa: torch_sdaa is installed but does not import: No module"),
        (
            "torch_sdaa",
            "raise ImportError('libsdaart.so')",
            "torch_sdaa is installed but does not import: libsdaart.so",
        ),
        (
            "torch_sdaa",
            "import torch; torch._C._older_builds_had_this",
            "torch_sdaa is installed but does not import: module 'torch._C' has no attribute",
        ),
        ("torch_sdaa", "", "torch_sdaa was imported but gives no torch.sdaa: its version does not suit this torch"),
        ("torch", ABSENT.format("torch"), "torch is not installed: `pip install"),
        ("torch", "__version__ = '2.0.0a0+gitdfe6533'", "torch 2.4 or newer is needed, this is 2.0.0a0+gitdfe6533"),
    ],
)
def test_what_is_missing_is_told_apart(tmp_path, module, name, text, said):
    words = ["run", "quickstart", "--device", "sdaa", "--out", tmp_path / "out"]
    done = clipbench(*words, path=module(name, text))
    assert done.returncode == 5, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("out/*.json"))


@pytest.fixture(scope="module")
def card():
    """The stand-in's path, compiled."""
    compiled()
    return STAND_IN


@pytest.mark.slow
def test_no_card_from_the_shell(card, tmp_path):
    done = clipbench("run", "quickstart", "--device", "sdaa", "--out", tmp_path, FAKE_SDAA_DEVICES="0")
    assert done.returncode == 5
    assert "sdaa: torch_sdaa finds no card: check `teco-smi` and SDAA_VISIBLE_DEVICES" in done.stderr


@pytest.mark.slow
def test_doctor_examines_the_card(card, tmp_path):
    done = clipbench("doctor", "--set", "precision=amp", "--out", tmp_path, "--format", "json", FAKE_SDAA_API="legacy")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    findings = {finding["subject"]: finding for finding in report["findings"]}
    assert findings["auto"]["detail"] == "is sdaa"
    assert findings["sdaa"]["detail"].startswith("4 x TECO_AICARD_01, 16.0 GB each")
    assert findings["sdaa autocast"]["detail"] == "products in float16 have the type float16"
    assert findings["sdaa plugin"]["detail"] == "by the vendor's documentation, not yet run"
    assert "cuda" in findings["not here"]["detail"]


def quickstart(folder, *words, **knobs):
    """The result of a quickstart that completed."""
    done = clipbench("run", "quickstart", *words, "--out", folder, **knobs)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text())


def figures(result, *names):
    return [[record[name] for name in names] for record in result["epochs"]]


@pytest.mark.campaign
@pytest.mark.slow
def test_the_whole_quickstart_is_the_processors(card, tmp_path):
    own = quickstart(tmp_path / "card")
    processor = quickstart(tmp_path / "cpu", "--device", "cpu")
    devices = [result["environment"]["device"] for result in (own, processor)]
    assert [(device["kind"], device["requested"]) for device in devices] == [("sdaa", "auto"), ("cpu", "cpu")]
    losses = ("train_loss", "val_loss")
    assert np.array(figures(own, *losses)) == pytest.approx(np.array(figures(processor, *losses)), rel=1e-4)
    recalls = [result["epochs"][-1]["recall"]["recall_mean"] for result in (own, processor)]
    assert recalls[0] == pytest.approx(recalls[1], abs=0.5)
    assert clipbench("compare", tmp_path / "card").returncode == 0

    # One million parameters with gradients and two moments, 4 bytes each, are 21 MB.
    peaks = [record["peak_memory_bytes"] for record in own["epochs"]]
    assert all(21e6 < peak < 200e6 for peak in peaks)
    assert devices[0]["count"] == devices[0]["devices_per_card"] == 4
    assert devices[0]["total_memory"] == 15_296 << 20
    assert devices[0]["tuning"] == {"torch_sdaa": "3.2.0", "flash_attention": True}
    assert [probe["ok"] for probe in own["probes"]] == [True] * 4
    assert own["epochs"][-1]["throughput_per_card"] > 0


SMALL = [
    word
    for change in ("dataset.options.train_images=500", "dataset.options.val_images=100", "train.epochs=2")
    for word in ("--set", change)
] + ["--set", "train.workers=0", "--device", "sdaa"]


@pytest.mark.slow
@pytest.mark.parametrize("api", ["", "legacy"])
def test_mixed_precision_trains(card, tmp_path, api):
    # KEEP_PARAMS=0: moving the model makes new parameters, as on a stock device of this kind.
    words = ["--set", "precision=amp", "--set", "numerics.steps=8"]
    half = quickstart(tmp_path, *SMALL, *words, FAKE_SDAA_API=api, FAKE_SDAA_KEEP_PARAMS="0")
    assert half["environment"]["device"]["precision"] == "float16"
    assert half["environment"]["device"]["tuning"]["flash_attention"] == (api == "")
    (first, early), (last, late) = [(epoch["train_loss"], epoch["recall"]["recall_mean"]) for epoch in half["epochs"]]
    assert last < first - 0.3
    assert late > early
    assert half["model"]["scaler_scale"] >= 1024
    assert half["epochs"][0]["peak_memory_bytes"] > 21e6
    assert half["probes"][0]["measured"] == {"dtype": "float16"}
    numerics = half["numerics"]  # the stand-in's arithmetic is the processor's
    assert numerics["fixed_batch"]["losses"][-1] < 0.9 * numerics["fixed_batch"]["losses"][0]
    assert numerics["trusted_device"] == "cpu" and max(numerics["features_error"]) < 1e-5


@pytest.mark.slow
def test_a_card_whose_synchronize_does_nothing_gets_no_times(card, tmp_path):
    knobs = {"FAKE_SDAA_US_PER_MFLOP": "200", "FAKE_SDAA_SYNCHRONIZE": "0"}
    result = quickstart(tmp_path, *SMALL, "--max-steps", "4", **knobs)
    (probe,) = (probe for probe in result["probes"] if not probe["ok"])
    assert (probe["name"], probe["refuses"]) == ("synchronize", "timing")
    assert figures(result, "throughput", "step_seconds") == [[None, None]]
    assert "synchronize" in result["epochs"][0]["reasons"]["throughput"]


@pytest.mark.slow
def test_bfloat16_is_refused_where_autocast_is_float16s_alone(card, tmp_path):
    words = ["run", "quickstart", *SMALL, "--set", "precision=bfloat16", "--out", tmp_path]
    done = clipbench(*words, FAKE_SDAA_API="legacy")
    assert done.returncode == 2
    assert "device sdaa does not compute bfloat16; it has float32, float16" in done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("api", "precision", "tolerance"), [("", "float32", 1e-4), ("legacy", "float16", 3e-2)])
def test_steps_on_the_stand_in_are_the_processors(card, api, precision, tolerance):
    want = sdaa_steps.losses_on(CpuDevice(), "float32")
    done = subprocess.run(
        [sys.executable, "-W", "error", sdaa_steps.__file__, precision],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(card), *sys.path]), "FAKE_SDAA_API": api},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert got["device_types"] == ["sdaa"]
    assert got["losses"] == pytest.approx(want["losses"], rel=tolerance)
    assert got["flash_attention"] == (api == "")
    assert got["precisions"] == (["float32", "float16"] if api else ["float32", "float16", "bfloat16"])
    assert got["peak_memory"] > 0
    assert got["devices_per_card"] == 4
    assert got.get("scaler_skipped_steps", 0) == 0

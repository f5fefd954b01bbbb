"""Devices of many vendors: what their plugins say without the hardware, and runs on a stand-in that plays the vendor.

A stand-in shows that calls, names and their order are right. It says nothing of a vendor's numerics or speed.
"""

import json
import os
import sys

import pytest
import torch

from clipbench.api.registry import load_object, load_registry
from tests.support.stand_in import clipbench, stand_in_for

SPECS = {spec.name: spec for spec in load_registry().devices.specs if spec.engine == "torch"}
EXTENSIONS = {"npu": "torch_npu", "mlu": "torch_mlu", "musa": "torch_musa", "hpu": "habana_frameworks"}


@pytest.mark.parametrize("name", EXTENSIONS)
def test_a_vendors_extension_that_is_not_installed_is_known_without_an_import(name, monkeypatch):
    monkeypatch.setitem(sys.modules, EXTENSIONS[name], None)
    assert SPECS[name].absent().startswith(f"{EXTENSIONS[name]} is not installed: it comes with ")


@pytest.mark.parametrize(("name", "key"), [("rocm", "hip"), ("xpu", "xpu"), ("cuda", "cuda")])
def test_what_this_torch_was_not_built_for_is_known_without_an_import(name, key):
    built = getattr(torch.version, key, None)
    assert (SPECS[name].absent() is None) == (built is not None)


def test_rocm_is_what_torch_calls_cuda(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.version, "hip", "7.0.1")
    (tmp_path / "rocm-smi").write_text(
        "#!/bin/sh\necho '== Version of System Component =='\necho 'Driver version: 6.14.5'\n"
    )
    (tmp_path / "rocm-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    device = load_object(SPECS["rocm"].load)()
    assert (device.name, device.torch_device) == ("rocm", torch.device("cuda", 0))
    assert device.collective_backend() == "nccl"
    assert device.driver() == "6.14.5"
    assert device.tune()["version.hip"] == "7.0.1"
    assert {"HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"} < set(device.environment_variables())


DRIVERS = {
    "npu": ("npu-smi", "| npu-smi 24.1.rc2          Version: 24.1.rc2     |", "24.1.rc2"),
    "mlu": ("cnmon", "| CNMON v5.10.13                            Driver v5.10.13 |", "5.10.13"),
    "musa": ("mthreads-gmi", "    mthreads-gmi:2.4.1           Driver Version:5.1.0-server", "5.1.0-server"),
    "hpu": ("hl-smi", "1.21.0-ca59b5a", "1.21.0-ca59b5a"),
}


@pytest.mark.parametrize("name", DRIVERS)
def test_the_driver_is_read_from_what_the_vendors_tool_prints(name, monkeypatch, tmp_path):
    tool, table, version = DRIVERS[name]
    (tmp_path / tool).write_text(f"#!/bin/sh\ncat <<'END'\n{table}\nEND\n")
    (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert load_object(SPECS[name].load)().driver() == version


# --- on stand-ins ---------------------------------------------------------------------------------------------------

FEW = [
    word
    for change in ("dataset.options.train_images=200", "dataset.options.val_images=50", "train.workers=0")
    for word in ("--set", change)
] + ["--max-steps", "2"]


def run(folder, path, *words, **knobs):
    """The result of a quickstart of few steps that completed, and all that it printed."""
    done = clipbench("run", "quickstart", *FEW, *words, "--out", folder, path=path, **knobs)
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = folder.glob("*.json")
    return json.loads(result.read_text()), done.stdout + done.stderr


@pytest.mark.slow
def test_auto_finds_an_npu_and_the_run_says_what_was_set_and_what_is_not_known(tmp_path):
    result, _ = run(tmp_path / "out", stand_in_for(tmp_path, "npu"), "--set", "precision=amp")
    device = result["environment"]["device"]
    assert (device["kind"], device["requested"], device["precision"]) == ("npu", "auto", "float16")
    # The stand-in has no such switches: they are looked for, and it is recorded that they are not there.
    assert device["tuning"] == {
        "torch_npu": "3.2.0",
        "version.cann": None,
        "npu.matmul.allow_hf32": None,
        "npu.conv.allow_hf32": None,
    }
    assert device["unknown"] == {"driver": "`npu-smi info` is not installed, or fails"}
    assert result["epochs"][0]["peak_memory_bytes"] > 1e6
    assert [probe["ok"] for probe in result["probes"]] == [True] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "knobs"),
    [
        ("musa", {}),
        # As an extension that registers no hooks with torch: torch.accelerator does not know its device.
        ("mlu", {"FAKE_SDAA_ACCELERATOR": "0"}),
    ],
)
def test_two_ranks(tmp_path, name, knobs):
    path = stand_in_for(tmp_path, name)
    result, _ = run(tmp_path / "out", path, "--device", name, "--nproc", "2", **knobs)
    assert result["environment"]["device"]["kind"] == name
    assert result["environment"]["device"]["world_size"] == 2
    assert len(result["epochs"][0]["per_rank"]) == 2
    assert result["epochs"][0]["recall"]["recall_mean"] > 0


LACKING = (
    "get_device_properties,get_device_name,mem_get_info,max_memory_allocated,reset_peak_memory_stats,"
    "reset_max_memory_allocated,manual_seed_all,is_bf16_supported,set_device,current_device"
)


@pytest.mark.slow
def test_an_extension_that_lacks_half_of_the_functions(tmp_path):
    path = stand_in_for(tmp_path, "mlu")
    knobs = {"FAKE_SDAA_ACCELERATOR": "0", "FAKE_SDAA_LACKS": LACKING}
    result, _ = run(tmp_path / "out", path, "--device", "mlu", **knobs)
    device, epoch = result["environment"]["device"], result["epochs"][0]
    assert (device["name"], device["total_memory"]) == ("MLU", None)
    reason = "there is no reset_peak_memory_stats or reset_max_memory_allocated in torch.mlu"
    assert epoch["peak_memory_bytes"] is None
    assert epoch["reasons"]["peak_memory_bytes"] == device["unknown"]["peak_memory"] == reason


@pytest.mark.slow
def test_what_the_vendors_module_lacks_comes_from_torch_accelerator(tmp_path):
    path = stand_in_for(tmp_path, "musa")
    result, _ = run(tmp_path / "out", path, "--device", "musa", FAKE_SDAA_LACKS=LACKING)
    assert result["epochs"][0]["peak_memory_bytes"] > 1e6
    unknown = result["environment"]["device"]["unknown"]
    assert "peak_memory" not in unknown
    assert unknown["free_memory"].startswith("torch.accelerator.get_memory_info raised ")


@pytest.mark.slow
def test_the_doctor_on_an_extension_that_lies_about_memory(tmp_path):
    words = ["--device", "musa", "--out", tmp_path, "--format", "json"]
    done = clipbench("doctor", *words, path=stand_in_for(tmp_path, "musa"), FAKE_SDAA_PEAK="7")
    assert done.returncode == 0, done.stdout + done.stderr
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["musa plugin"]["detail"] == "by the vendor's documentation, not yet run"
    assert found["musa peak memory"]["detail"].startswith(
        "not known: the peak that torch.musa gives is wrong: it rose by 0 when"
    )
    assert {found[f"musa {probe}"]["level"] for probe in ("autocast", "matmul", "attention", "synchronize")} == {"ok"}


@pytest.mark.slow
def test_a_stand_in_keeps_every_promise_of_a_device(tmp_path):
    done = clipbench("conform", "device", "npu", path=stand_in_for(tmp_path, "npu"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_extensions_that_raise_or_crash_leave_the_processor(tmp_path):
    for name, text in {
        "torch_npu": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
        "torch_musa": "raise OSError('libmusart.so: cannot open shared object file')",
        "torch_mlu": "",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    info = tmp_path / "torch_npu-1.dist-info"  # torch imports what is in this group, unless it is told not to
    info.mkdir()
    (info / "entry_points.txt").write_text("[torch.backends]\ntorch_npu = torch_npu:autoload\n")
    result, said = run(tmp_path / "out", tmp_path)
    assert result["environment"]["device"]["kind"] == "cpu"
    (warning,) = (text for text in result["warnings"] if text.startswith("device "))
    assert warning.startswith("device npu is left out: SIGSEGV when asked for the device; `clipbench doctor")
    assert "device npu is left out" in said
    done = clipbench("doctor", "--device", "musa", "--format", "json", path=tmp_path)
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["musa"]["detail"] == (
        "torch_musa is installed but does not import: libmusart.so: cannot open shared object file"
    )
    done = clipbench("doctor", "--device", "mlu", "--format", "json", path=tmp_path)
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["mlu"]["detail"] == (
        "torch_mlu was imported but gives no torch.mlu: its version does not suit this torch"
    )

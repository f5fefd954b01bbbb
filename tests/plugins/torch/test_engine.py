"""The engine explains what is wrong with a torch before anything needs it."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from clipbench_torch.engine import TorchEngine, torch_release


def test_nothing_is_wrong_here():
    assert TorchEngine().problem() is None
    assert set(TorchEngine().versions()) == {"torch", "numpy"}


@pytest.mark.parametrize(
    ("text", "release"),
    [("2.4.0a0+git1234", (2, 4)), ("2.13.0+cpu", (2, 13)), ("2.0.0a0+gitdfe6533", (2, 0)), ("unknown", (0, 0))],
)
def test_releases_of_vendors_builds(text, release):
    assert torch_release(text) == release


@pytest.mark.parametrize(("version", "refused"), [("2.3.1", True), ("2.4.0a0+git1234", False), ("2.10.0", False)])
def test_old_torch_is_refused(monkeypatch, version, refused):
    torch = ModuleType("torch")
    torch.__version__ = version
    monkeypatch.setitem(sys.modules, "torch", torch)
    problem = TorchEngine().problem()
    assert (problem is not None) == refused
    if refused:
        assert problem == f"torch 2.4 or newer is needed, this is {version}"


def test_ranks_are_started_by_a_module_that_calls_torchs_launcher():
    command = TorchEngine().launcher(4, Path("killed.json"))
    assert command == [sys.executable, "-m", "clipbench_torch.launch", "4", "killed.json"]


def test_missing_torch_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'clipbench[torch]'" in TorchEngine().problem()


def test_listing_plugins_and_the_engine_imports_no_torch():
    code = (
        "import sys, clipbench_torch, clipbench_torch.engine, clipbench_sdaa\n"
        "clipbench_torch.clipbench_engines(), clipbench_torch.clipbench_devices(), clipbench_torch.clipbench_models()\n"
        "assert clipbench_sdaa.clipbench_devices()\n"
        "assert 'torch' not in sys.modules and 'torch_sdaa' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

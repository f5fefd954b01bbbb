"""A device whose vendor's package is not installed is not there: exit 5 where it was asked for, else no more than a
note.
"""

import json
import os

import pytest

from tests.support.numpy_runs import ENGINE, clipbench
from tests.support.plugin_folder import install_plugin

HOOKS = """
from clipbench.api import DeviceSpec, hookimpl

@hookimpl
def clipbench_devices():
    return [
        DeviceSpec("ipu", "numpy", "a vendor's cards", "ipu_device:Ipu", priority=99),
        DeviceSpec("lpu", "numpy", "a card with a recipe", "ipu_device:Ipu", install="source /opt/lpu/env.sh"),
        DeviceSpec("qpu", "numpy", "a card without its library", "qpu_device:Qpu"),
    ]
"""


@pytest.fixture
def command(tmp_path):
    """`clipbench` with three devices, priority before all others, whose modules do not import."""
    qpu = "raise ImportError('libqpu.so.7: cannot open shared object file', name='qpu')"
    site = install_plugin(tmp_path / "site", "cards", card_hooks=HOOKS, ipu_device="import torch_ipu", qpu_device=qpu)
    return lambda *words: clipbench(*words, cwd=tmp_path, PYTHONPATH=f"{site}{os.pathsep}{ENGINE}")


REASONS = {
    "ipu": "ipu: not available: torch_ipu is not installed; install torch_ipu",
    "lpu": "lpu: not available: torch_ipu is not installed; source /opt/lpu/env.sh",
    "qpu": "qpu: not available: ImportError: libqpu.so.7: cannot open shared object file; install qpu again",
}


def test_asked_for_it_is_exit_5_and_says_what_to_install(command, suite):
    done = command("run", suite(matrix={"device": list(REASONS)}))
    assert done.returncode == 5, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for reason in REASONS.values():
        assert reason in done.stderr


def test_where_nobody_asked_everything_goes_on(command, suite):
    done = command("run", suite(train={"epochs": 1, "batch_size": 8}))
    assert done.returncode == 0 and "abacus of wood" in done.stdout
    done = command("doctor", suite(), "--format", "json")
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["ipu"]["level"] == "note" and found["auto"]["detail"] == "is abacus"
    assert "install torch_ipu" in found["ipu"]["detail"]
    assert "ipu" in command("list", "devices").stdout


def test_the_doctor_fails_where_it_was_asked_for(command, suite):
    done = command("doctor", suite(), "--device", "ipu", "--format", "json")
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert done.returncode == 5 and found["ipu"]["level"] == "failure"

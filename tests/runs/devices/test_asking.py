"""Devices are asked in processes of their own: one that hangs or crashes is named, and the rest goes on."""

import json
import os
from contextlib import closing

import pytest

from clipbench.errors import UsageError
from clipbench.runs.devices.asking import Question, answer_seconds, ask_devices
from tests.support.numpy_runs import ENGINE, clipbench, results
from tests.support.plugin_folder import install_plugin

HOOKS = """
from functools import partial

from clipbench.api import DeviceSpec, EngineSpec, ModelSpec, hookimpl, package_missing
from clipbench_numpy import LINEAR


@hookimpl
def clipbench_devices():
    return [
        DeviceSpec("sleeper", {engine!r}, "hangs at import", "sleeper:Device", priority=93),
        DeviceSpec("crasher", {engine!r}, "dies at import", "crasher:Device", priority=92),
        DeviceSpec("ghost", {engine!r}, "not installed", "x:X", 91, absent=partial(package_missing, "ghost_ml", "ask")),
        DeviceSpec("raiser", {engine!r}, "raises at import, and at once", "raiser:Device", 90, absent=lambda: 1 / 0),
        DeviceSpec("lost", {engine!r}, "says that it is not there", "lost:Device", 0),
    ]


@hookimpl
def clipbench_engines():
    return [EngineSpec("stone", "an engine without a device of its own", "clipbench_numpy:NumpyEngine")]


@hookimpl
def clipbench_models():
    return [ModelSpec("flint", "stone", "linear towers", LINEAR, "clipbench_numpy:NumpyLearner")]
"""
DEVICES = {
    "lost": "class Device:\n    name = 'lost'\n    def unavailable(self):\n        return 'not to be found'\n",
    "sleeper": "import time; time.sleep(600)",
    "crasher": "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    "raiser": "raise RuntimeError('built for another framework')",
}
BROKEN = {
    "sleeper": "no answer within 4 s when asked for the device",
    "crasher": "SIGSEGV when asked for the device",
    "raiser": "RuntimeError: built for another framework, when asked for the device",
}


@pytest.fixture
def with_cards(tmp_path):
    """Variables for an installation with devices of an engine, preferred to all others, that cannot be used."""

    def install(engine="numpy"):
        site = install_plugin(tmp_path / "site", "cards", card_hooks=HOOKS.format(engine=engine), **DEVICES)
        return {"PYTHONPATH": f"{site}{os.pathsep}{ENGINE}", "CLIPBENCH_DEVICE_SECONDS": "4"}

    return install


def test_auto_passes_over_what_hangs_or_crashes_and_says_so(with_cards, suite, tmp_path):
    done = clipbench("run", suite(train={"epochs": 1, "batch_size": 8}), cwd=tmp_path, **with_cards())
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = results(tmp_path)
    assert result.environment["device"]["kind"] == "abacus"
    assert result.environment["device"]["requested"] == "auto"
    said = " ".join((done.stdout + done.stderr).split())
    for name, reason in BROKEN.items():
        (warning,) = (text for text in result.warnings if f"device {name} " in text)
        assert warning.startswith(f"device {name} is left out: ")
        assert f"{reason}; `clipbench doctor --device {name}` looks further" in warning
        assert f"device {name} is left out" in said
    assert "ghost" not in said  # what is merely not there is no news


def test_the_doctor_names_them_and_goes_on(with_cards, suite, tmp_path):
    done = clipbench("doctor", suite(), "--format", "json", cwd=tmp_path, **with_cards())
    assert done.returncode == 0, done.stdout + done.stderr
    found = {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}
    for name, reason in BROKEN.items():
        assert found[name]["level"] == "warning"
        assert found[name]["detail"].startswith("the check of it ended early: ")
        assert found[name]["detail"].endswith(reason)
    assert found["not here"]["detail"].startswith("ghost, unobtainium; ")
    assert found["auto"]["detail"] == "is abacus"
    answers = {device["device"]: device for device in json.loads(done.stdout)["devices"]}
    assert answers["ghost"]["unavailable"] == "ghost_ml is not installed: ask"


def test_where_no_device_is_left_every_reason_is_given(with_cards, suite, tmp_path):
    path = suite(engine="stone", model={"name": "flint"})
    done = clipbench("run", path, cwd=tmp_path, **with_cards("stone"))
    assert done.returncode == 5, done.stdout + done.stderr
    reasons = {**BROKEN, "ghost": "ghost_ml is not installed: ask", "lost": "not to be found"}
    for name, reason in reasons.items():
        assert f"{name}: " in done.stderr and reason in done.stderr
    assert not list(tmp_path.glob("results/*.json"))


WAITS_FOR_THE_OTHER = """
import time
from pathlib import Path
from clipbench_numpy import Abacus as Device

Path({own!r}).touch()
while not Path({other!r}).exists():
    time.sleep(0.01)
"""


def test_devices_are_asked_side_by_side_and_no_longer_than_is_needed(tmp_path, monkeypatch):
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    modules = {
        "sleeper": DEVICES["sleeper"],
        "crasher": WAITS_FOR_THE_OTHER.format(own=first, other=second),
        "raiser": WAITS_FOR_THE_OTHER.format(own=second, other=first),
    }
    site = install_plugin(tmp_path / "site", "cards", card_hooks=HOOKS.format(engine="numpy"), **modules)
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{ENGINE}")
    with closing(ask_devices([Question("numpy", name) for name in ("crasher", "raiser", "sleeper")], 600)) as checks:
        assert next(checks).present and next(checks).present  # one after the other, the first would wait for ever
    # and so would this, were the last one waited for


def test_a_driver_that_hangs_is_ended_and_its_answers_are_kept(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ENGINE), os.environ.get("PYTHONPATH", "")])))
    monkeypatch.setenv("CLIPBENCH_NUMPY_PROBE", "hang")
    (check,) = ask_devices([Question("numpy", "abacus", ("float32",))], seconds=8)
    assert check.broke_off == "no answer within 8 s when asked for its probes in float32"
    assert check.info.name == "abacus of wood"
    assert check.present and not check.available


def test_the_time_limit_must_be_a_number():
    assert answer_seconds({}) == 60
    assert answer_seconds({"CLIPBENCH_DEVICE_SECONDS": "2.5"}) == 2.5
    for text in ("soon", "0", "-1", "nan", "inf"):
        with pytest.raises(UsageError, match="CLIPBENCH_DEVICE_SECONDS: expected a number of seconds above 0, got"):
            answer_seconds({"CLIPBENCH_DEVICE_SECONDS": text})

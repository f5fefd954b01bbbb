"""What was read becomes findings: ok, note, warning or failure."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.api import DeviceInfo
from clipbench.api.registry import Plugin
from clipbench.doctor.findings import (
    judge_absent,
    judge_choice,
    judge_clock,
    judge_device,
    judge_disk,
    judge_governors,
    judge_load,
    judge_memory,
    judge_quota,
    judge_software,
)
from clipbench.doctor.host import Host
from clipbench.doctor.requirements import Requirements
from clipbench.runs.devices.asking import DeviceCheck, PrecisionProbe

QUIET = Host(
    cores=8, quota=None, load=0.1, free_memory=1 << 35, governors=("performance",), now=2e9, built=1.9e9, tick=1e-7
)


@pytest.mark.parametrize(
    ("judge", "change", "level"),
    [
        (judge_load, {}, "ok"),
        (judge_load, {"load": 4.1}, "warning"),
        (judge_load, {"load": None}, "note"),
        (judge_quota, {}, "ok"),
        (judge_quota, {"quota": 8.0}, "ok"),
        (judge_quota, {"quota": 2.5}, "warning"),
        (judge_governors, {}, "ok"),
        (judge_governors, {"governors": ()}, "ok"),
        (judge_governors, {"governors": ("performance", "powersave")}, "warning"),
        (judge_clock, {}, "ok"),
        (judge_clock, {"now": 0.0}, "warning"),
        (judge_clock, {"tick": 0.015}, "warning"),
    ],
)
def test_host(judge, change, level):
    finding = judge(replace(QUIET, **change))
    assert finding.level == level
    assert bool(finding.fix) == (level == "warning")


def test_what_is_advised_for_a_container():
    assert "OMP_NUM_THREADS=2 " in judge_quota(replace(QUIET, quota=2.5)).fix
    assert "OMP_NUM_THREADS=1 " in judge_quota(replace(QUIET, quota=0.5)).fix


@given(st.integers(0, 1 << 50))
def test_a_disk_that_is_too_small_is_a_failure(need):
    free = 1 << 40
    level = judge_disk_with(free, need).level
    assert level == ("failure" if free < need else "warning" if free < 2 * need else "ok")


def judge_disk_with(free, need):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clipbench.doctor.findings.free_bytes", lambda folder: free)
        return judge_disk("disk", Path(), need, "things")


def test_a_folder_that_cannot_be_written_to(monkeypatch, tmp_path):
    finding = judge_disk("disk", tmp_path / "new" / "results", 0, "things")
    assert finding.level == "ok" and not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    finding = judge_disk("disk", tmp_path / "file" / "results", 0, "things")
    assert (finding.level, finding.detail) == ("failure", f"{tmp_path / 'file'} is a file, not a folder")
    monkeypatch.setattr("clipbench.doctor.findings.os.access", lambda folder, mode: False)
    finding = judge_disk("disk", tmp_path / "new", 0, "things")
    assert (finding.level, finding.detail) == ("failure", f"{tmp_path} cannot be written to")


def test_a_disk_that_does_not_tell():
    finding = judge_disk_with(None, 1000)
    assert (finding.level, finding.fix) == ("warning", "1.0 kB are needed")


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 36), st.integers(1, 1 << 36), st.integers(1, 8))
def test_memory_fails_where_parameters_cannot_fit_and_warns_where_a_step_may_not(free, parameters, activations, ranks):
    level = judge_memory("memory", free, Requirements(0, 0, parameters, activations), ranks).level
    assert (level == "failure") == (free < ranks * parameters)
    assert (level == "ok") == (free >= ranks * (parameters + activations))


PROBES = tuple(
    PrecisionProbe(name, ok, "so", refuses)
    for name, ok, refuses in (("a", True, "run"), ("b", False, "run"), ("c", False, "timing"))
)
INFO = DeviceInfo("GPU 9000", 2, "1.2", 80_000_000_000)
CARD = DeviceCheck(
    "torch", "card", {"torch": "2"}, present=True, info=INFO, others=("process 7, train.py",), probes=PROBES
)


def test_what_is_wrong_with_a_device_matters_where_it_is_used():
    used = {finding.subject: finding for finding in judge_device(CARD, tried=True, used=True)}
    assert used["card"].detail == "2 x GPU 9000, 80.0 GB each, driver 1.2"
    assert [used[f"card {name}"].level for name in "abc"] == ["ok", "failure", "warning"]
    assert used["card in use"].level == "warning"
    assert {finding.level for finding in judge_device(CARD, tried=True, used=False)} == {"ok", "note"}


@pytest.mark.parametrize(("used", "level"), [(True, "failure"), (False, "warning")])
def test_a_device_that_breaks_off_is_more_than_a_note(used, level):
    (finding,) = judge_device(DeviceCheck("torch", "card", broke_off="SIGSEGV"), tried=True, used=used)
    assert finding.level == level


def test_what_was_never_run_on_the_hardware_says_so_and_what_is_not_known_why():
    info = DeviceInfo("GPU 9000", 1, unknown={"peak_memory": "torch.card without max_memory_allocated"})
    lines = {finding.subject: finding for finding in judge_device(replace(CARD, info=info), tried=False, used=True)}
    assert lines["card plugin"].detail == "by the vendor's documentation, not yet run"
    assert lines["card peak memory"].detail == "not known: torch.card without max_memory_allocated"
    assert {lines[f"card {name}"].level for name in ("plugin", "peak memory")} == {"note"}


def test_devices_that_are_known_to_be_absent_share_a_line():
    (finding,) = judge_absent([DeviceCheck("torch", name, unavailable="no") for name in ("first", "second")])
    assert (finding.level, finding.detail) == ("note", "first, second; `clipbench doctor --device NAME` says why")
    assert list(judge_absent([])) == []


def test_auto_takes_the_first_that_is_there():
    gone = DeviceCheck("torch", "first", unavailable="no")
    (finding,) = judge_choice([gone, CARD], "torch", "auto")
    assert (finding.level, finding.detail) == ("ok", "is card")
    (finding,) = judge_choice([gone], "torch", "auto")
    assert finding.level == "failure"
    assert list(judge_choice([gone], "torch", "first")) == []


def test_a_framework_that_is_not_there():
    registry = SimpleNamespace(plugins=[Plugin("torch", "clipbench", "1")], broken=[])
    absent = DeviceCheck("torch", "cpu", engine_problem="torch is not installed")
    lines = {finding.subject: finding for finding in judge_software(registry, [absent])}
    assert lines["engine torch"].level == "failure"
    assert not absent.available

"""``clipbench doctor``: what it looks at, what it thinks of it, and what it says to the shell."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.api.registry import Plugin
from clipbench.clip.config import CLIP_VIT_B16, CLIP_VIT_L14
from clipbench.clip.vocabulary import train_vocabulary, write_vocabulary
from clipbench.doctor import host as condition
from clipbench.doctor.checkup import Report
from clipbench.doctor.device_check import Examination, examine
from clipbench.doctor.findings import (
    Finding,
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
from clipbench.doctor.host import Condition, cpu_quota, free_memory, governors, read_condition
from clipbench.doctor.requirements import Needs, kept_values, needs, parameter_count
from clipbench.report.doctor import doctor_text

ENGINE = Path(__file__).parents[1] / "support" / "numpy_engine"
QUIET = Condition(
    cores=8, quota=None, load=0.1, free_memory=1 << 35, governors=("performance",), now=2e9, built=1.9e9, tick=1e-7
)


# --- through the front door -----------------------------------------------------------------------------------------


@pytest.fixture
def suite(tmp_path):
    """A suite on the numpy engine, all of whose needs are met."""
    write_vocabulary(tmp_path / "words.txt.gz", train_vocabulary(["red circle", "blue square"], 20))
    data = {
        "name": "linear",
        "engine": "numpy",
        "model": {"name": "linear"},
        "dataset": {"name": "shapes", "root": str(tmp_path), "options": {"train_images": 64, "val_images": 16}},
        "train": {"epochs": 1, "batch_size": 16},
    }
    path = tmp_path / "linear.yaml"
    path.write_text(json.dumps(data))  # JSON is YAML
    return path


def variables(**more):
    path = os.pathsep.join(filter(None, [str(ENGINE), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "80", **more}


def clipbench_doctor(*words, cwd, **more):
    return clipbench("doctor", *words, cwd=cwd, **more)


def clipbench(*words, cwd, **more):
    command = [sys.executable, "-m", "clipbench", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=variables(**more), capture_output=True, text=True, timeout=120)


def findings(done):
    return {finding["subject"]: finding for finding in json.loads(done.stdout)["findings"]}


def test_a_machine_that_is_ready(suite, tmp_path):
    done = clipbench_doctor(suite, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "suite linear"
    assert lines[-1].startswith("ready") and lines[-1].endswith("(exit code 0)")
    assert max(map(len, lines)) <= 80 or max(lines, key=len).count("/") > 3  # a path is not broken
    assert [line for line in lines if line.strip() and not line.startswith(" ")][1:-1] == [
        "software", "devices", "data", "machine",
    ]  # fmt: skip
    assert "\x1b" not in done.stdout and "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()  # it looks, and writes nothing


def test_json_has_every_line_and_every_answer(suite, tmp_path):
    done = clipbench_doctor(suite, "--format", "json", cwd=tmp_path)
    data = json.loads(done.stdout)
    assert (data["suite"], data["exit_code"], done.returncode) == ("linear", 0, 0)
    assert {"Python", "plugins", "engine numpy", "abacus", "auto", "shapes", "vocabulary", "weights", "load"} < set(
        findings(done)
    )
    assert {"disk, results", "disk, cache", "memory", "processor", "governor", "clock"} < set(findings(done))
    assert findings(done)["unobtainium"]["level"] == "note"
    assert findings(done)["auto"]["detail"] == "is abacus"
    devices = {device["device"]: device for device in data["devices"]}
    assert devices["unobtainium"]["unavailable"] == "not to be had on this planet"
    assert [probe["name"] for probe in devices["abacus"]["probes"]] == ["matmul", "synchronize"]
    assert devices["abacus"]["info"]["name"] == "abacus of wood"


def test_a_device_that_is_not_here(suite, tmp_path):
    done = clipbench_doctor(suite, "--device", "unobtainium", "--format", "json", cwd=tmp_path)
    assert done.returncode == 5
    assert findings(done)["unobtainium"]["level"] == "failure"
    assert "abacus" not in findings(done)


@pytest.mark.parametrize(("probe", "code", "level"), [("matmul", 5, "failure"), ("synchronize", 0, "warning")])
def test_a_probe_that_fails(suite, tmp_path, probe, code, level):
    done = clipbench_doctor(suite, "--format", "json", cwd=tmp_path, CLIPBENCH_NUMPY_PROBE=probe)
    assert done.returncode == code
    assert findings(done)[f"abacus {probe}"]["level"] == level
    assert findings(done)[f"abacus {probe}"]["detail"] == "not as it should be"


def test_a_run_refuses_what_the_doctor_calls_a_failure(suite, tmp_path):
    done = clipbench("run", suite, "--out", tmp_path / "out", cwd=tmp_path, CLIPBENCH_NUMPY_PROBE="matmul")
    assert done.returncode == 5
    assert "device abacus does not do what it says; matmul: not as it should be" in done.stdout + done.stderr
    (path,) = (tmp_path / "out").glob("*.json")
    result = json.loads(path.read_text())
    assert (result["status"], result["epochs"]) == ("failed", [])
    assert [probe["ok"] for probe in result["probes"]] == [False, True]


def test_a_run_goes_on_without_times_where_the_doctor_warns(suite, tmp_path):
    done = clipbench("run", suite, "--out", tmp_path / "out", cwd=tmp_path, CLIPBENCH_NUMPY_PROBE="synchronize")
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "out").glob("*.json")
    result = json.loads(path.read_text())
    (epoch,) = result["epochs"]
    assert epoch["recall"]["recall_mean"] > 0
    for name in ("samples_per_second", "step_seconds", "data_wait"):
        assert epoch[name] is None
        assert "synchronize: not as it should be" in epoch["reasons"][name]
    assert epoch["windows"] == []


def test_a_driver_that_crashes_is_a_line_of_the_report(suite, tmp_path):
    done = clipbench_doctor(suite, cwd=tmp_path, CLIPBENCH_NUMPY_PROBE="abort")
    assert done.returncode == 5
    assert "failure  abacus" in done.stdout
    said = " ".join(done.stdout.split())
    assert "its process broke off: SIGABRT when asked for its probes in float32" in said
    assert "next: see whether the driver's own tools work" in said
    assert "not ready: 2 failures" in said  # auto finds nothing else


def test_a_driver_that_hangs_is_given_up_and_what_it_had_said_is_kept(monkeypatch):
    for name, value in variables(CLIPBENCH_NUMPY_PROBE="hang").items():
        monkeypatch.setenv(name, value)
    found = examine("numpy", "abacus", ["float32"], patience=8)
    assert found.broke_off == "no answer within 8 s when asked for its probes in float32"
    assert found.info["name"] == "abacus of wood"
    assert not found.available


def test_a_precision_that_the_device_has_not(suite, tmp_path):
    done = clipbench_doctor(suite, "--set", "precision=float16", "--format", "json", cwd=tmp_path)
    assert done.returncode == 5
    assert findings(done)["abacus precision"]["detail"].startswith("precision: device abacus does not compute float16")


def test_missing_data_is_listed_with_where_it_comes_from(suite, tmp_path):
    (tmp_path / "words.txt.gz").unlink()
    done = clipbench_doctor(
        suite, "--set", "model.weights=lost.pth", "--set", "model.weights_missing=error", cwd=tmp_path
    )
    assert done.returncode == 5
    said = " ".join(done.stdout.split())
    assert "BPE vocabulary words.txt.gz; looked in" in said
    assert "weights lost.pth for linear; looked in" in said
    assert "(.pth, .pt, .safetensors)" in said
    assert "not ready: 2 failures" in said


def test_a_broken_plugin_is_a_warning_and_what_it_would_have_brought_a_failure(suite, tmp_path):
    site = tmp_path / "site"
    info = site / "clipbench_crooked-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: clipbench-crooked\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[clipbench]\ncrooked = clipbench_crooked\n")
    (site / "clipbench_crooked.py").write_text("raise ImportError('libcrooked.so is gone')\n")
    path = os.pathsep.join([str(site), str(ENGINE)])
    done = clipbench_doctor(suite, "--format", "json", cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 0, done.stdout
    assert findings(done)["plugin crooked"]["level"] == "warning"
    assert "libcrooked.so is gone" in findings(done)["plugin crooked"]["detail"]
    done = clipbench_doctor(suite, "--set", "dataset.name=crooked", "--format", "json", cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 5
    assert "crooked" in findings(done)["linear"]["detail"]


def test_a_suite_that_is_wrong_is_a_usage_error(tmp_path):
    done = clipbench_doctor("no-such-suite", cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    done = clipbench_doctor("quickstart", "--device", "warp-drive", cwd=tmp_path)
    assert done.returncode == 2
    assert "warp-drive" in done.stderr


@pytest.mark.slow
def test_the_quickstart_on_this_machine(tmp_path):
    done = clipbench_doctor("--device", "cpu", "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {"cpu autocast", "cpu matmul", "cpu attention", "cpu synchronize"} < set(findings(done))


# --- needs ----------------------------------------------------------------------------------------------------------


def test_parameters_of_known_models():
    assert parameter_count(CLIP_VIT_B16) == 149_620_737  # openai/CLIP's own count
    assert parameter_count(CLIP_VIT_L14) == 427_616_513


def plan(config=CLIP_VIT_B16, epochs=50, batch_size=32, accumulate=1, checkpointing=False, ranks=1):
    train = SimpleNamespace(
        epochs=epochs, batch_size=batch_size, accumulate=accumulate, grad_checkpointing=checkpointing
    )
    return SimpleNamespace(
        config=config, train_images=6000, val_images=1000, case=SimpleNamespace(train=train, ranks=ranks)
    )


def test_needs_of_the_published_run():
    need = needs(plan())
    assert need.checkpoints == 4 * 3 * 4 * 149_620_737
    assert need.parameters == 4 * 4 * 149_620_737
    assert need.images == 7000 * 224 * 224 * 3
    assert 4e9 < need.activations < 6e9


def test_needs_shrink_with_micro_batches_ranks_and_checkpointing():
    whole = needs(plan()).activations
    assert needs(plan(accumulate=4)).activations == needs(plan(ranks=4)).activations == whole / 4
    assert needs(plan(checkpointing=True)).activations < whole / 4
    evaluation = needs(plan(epochs=0))
    assert (evaluation.checkpoints, evaluation.activations) == (0, 0)
    assert kept_values(CLIP_VIT_B16, False) < kept_values(CLIP_VIT_L14, False)


def test_the_most_of_several_cases():
    several = [Needs(1, 20, 3, 40), Needs(10, 2, 30, 4)]
    assert Needs.most(several) == Needs(10, 20, 30, 40)


# --- reading --------------------------------------------------------------------------------------------------------


def test_this_machine_can_be_read():
    here = read_condition()
    assert here.cores >= 1
    assert here.tick > 0
    assert here.now > here.built - 86400
    assert all(judge(here).detail for judge in (judge_load, judge_quota, judge_governors, judge_clock))


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A control group of version 2 in another, and this process in the inner one."""
    inner = tmp_path / "cgroup" / "outer" / "inner"
    inner.mkdir(parents=True)
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    found = condition._groups
    monkeypatch.setattr(condition, "_groups", lambda cgroups: found(cgroups, own))
    return inner


def test_limits_of_any_control_group_hold(groups, tmp_path):
    top = tmp_path / "cgroup"
    assert cpu_quota(top) is None
    (groups / "cpu.max").write_text("max 100000\n")
    assert cpu_quota(top) is None
    (groups.parent / "cpu.max").write_text("150000 100000\n")
    assert cpu_quota(top) == 1.5

    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 64 kB\nMemAvailable:      8 kB\n")
    assert free_memory(meminfo, top) == 8192
    (groups / "memory.max").write_text("5000\n")
    (groups / "memory.current").write_text("2000\n")
    assert free_memory(meminfo, top) == 3000
    (groups / "memory.max").write_text("max\n")
    assert free_memory(meminfo, top) == 8192
    assert free_memory(tmp_path / "none", top) is None


def test_quota_of_the_first_version_of_control_groups(groups, tmp_path):
    folder = tmp_path / "cgroup" / "cpu"
    folder.mkdir()
    for quota, want in (("-1", None), ("250000", 2.5)):
        (folder / "cpu.cfs_quota_us").write_text(quota)
        (folder / "cpu.cfs_period_us").write_text("100000")
        assert cpu_quota(tmp_path / "cgroup") == want


def test_governors_are_named_once(tmp_path):
    assert governors(tmp_path) == ()
    for number, name in enumerate(["powersave", "performance", "powersave"]):
        folder = tmp_path / f"cpu{number}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(name + "\n")
    assert governors(tmp_path) == ("performance", "powersave")


# --- judging --------------------------------------------------------------------------------------------------------


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
def test_condition(judge, change, level):
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
    level = judge_memory("memory", free, Needs(0, 0, parameters, activations), ranks).level
    assert (level == "failure") == (free < ranks * parameters)
    assert (level == "ok") == (free >= ranks * (parameters + activations))


PROBES = tuple(
    {"precision": "float32", "name": name, "ok": ok, "detail": "so", "refuses": refuses, "measured": {}}
    for name, ok, refuses in (("a", True, "run"), ("b", False, "run"), ("c", False, "timing"))
)
INFO = {"name": "GPU 9000", "count": 2, "driver": "1.2", "total_memory": 80_000_000_000, "devices_per_card": 1}
CARD = Examination("torch", "card", {"torch": "2"}, info=INFO, others=("process 7, train.py",), probes=PROBES)


def test_what_is_wrong_with_a_device_matters_where_it_is_used():
    used = {finding.subject: finding for finding in judge_device(CARD, used=True)}
    assert used["card"].detail == "2 x GPU 9000, 80.0 GB each, driver 1.2"
    assert [used[f"card {name}"].level for name in "abc"] == ["ok", "failure", "warning"]
    assert used["card in use"].level == "warning"
    assert {finding.level for finding in judge_device(CARD, used=False)} == {"ok", "note"}


def test_a_device_that_breaks_off_would_break_auto_too():
    (finding,) = judge_device(Examination("torch", "card", broke_off="SIGSEGV"), used=False)
    assert finding.level == "failure"


def test_auto_takes_the_first_that_is_there():
    gone = Examination("torch", "first", unavailable="no")
    (finding,) = judge_choice([gone, CARD], "torch", "auto")
    assert (finding.level, finding.detail) == ("ok", "is card")
    (finding,) = judge_choice([gone], "torch", "auto")
    assert finding.level == "failure"
    assert list(judge_choice([gone], "torch", "first")) == []


def test_a_framework_that_is_not_there():
    registry = SimpleNamespace(plugins=[Plugin("torch", "clipbench", "1")], broken=[])
    absent = Examination("torch", "cpu", engine_problem="torch is not installed")
    lines = {finding.subject: finding for finding in judge_software(registry, [absent])}
    assert lines["engine torch"].level == "failure"
    assert not absent.available


# --- telling --------------------------------------------------------------------------------------------------------


def test_lines_wrap_under_their_own_column_and_say_what_to_do_next():
    long = Finding("machine", "load", "warning", "word " * 30, "stop the others")
    report = Report("s", (Finding("software", "Python", "ok", "3.12"), long), ())
    text = doctor_text(report, 60)
    lines = text.replace("\x1b[32m", "").replace("\x1b[33m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, lines)) <= 60
    column = next(line for line in lines if "load" in line).index("word")
    assert lines[-3] == " " * column + "next: stop the others"
    assert lines[-1] == "ready: 1 warning (exit code 0)"


def test_what_mends_several_things_is_said_once():
    same = [Finding("data", "missing", "failure", what, "get the data") for what in ("one", "two")]
    report = Report("s", (*same, Finding("data", "weights", "failure", "three", "get the weights")), ())
    text = doctor_text(report, 80)
    assert text.count("next: get the data") == 1
    assert text.index("two") < text.index("get the data") < text.index("three") < text.index("get the weights")


def test_the_verdict_counts():
    def verdict(*levels):
        report = Report("s", tuple(Finding("data", "x", level, "y") for level in levels), ())
        return report.exit_code, doctor_text(report, 80).splitlines()[-1]

    assert verdict("ok", "note") == (0, "ready (exit code 0)")
    assert verdict("failure", "warning", "failure") == (5, "not ready: 2 failures and 1 warning (exit code 5)")

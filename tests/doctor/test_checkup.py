"""``clipbench doctor`` on whole machines: what it checks, and its exit code."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.make_vocabulary import train_vocabulary, write_vocabulary

ENGINE = Path(__file__).parents[1] / "support" / "numpy_engine"


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
    assert findings(done)["not here"]["detail"].startswith("unobtainium; ")
    assert findings(done)["auto"]["detail"] == "is abacus"
    devices = {device["device"]: device for device in data["devices"]}
    assert devices["unobtainium"]["unavailable"] == "not to be had on this planet"
    assert [probe["name"] for probe in devices["abacus"]["probes"]] == ["matmul", "synchronize"]
    assert devices["abacus"]["info"]["name"] == "abacus of wood"


def test_a_device_that_is_not_here(suite, tmp_path):
    done = clipbench_doctor(suite, "--device", "unobtainium", "--format", "json", cwd=tmp_path)
    assert done.returncode == 5
    assert findings(done)["unobtainium"]["level"] == "failure"
    assert findings(done)["unobtainium"]["detail"] == "not to be had on this planet"
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
    assert "device abacus does not compute correctly; matmul: not as it should be" in done.stdout + done.stderr
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
    for name in ("throughput", "step_seconds", "data_wait"):
        assert epoch[name] is None
        assert "synchronize: not as it should be" in epoch["reasons"][name]
    assert epoch["windows"] == []


def test_a_driver_that_crashes_is_a_line_of_the_report(suite, tmp_path):
    done = clipbench_doctor(suite, cwd=tmp_path, CLIPBENCH_NUMPY_PROBE="abort")
    assert done.returncode == 5
    assert "failure  abacus" in done.stdout
    words = " ".join(done.stdout.split())
    assert "the check of it ended early: SIGABRT when asked for its probes in float32" in words
    assert "next: see whether the driver's own tools work" in words
    assert "not ready: 1 failure" in words  # a run would choose the abacus; that paper crashed too is a warning


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
    words = " ".join(done.stdout.split())
    assert "BPE vocabulary words.txt.gz; looked in" in words
    assert "weights lost.pth for linear; looked in" in words
    assert "(.pth, .pt, .bin, .safetensors)" in words
    assert "not ready: 2 failures" in words


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

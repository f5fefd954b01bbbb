"""Every benchmark runs with small sizes, prints a table and writes its file. Its figures are not judged."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
RESULT = TOP / "benchmarks" / "results" / "quickstart.json"
QUICK = {
    "startup": ["--quick"],
    "train_step": ["--quick"],
    "step_profile": ["--quick", "--precision", "float32"],
    "encode": ["--quick"],
    "engines": ["--quick"],
    "loader": ["--quick"],
    "recall": ["--quick"],
    "overhead": ["--quick"],
    "memory": ["--quick"],
    "process_memory": ["--quick"],
    "fleet": ["--quick"],
    "growth": ["--quick", "--only", "entries", "captions", "results"],
    "compare": [RESULT, "--count", 2, "--turns", 1, "--images", 20],
    "checkpoint": ["--quick"],
    "report": ["--quick"],
    "false_alarms": ["--trials", 4],
    "sick_nodes": ["--quick"],
    "index": ["--quick"],
}

pytestmark = pytest.mark.slow


def run(name, folder, *options, **variables):
    out = folder / f"{name}.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *map(str, options), "--out", str(out)]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "when" in json.loads(out.read_text(encoding="utf-8"))


# Those that take ten seconds and more even with --quick.
CAMPAIGNS = {"engines", "fleet", "index", "loader", "memory"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.campaign if name in CAMPAIGNS else ()) for name in QUICK]
)
def test_a_benchmark_runs(name, tmp_path):
    run(name, tmp_path, *QUICK[name])


def test_the_tokenising_benchmark_runs(tmp_path, data_root):
    run("tokenise", tmp_path, "--quick", CLIPBENCH_DATA=str(data_root))


def test_every_benchmark_is_tested():
    modules = {path.stem for path in (TOP / "benchmarks").glob("*.py")}
    no_benchmarks = {"__init__", "harness", "peer", "plain_run", "plain_transform", "plots", "tables"}
    assert modules - no_benchmarks == {*QUICK, "tokenise"}

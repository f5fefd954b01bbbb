"""Every benchmark still runs: small sizes, its table printed and its file written. What it measures is not judged."""

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
    "loader": ["--quick"],
    "recall": ["--quick"],
    "overhead": ["--quick"],
    "memory": ["--quick"],
    "growth": ["--quick", "--only", "entries", "captions", "results"],
    "compare": [RESULT, "--count", 2, "--turns", 1, "--images", 20],
    "checkpoint": ["--quick"],
    "false_alarms": ["--trials", 4],
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", QUICK)
def test_a_benchmark_runs(name, tmp_path):
    out = tmp_path / f"{name}.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *QUICK[name], "--out", out]
    done = subprocess.run(
        [str(word) for word in command], cwd=tmp_path, env=os.environ, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "when" in json.loads(out.read_text(encoding="utf-8"))


def test_every_benchmark_is_here_or_needs_more_than_a_test_has():
    """report and tokenise need results and data; the others are modules, or draw images."""
    parts = {"__init__", "harness", "peer", "plain_transform", "tables", "plots"}
    left_out = {"report", "tokenise"}
    modules = {path.stem for path in (TOP / "benchmarks").glob("*.py")}
    assert modules == set(QUICK) | parts | left_out

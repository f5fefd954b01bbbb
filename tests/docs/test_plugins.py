"""Build, install and use the plugin example of docs/plugins.md as a third party does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
EXAMPLE = PAGE.partition("## A complete example")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Return a folder into which pip has installed the example, built from the files on the page."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    files = re.findall(r"^`([\w/.]+)`.*?\n+```\w+\n(.*?)^```", EXAMPLE, re.M | re.S)
    assert [name for name, _ in files] == [
        "pyproject.toml",
        "clipbench_swatches/__init__.py",
        "clipbench_swatches/dataset.py",
        "clipbench_swatches/speed.py",
    ]
    for name, text in files:
        path = source / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True, timeout=120)
    return target


def clipbench(installed, cwd, *words):
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "CI": "true"}
    command = [sys.executable, "-m", "clipbench", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_it_is_listed_with_its_distribution(installed, tmp_path):
    done = clipbench(installed, tmp_path, "list", "datasets", "--format", "json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["datasets"]}
    assert rows["swatches"]["distribution"] == "clipbench-swatches"


@pytest.mark.parametrize("words", [("dataset", "swatches"), ("observer", "speed")])
def test_it_keeps_its_promises(installed, tmp_path, words):
    done = clipbench(installed, tmp_path, "conform", *words)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_its_suite_trains_and_its_observer_watches(installed, tmp_path):
    (suite,) = re.findall(r"```yaml\n(name: swatches.*?)```", EXAMPLE, re.S)
    (tmp_path / "swatches.yaml").write_text(suite, encoding="utf-8")
    done = clipbench(installed, tmp_path, "run", "swatches.yaml", "--device", "cpu")
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "results").glob("*.json")
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["dataset"]["name"] == "swatches" and result["dataset"]["val"]["images"] == 32
    table = path.with_suffix("") / "speed.csv"
    assert [line.split(",")[:3] for line in table.read_text().splitlines()] == [
        ["swatches", "cpu", "1"],
        ["swatches", "cpu", "2"],
    ]

"""Where tests find the data that cannot ship with the project, and a loud word when it is not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.numpy_runs import flat_suite, write_pictures
from tests.support.slurm_cluster import NO_SLURM

# As the torch engine does before it imports torch: threads that spin keep each other off a busy machine's few cores.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

# How long an example takes says nothing on a busy machine.
settings.register_profile("clipbench", deadline=None)
settings.load_profile("clipbench")

DATA_FIXTURES = {"data_root", "expected_dir"}
_DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"
_WHY = "CLIPBENCH_DATA is not set to a folder with the Flickr8k data"


def _data_root() -> Path | None:
    named = os.environ.get("CLIPBENCH_DATA")
    root = Path(named) if named else _DEFAULT_DATA
    return root if root.is_dir() else None


def _expected_dir() -> Path | None:
    named = os.environ.get("CLIPBENCH_EXPECTED")
    root = _data_root()
    folder = Path(named) if named else root and root.parent / "expected"
    return folder if folder and folder.is_dir() else None


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder with the vocabulary, captions and photographs, or a skip."""
    return _data_root() or pytest.skip(_WHY)


@pytest.fixture(scope="session")
def expected_dir() -> Path:
    """The folder with the reference's figures, or a skip."""
    return _expected_dir() or pytest.skip(f"{_WHY}, nor CLIPBENCH_EXPECTED to one with the reference's figures")


@pytest.fixture(scope="session")
def expected(expected_dir):
    """The reference's figures: learning rates, captions, token ids, recalls, digests of transformed photographs."""
    return json.loads((expected_dir / "recipe.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """Flat pictures of two colours with two captions each, in Flickr8k's layout."""
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture
def suite(tmp_path, pictures):
    """Writes a suite for the numpy engine on the flat pictures; sections given replace its own."""

    def write(**sections):
        path = tmp_path / "flat.yaml"
        path.write_text(json.dumps({**flat_suite(pictures), **sections}))  # JSON is YAML
        return path

    return write


def pytest_collection_modifyitems(items):
    for item in items:
        if DATA_FIXTURES & set(item.fixturenames):
            item.add_marker("data")


def pytest_terminal_summary(terminalreporter):
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if "CLIPBENCH_DATA" in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.section("LEFT OUT", sep="!", red=True, bold=True)
        terminalreporter.line(f"{len(skipped)} tests did not run: {_WHY}.", red=True, bold=True)
    for report in terminalreporter.stats.get("skipped", []):
        if NO_SLURM in str(report.longrepr):
            terminalreporter.section("LEFT OUT", sep="!", red=True, bold=True)
            terminalreporter.line(f"{report.nodeid} did not run: {report.longrepr[-1]}", red=True, bold=True)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return the working folder of this test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path

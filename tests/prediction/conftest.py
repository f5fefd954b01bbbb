"""A run of the numpy engine to predict with, in this process."""

import json
import os

import pytest
from click.testing import CliRunner

from clipbench.cli import main
from tests.support.numpy_runs import ENGINE, cache_folder, clipbench, flat_suite, results


@pytest.fixture(scope="session")
def learnt(pictures, tmp_path_factory):
    """A folder with ``results`` of a run that has learnt the flat pictures."""
    folder = tmp_path_factory.mktemp("learnt")
    (folder / "flat.yaml").write_text(json.dumps(flat_suite(pictures)))
    assert clipbench("run", "flat.yaml", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def run(learnt, monkeypatch):
    """The run's id; the numpy engine is installed, and the working folder is the one with its results."""
    monkeypatch.syspath_prepend(str(ENGINE))
    monkeypatch.setenv("CLIPBENCH_CACHE", cache_folder().name)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ENGINE), os.environ.get("PYTHONPATH", "")])))
    monkeypatch.chdir(learnt)
    return results(learnt)[0].run_id


@pytest.fixture
def command():
    """Calls a command in this process."""

    def call(*words):
        return CliRunner().invoke(main, list(map(str, words)))

    return call

"""Two ranks over gloo, against one with the whole batch; and a rank that is killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clipbench.api import World
from clipbench_jax.device import CpuDevice
from clipbench_jax.engine import JaxEngine
from tests.support.jax_ranks import take_steps

TOP = Path(__file__).parents[3]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two ranks have written, the second of which was killed at the end."""
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "kill").touch()
    command = [*JaxEngine().launcher(2, folder / "killed.json"), "tests.support.jax_ranks", str(folder)]
    variables = {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
    done = subprocess.run(
        command, cwd=TOP, env={**os.environ, **variables}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 4, done.stderr
    return folder


@pytest.mark.parametrize("name", ["global", "batch"])
def test_ranks_and_micro_batches_give_what_one_rank_does_with_the_whole_batch(folder, name):
    whole = take_steps("global", CpuDevice(), World())
    for rank in (0, 1):
        found = dict(np.load(folder / f"{name}{rank}.npz"))
        assert found.keys() == whole.keys()
        for key, value in whole.items():
            if key.startswith("gradient"):
                largest = np.abs(value).max()
                np.testing.assert_allclose(found[key], value, atol=1e-5 * largest + 1e-7, err_msg=key)
        np.testing.assert_allclose(found["losses"], whole["losses"], rtol=1e-5)
        np.testing.assert_allclose(found["norms"], whole["norms"], rtol=1e-5)
    shares = [float(np.load(folder / f"{name}{rank}.npz")["flops"]) for rank in (0, 1)]
    assert sum(shares) == pytest.approx(whole["flops"], rel=0.3) and max(shares) < whole["flops"]


def test_arrays_of_any_size_are_gathered_in_rank_order(folder):
    for rank in (0, 1):
        first, second = np.load(folder / f"gathered{rank}.npz").values()
        assert first.shape == (0, 3) and second.tolist() == [[1, 1, 1]] and first.dtype == np.int64


def test_the_first_ranks_state_reaches_the_others(folder):
    features = [np.load(folder / f"restored{rank}.npz")["arr_0"] for rank in (0, 1)]
    assert np.array_equal(*features)


def test_a_killed_rank_is_named(folder):
    killed = json.loads((folder / "killed.json").read_text())
    assert (killed["rank"], killed["signal"]) == (1, "SIGKILL") and killed["pid"] > 0
    failure = (folder / "failure").read_text()
    assert "rank 1 has gone silent" in failure and "last seen at the end of the test" in failure


def test_the_launcher_returns_the_code_of_the_first_that_failed(tmp_path):
    (tmp_path / "ends.py").write_text(
        "import os, sys, time\nif os.environ['RANK'] == '1': sys.exit(5)\ntime.sleep(0.5)\nsys.exit(4)\n"
    )
    command = [sys.executable, "-m", "clipbench_jax.launch", "2", "killed.json", "ends", "job.json"]
    assert subprocess.run(command, cwd=tmp_path, timeout=60).returncode == 5
    assert not (tmp_path / "killed.json").exists()

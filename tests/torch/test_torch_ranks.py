"""Several processes over gloo: four ranks with global negatives are one rank with the whole batch."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import global_negatives
import numpy as np
import pytest

SCRIPT = Path(global_negatives.__file__)
RANKS = 4


def run_ranks(negatives, folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(RANKS), negatives, str(folder)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        for rank in ranks:
            _, errors = rank.communicate(timeout=120)
            assert rank.returncode == 0, errors
    finally:
        for rank in ranks:
            rank.kill()  # those that wait for one that failed
    return [dict(np.load(folder / f"rank{rank}.npz")) for rank in range(RANKS)]


@pytest.mark.slow
def test_global_negatives_give_the_gradients_of_the_whole_batch(tmp_path):
    ranks = run_ranks("global", tmp_path)
    losses, gradients, scale = global_negatives.steps(0, 1, "global")
    for rank in ranks:
        np.testing.assert_allclose(rank["losses"], losses, rtol=1e-5)
    assert set(gradients) <= set(ranks[0])
    for name, gradient in gradients.items():
        for rank in ranks:
            scale_of_gradient = np.abs(gradient).max()
            np.testing.assert_allclose(rank[name], gradient, atol=1e-5 * scale_of_gradient + 1e-7, err_msg=name)
    assert float(ranks[0]["scale"]) == pytest.approx(scale, abs=1e-6)


@pytest.mark.slow
def test_local_negatives_stay_with_their_rank(tmp_path):
    ranks = run_ranks("local", tmp_path)
    _, whole, _ = global_negatives.steps(0, 1, "local")
    name = "visual.proj"
    np.testing.assert_array_equal(ranks[0][name], ranks[-1][name])
    assert not np.allclose(ranks[0][name], whole[name], rtol=1e-2)
    # What every rank reports is the mean of the losses that each takes over its own pairs.
    own = [global_negatives.first_loss(rank, RANKS) for rank in range(RANKS)]
    assert [float(rank["losses"][0]) for rank in ranks] == pytest.approx([np.mean(own)] * RANKS, rel=1e-5)

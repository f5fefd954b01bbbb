"""Several processes over gloo, against one process with the whole batch."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch.distributed as dist

from clipbench.api import World, heartbeat
from clipbench_torch import group as groups
from clipbench_torch.device import CpuDevice
from tests.support.global_negatives import GLOBAL_BATCH, take_steps

SCRIPT = Path(__file__).parents[2] / "support" / "global_negatives.py"
RANKS = 4
SHARDS = [slice(first, first + GLOBAL_BATCH // RANKS) for first in range(0, GLOBAL_BATCH, GLOBAL_BATCH // RANKS)]
REPORTED = {"losses", "norms", "scale", "flops"}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def result_of(tmp_path_factory):
    """What each rank wrote of a scenario, in rank order."""
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), str(RANKS), str(folder)],
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
            rank.communicate()
    return lambda name: [dict(np.load(folder / f"{name}{rank}.npz")) for rank in range(RANKS)]


def assert_same_gradients(got, want):
    assert set(got) == set(want)
    for name in set(want) - REPORTED:
        largest = np.abs(want[name]).max()
        np.testing.assert_allclose(got[name], want[name], atol=1e-5 * largest + 1e-7, err_msg=name)


@pytest.mark.parametrize("name", ["global", "batch"])
def test_ranks_and_micro_batches_give_what_one_rank_does_with_the_whole_batch(result_of, name):
    whole = take_steps("global")
    for rank in result_of(name):
        assert_same_gradients(rank, whole)
        np.testing.assert_allclose(rank["losses"], whole["losses"], rtol=1e-5)
        np.testing.assert_allclose(rank["norms"], whole["norms"], rtol=1e-5)
        assert float(rank["scale"]) == pytest.approx(whole["scale"], abs=1e-6)


def test_local_negatives_give_the_mean_of_the_ranks_own_gradients(result_of):
    alone = [take_steps("local", shard=shard) for shard in SHARDS]
    mean = {name: np.mean([one[name] for one in alone], axis=0) for name in alone[0]}
    for rank in result_of("local"):
        assert_same_gradients(rank, mean)
        np.testing.assert_allclose(rank["losses"], mean["losses"], rtol=1e-5)
    assert not np.allclose(mean["visual.proj"], take_steps("global")["visual.proj"], rtol=1e-2)


def test_a_ranks_micro_batches_keep_to_their_own_pairs(result_of):
    alone = [take_steps("local_in_parts", shard=shard) for shard in SHARDS]
    for rank in result_of("local_in_parts"):
        assert_same_gradients(rank, {name: np.mean([one[name] for one in alone], axis=0) for name in alone[0]})


def test_a_micro_batch_of_all_ranks_is_one_batch(result_of):
    size = GLOBAL_BATCH // RANKS // 4
    # Part k of every rank together are what one rank takes as its batch.
    parts = [
        np.concatenate([np.arange(s.start + k * size, s.start + (k + 1) * size) for s in SHARDS]) for k in range(4)
    ]
    alone = [take_steps("local", shard=rows) for rows in parts]
    for rank in result_of("global_in_parts"):
        assert_same_gradients(rank, {name: np.mean([one[name] for one in alone], axis=0) for name in alone[0]})


def test_ranks_count_their_own_operations(result_of):
    ranks = [float(rank["flops"]) for rank in result_of("local")]
    assert sum(ranks) < take_steps("local")["flops"]  # a shard's captions are cut shorter, and it has fewer negatives
    assert min(ranks) > 0.15 * take_steps("local")["flops"]


def test_a_group_that_is_closed_leaves_no_thread_behind(monkeypatch):
    """A thread inside the store at interpreter shutdown would abort the process."""
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.001)
    store = dist.HashStore()
    group = groups.TorchGroup(CpuDevice(), World(rank=0, local_rank=0, size=2), store)
    while json.loads(store.get("beat/0"))[0] < 3:
        time.sleep(0.001)
    assert "heartbeat" in [thread.name for thread in threading.enumerate()]
    group.close()
    assert "heartbeat" not in [thread.name for thread in threading.enumerate()]
    assert json.loads(store.get("beat/0"))[0] == -1

"""The loader: batches in order whatever the workers, errors as they were raised, workers that end."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from clipbench.errors import NotReadyError
from clipbench_torch.device import CpuDevice
from clipbench_torch.engine import TorchEngine
from clipbench_torch.loader import TorchLoader

KEYS = [[3, 1, 4], [1, 5, 9], [2, 6]]


def fetch(key):
    if key == "missing":
        raise NotReadyError("dog.jpg: no such file")
    if key == "broken":
        raise ZeroDivisionError("in fetch")
    if key == "threads":
        return (np.array([torch.get_num_threads()]),)
    rng = np.random.default_rng(key)
    return rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), np.array([key, 0], np.int32)


def fetch_process(key):
    return (np.array([os.getpid()]),)


@pytest.fixture
def loader_of():
    loaders = []

    def build(fetch, workers):
        loaders.append(TorchEngine().loader(fetch, workers, CpuDevice()))
        return loaders[-1]

    yield build
    for loader in loaders:
        loader.close()


def alive(process):
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_batches_are_the_stacked_samples_in_order(loader_of):
    for keys, (pixels, numbers) in zip(KEYS, loader_of(fetch, 0).batches(KEYS), strict=True):
        assert pixels.dtype == torch.uint8
        assert numbers.dtype == torch.int32
        np.testing.assert_array_equal(pixels.numpy(), np.stack([fetch(key)[0] for key in keys]))
        assert numbers[:, 0].tolist() == keys


def test_workers_change_nothing(loader_of):
    alone, helped = loader_of(fetch, 0), loader_of(fetch, 2)
    for _ in range(2):
        for one, two in zip(alone.batches(KEYS), helped.batches(KEYS), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_an_unfinished_iteration_does_not_leak_into_the_next(loader_of):
    loader = loader_of(fetch, 2)
    next(iter(loader.batches(KEYS)))
    assert [numbers[:, 0].tolist() for _, numbers in loader.batches([[7], [8]])] == [[7], [8]]


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_keep_their_type(loader_of, workers):
    loader = loader_of(fetch, workers)
    with pytest.raises(NotReadyError) as refusal:
        list(loader.batches([[1], ["missing"]]))
    assert str(refusal.value) == "dog.jpg: no such file"
    with pytest.raises(ZeroDivisionError, match="in fetch"):
        list(loader.batches([["broken"]]))
    assert len(list(loader.batches(KEYS))) == 3


def test_workers_stay_between_calls_ignore_interrupts_and_end_with_the_loader(loader_of):
    loader = loader_of(fetch_process, 1)
    worker = int(next(loader.batches([[0]]))[0])
    assert worker != os.getpid()
    os.kill(worker, signal.SIGINT)
    assert [int(batch[0]) for batch in loader.batches([[0], [0]])] == [worker, worker]
    loader.close()
    deadline = time.monotonic() + 5
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(worker)


def test_workers_compute_on_one_thread(loader_of):
    (batch,) = next(loader_of(fetch, 1).batches([["threads"]]))
    assert batch.item() == 1


def test_loading_draws_nothing_from_the_global_generator():
    torch.manual_seed(0)
    want = torch.rand(1)
    torch.manual_seed(0)
    list(TorchLoader(fetch, 0).batches(KEYS))
    assert torch.equal(torch.rand(1), want)

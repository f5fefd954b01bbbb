"""Batches of the engine's loader are tensors, and loading them leaves torch's generator alone."""

import contextlib

import numpy as np
import pytest
import torch

from clipbench_torch.device import CpuDevice
from clipbench_torch.engine import TorchEngine
from clipbench_torch.inputs import in_pinned_memory

KEYS = [[3, 1], [4, 1]]


def fetch(key):
    return np.full((2, 2, 3), key, np.uint8), np.array([key], np.int32)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_tensors(workers):
    with contextlib.closing(TorchEngine().loader(fetch, workers, CpuDevice())) as loader:
        for keys, (pixels, numbers) in zip(KEYS, loader.batches(KEYS), strict=True):
            assert pixels.dtype == torch.uint8 and pixels.shape == (2, 2, 2, 3)
            assert numbers.dtype == torch.int32 and numbers[:, 0].tolist() == keys


def test_loading_draws_nothing_from_the_global_generator():
    torch.manual_seed(0)
    want = torch.rand(1)
    torch.manual_seed(0)
    list(TorchEngine().loader(fetch, 0, CpuDevice()).batches(KEYS))
    assert torch.equal(torch.rand(1), want)


def test_pinned_memory_is_asked_for_and_filled(monkeypatch):
    asked = []

    def empty(*shape, pin_memory, **others):
        asked.append(pin_memory)
        return torch.zeros(*shape, **others)

    monkeypatch.setattr("clipbench_torch.inputs.torch.empty", empty)
    parts = [np.arange(6, dtype=np.int32).reshape(2, 3), np.arange(3, dtype=np.int32).reshape(1, 3)]
    np.testing.assert_array_equal(in_pinned_memory(parts).numpy(), np.concatenate(parts))
    assert asked == [True]

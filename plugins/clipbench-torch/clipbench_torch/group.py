"""The ranks of a run over torch.distributed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from clipbench.api import Heartbeat, World
from clipbench_torch.device import TorchDevice

STORE_TIMEOUT = timedelta(seconds=30)


class TorchGroup:
    """A Group (see clipbench.api) over the process group that ``join`` has made."""

    def __init__(self, device: TorchDevice, world: World, store: dist.Store) -> None:
        self._torch_device = device.torch_device(world.local_rank)
        self._world = world
        self._heartbeat = Heartbeat(world, store)

    def all_gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Return every rank's array, in rank order; they may differ in shape, not in dtype or number of axes."""
        shapes = self._gather_equal(torch.tensor(array.shape, dtype=torch.int64))
        sizes = [int(shape.prod()) * array.itemsize for shape in shapes]
        # Sent as 32-bit words, because some devices hardly support bytes.
        words = -(-max(sizes) // 4)
        padded = np.zeros(words * 4, np.uint8)
        padded[: array.nbytes] = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        gathered = self._gather_equal(torch.from_numpy(padded.view(np.int32)))
        return [
            np.frombuffer(data.numpy().tobytes()[:size], array.dtype).reshape(shape.tolist())
            for data, size, shape in zip(gathered, sizes, shapes, strict=True)
        ]

    def _gather_equal(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        local = tensor.to(self._torch_device)
        shards = [torch.empty_like(local) for _ in range(self._world.size)]
        dist.all_gather(shards, local)
        return [shard.cpu() for shard in shards]

    def at(self, position: str) -> None:
        """Note how far this rank is; the next beat carries it."""
        self._heartbeat.position = position
        self._heartbeat.moves += 1

    def fail(self, report: Mapping[str, Any]) -> None:
        """Report to the other ranks why this one ends."""
        self._heartbeat.fail(report)

    def failure(self) -> Mapping[str, Any] | None:
        """Return the report of the rank that was the first to fail or go silent, or None."""
        return self._heartbeat.failure()

    def on_failure(self, act: Callable[[Mapping[str, Any]], None]) -> None:
        """Call ``act`` from the heartbeat's thread if another rank fails and this one's main thread does not notice."""
        self._heartbeat.act = act

    def close(self) -> None:
        """Stop the heartbeat; peers no longer treat silence as failure."""
        self._heartbeat.close()


def join(device: TorchDevice, world: World, timeout: float) -> TorchGroup:
    """Join the ranks that meet at MASTER_ADDR and MASTER_PORT, on the back end of the selected device."""
    if not dist.is_initialized():
        backend, limit = device.collective_backend(), timedelta(seconds=timeout)
        dist.init_process_group(backend, rank=world.rank, world_size=world.size, timeout=limit)
    # A second connection: a rank that waits may block torch's own for long.
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=STORE_TIMEOUT)
    return TorchGroup(device, world, dist.PrefixStore("clipbench", store))

"""The ranks of a run over torch.distributed."""

from __future__ import annotations

import os
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist

from clipbench.api import WatchedGroup, World
from clipbench_torch.device import TorchDevice

STORE_TIMEOUT = timedelta(seconds=30)


class TorchGroup(WatchedGroup):
    """A Group (see clipbench.api) over the process group that ``join`` has made."""

    def __init__(self, device: TorchDevice, world: World, store: dist.Store) -> None:
        super().__init__(world, store)
        self._torch_device = device.torch_device

    def gather_words(self, words: np.ndarray) -> list[np.ndarray]:
        """Return every rank's int32 array (n,), in rank order; ``n`` is the same on all of them."""
        local = torch.from_numpy(words).to(self._torch_device)
        shards = [torch.empty_like(local) for _ in range(self.world.size)]
        dist.all_gather(shards, local)
        return [shard.cpu().numpy() for shard in shards]


def join(device: TorchDevice, world: World, timeout: float) -> TorchGroup:
    """Join the ranks that meet at MASTER_ADDR and MASTER_PORT, on the back end of the selected device."""
    if not dist.is_initialized():
        backend, limit = device.collective_backend(), timedelta(seconds=timeout)
        dist.init_process_group(backend, rank=world.rank, world_size=world.size, timeout=limit)
    # A second connection: a rank that waits may block torch's own for long.
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=STORE_TIMEOUT)
    return TorchGroup(device, world, dist.PrefixStore("clipbench", store))

"""Registers the vendor's process-group backend (gloo underneath)."""

import torch.distributed as dist

from . import _C, COLLECTIVES, NAME


def _create(store, rank, size, timeout):
    return _C.tccl(dist.ProcessGroupGloo(store, rank, size, timeout))


dist.Backend.register_backend(COLLECTIVES, _create, devices=[NAME])

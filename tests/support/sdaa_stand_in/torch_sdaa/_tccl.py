"""Registers the "tccl" process-group backend (gloo underneath)."""

import torch.distributed as dist

from . import _C


def _create(store, rank, size, timeout):
    return _C.tccl(dist.ProcessGroupGloo(store, rank, size, timeout))


dist.Backend.register_backend("tccl", _create, devices=["sdaa"])

"""The ranks of a run over jax.distributed: one process and one device each."""

from __future__ import annotations

import os
from collections.abc import Sequence

import jax
import numpy as np
from jax._src import distributed  # the store of a run has no public name
from jax.experimental import multihost_utils
from jax.extend.backend import clear_backends
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from clipbench.api import WatchedGroup, World
from clipbench_jax.device import JaxDevice
from clipbench_jax.loss import RANKS

# By JAX's own heartbeat, processes that miss another one end themselves without a word: ours is to be faster.
JAX_HEARTBEAT_SECONDS = 600
LEAVE_SECONDS = 10  # for the other ranks at the end; after a failure, they are not waited for any longer


class JaxGroup(WatchedGroup):
    """A Group (see clipbench.api) of the processes that ``join`` has brought together."""

    def gather_words(self, words: np.ndarray) -> np.ndarray:
        """Return the int32 arrays (n,) of all ranks, stacked in rank order."""
        return np.asarray(multihost_utils.process_allgather(words))

    def padded(self, count: int) -> int:
        """Return the next power of two: each size is compiled once."""
        return 1 << max(0, count - 1).bit_length()


def join(device: JaxDevice, world: World, timeout: float) -> JaxGroup:
    """Join the ranks that meet at MASTER_ADDR and MASTER_PORT."""
    # JAX wants to be told of the other processes before it looks for devices, which it has done for the checks.
    jax.config.update("jax_default_device", None)
    clear_backends()
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(
        f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}",
        world.size,
        world.rank,
        local_device_ids=[world.local_rank],
        cluster_detection_method="deactivate",
        initialization_timeout=int(timeout),
        heartbeat_timeout_seconds=JAX_HEARTBEAT_SECONDS,
        shutdown_timeout_seconds=LEAVE_SECONDS,
    )
    device.select(world.local_rank)
    return JaxGroup(world, _Store())


def mesh_of(device: JaxDevice) -> Mesh:
    """Return one device of each rank, in rank order."""
    devices = sorted(jax.devices(device.name), key=lambda one: one.process_index)
    return Mesh(np.array(devices), (RANKS,))


def replicated(mesh: Mesh, array: jax.Array) -> jax.Array:
    """Return this rank's array as one that all ranks have alike, without copying it."""
    return jax.make_array_from_single_device_arrays(array.shape, NamedSharding(mesh, P()), [array])


def shared(mesh: Mesh, array: np.ndarray) -> jax.Array:
    """Return this rank's rows (parts, n, ...) as its share of all ranks' (parts, ranks * n, ...)."""
    return jax.make_array_from_process_local_data(NamedSharding(mesh, P(None, RANKS)), array)


class _Store:
    """The key-value store of jax.distributed, in the process of the first rank."""

    def __init__(self) -> None:
        self._client = distributed.global_state.client

    def set(self, key: str, value: str) -> None:
        self._client.key_value_set(key, value, allow_overwrite=True)

    def get(self, key: str) -> str:
        return str(self._client.key_value_try_get(key))

    def check(self, keys: Sequence[str]) -> bool:
        for key in keys:
            try:
                self._client.key_value_try_get(key)
            except jax.errors.JaxRuntimeError as error:
                if "NOT_FOUND" in str(error):
                    return False
                raise
        return True

    def add(self, key: str, amount: int) -> int:
        return int(self._client.key_value_increment(key, amount))

"""The ranks of a run over jax.distributed: one process and one device each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax._src import distributed  # the store of a run has no public name
from jax.experimental import multihost_utils
from jax.extend.backend import clear_backends
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from clipbench.api import Heartbeat, World
from clipbench_jax.device import JaxDevice
from clipbench_jax.loss import RANKS

# By JAX's own heartbeat, processes that miss another one end themselves without a word: ours is to be faster.
JAX_HEARTBEAT_SECONDS = 600
LEAVE_SECONDS = 10  # for the other ranks at the end; after a failure, they are not waited for any longer


class JaxGroup:
    """A Group (see clipbench.api) of the processes that ``join`` has brought together."""

    def __init__(self, world: World, store: _Store) -> None:
        self._world = world
        self._heartbeat = Heartbeat(world, store)

    def all_gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Return every rank's array, in rank order; they may differ in shape, not in dtype or number of axes."""
        shapes = _gather_equal(np.array([self._world.rank, *array.shape], np.int32))[:, 1:]
        sizes = [int(np.prod(shape)) * array.itemsize for shape in shapes]
        # Sent as 32-bit words, as many as a power of two: each size is compiled once.
        words = 1 << max(0, max(sizes) // 4).bit_length()
        padded = np.zeros(words * 4, np.uint8)
        padded[: array.nbytes] = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        gathered = _gather_equal(padded.view(np.int32))
        return [
            np.frombuffer(data.tobytes()[:size], array.dtype).reshape(shape)
            for data, size, shape in zip(gathered, sizes, shapes, strict=True)
        ]

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


def _gather_equal(array: np.ndarray) -> np.ndarray:
    """Return the arrays of all ranks, stacked in rank order."""
    return np.asarray(multihost_utils.process_allgather(array))

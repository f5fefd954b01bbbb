"""The ranks of a run over torch.distributed: collectives, and who of them is still there."""

from __future__ import annotations

import atexit
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from clipbench.api import World
from clipbench_torch.device import TorchDevice

BEAT_SECONDS = 1.0
SILENCE_SECONDS = 8.0  # a rank that is alive beats every second; one that swaps or is being debugged may miss some
HOPELESS_SECONDS = 5.0  # for a rank whose peer has failed to notice it in its own collective
LEAVE_SECONDS = 5.0  # for a beat on its way; the store answers at once, or its connection is gone
LONG = timedelta(seconds=30)


class TorchGroup:
    """A Group (see clipbench.api) over the process group that ``join`` has made.

    A thread of each rank tells the rendezvous' store every second that it is alive and how far it is, and looks there
    for reports of failure and whether the next rank has gone silent. A collective alone would not tell: on some back
    ends the ranks that wait for a dead one wait until their timeout.
    """

    def __init__(self, device: TorchDevice, world: World, store: dist.Store) -> None:
        self._place = device.torch_device(world.local_rank)
        self._world = world
        self._pulse = _Pulse(world, store)

    def all_gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Every rank's array, in rank order; they may differ in shape, not in dtype or number of axes."""
        shapes = self._gather_equal(torch.tensor(array.shape, dtype=torch.int64))
        sizes = [int(shape.prod()) * array.itemsize for shape in shapes]
        # As 32-bit words: some devices hardly support bytes.
        words = -(-max(sizes) // 4)
        padded = np.zeros(words * 4, np.uint8)
        padded[: array.nbytes] = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        gathered = self._gather_equal(torch.from_numpy(padded.view(np.int32)))
        return [
            np.frombuffer(data.numpy().tobytes()[:size], array.dtype).reshape(shape.tolist())
            for data, size, shape in zip(gathered, sizes, shapes, strict=True)
        ]

    def _gather_equal(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        local = tensor.to(self._place)
        shards = [torch.empty_like(local) for _ in range(self._world.size)]
        dist.all_gather(shards, local)
        return [shard.cpu() for shard in shards]

    def at(self, position: str) -> None:
        """How far this rank is; told to the others at the next beat."""
        self._pulse.position = position
        self._pulse.moves += 1

    def fail(self, report: Mapping[str, Any]) -> None:
        """Tell the others why this rank ends."""
        self._pulse.fail(report)

    def failure(self) -> Mapping[str, Any] | None:
        """The report of the rank that failed first, if one has."""
        return self._pulse.failure()

    def on_failure(self, act: Callable[[Mapping[str, Any]], None]) -> None:
        """Call ``act`` from the thread when another rank has failed and this one has not noticed by itself."""
        self._pulse.act = act

    def close(self) -> None:
        """Leave the others in peace: from here on silence means nothing."""
        self._pulse.close()


def join(device: TorchDevice, world: World, timeout: float) -> TorchGroup:
    """Join the ranks that MASTER_ADDR and MASTER_PORT bring together, on the device's back end."""
    patience = timedelta(seconds=timeout)
    backend = device.collective_backend()
    if not dist.is_initialized():
        device.select(world.local_rank)  # back ends bind to the device that is current
        dist.init_process_group(backend, rank=world.rank, world_size=world.size, timeout=patience)
    # A connection of its own: torch's may be held for long by a rank that waits.
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=LONG)
    return TorchGroup(device, world, dist.PrefixStore("clipbench", store))


class _Pulse:
    """The thread of one rank that beats and listens."""

    def __init__(self, world: World, store: dist.Store) -> None:
        self.position, self.moves = "joining", 0
        self.act: Callable[[Mapping[str, Any]], None] | None = None
        self._world, self._store = world, store
        self._closed = threading.Event()
        self._failed = False
        self._seen: dict[int, tuple[Any, float]] = {}
        # So that whoever looks finds every key: reading one that is missing would wait for it.
        store.set(f"beat/{world.rank}", json.dumps([0, 0, self.position]))
        self._thread = threading.Thread(target=self._run, daemon=True, name="pulse")
        self._thread.start()
        atexit.register(self.stop)  # a rank that fails beats until it is gone, and is not closed before

    def _run(self) -> None:
        beats = 0
        while not self._closed.wait(BEAT_SECONDS):
            beats += 1
            try:
                self._store.set(f"beat/{self._world.rank}", json.dumps([beats, self.moves, self.position]))
                found = self._reported() or self._silent((self._world.rank + 1) % self._world.size)
            except Exception as error:  # the store is gone, and with it the first rank or its launcher
                found = {"rank": 0, "type": "RankLost", "message": f"the ranks' store has gone: {error}"}
            if found is not None and not self._failed:
                self._tell(found)
                # The main thread mostly notices by itself, and can then say more.
                if not self._closed.wait(HOPELESS_SECONDS) and not self._failed and self.act:
                    self.act(found)
                return

    def _tell(self, report: Mapping[str, Any]) -> None:
        """Put a report into the store unless there is one: the first is the cause."""
        with suppress(Exception):
            if self._store.add("failures", 1) == 1:
                self._store.set("failure", json.dumps(dict(report)))

    def fail(self, report: Mapping[str, Any]) -> None:
        self._failed = True
        # A collective that breaks may be the first to notice that a rank has been killed: not a cause of its own.
        cause = report
        if silent := self._who_is_silent():
            cause = silent
        elif "timed out" in str(report.get("message", "")).lower() and (late := self._who_is_late()):
            rank, words = late
            cause = {**report, "rank": rank, "type": "RankLate", "message": f"{words}: {report['message']}"}
        self._tell(cause)

    def failure(self) -> Mapping[str, Any] | None:
        with suppress(Exception):
            return self._reported()
        return None

    def _reported(self) -> Mapping[str, Any] | None:
        if not self._store.check(["failure"]):
            return None
        report: Mapping[str, Any] = json.loads(self._store.get("failure"))
        return report

    def _who_is_silent(self) -> Mapping[str, Any] | None:
        """The first rank that stops beating within the time that it takes to tell; None where all of them go on."""
        deadline = time.monotonic() + SILENCE_SECONDS + 2 * BEAT_SECONDS
        self._seen.clear()
        with suppress(Exception):
            first = self._beats()
            others = {rank for rank in first if rank != self._world.rank}
            while others and time.monotonic() < deadline:
                if (reported := self._reported()) is not None:
                    return reported
                time.sleep(BEAT_SECONDS / 4)
                others -= {rank for rank, beat in self._beats().items() if beat[0] != first[rank][0]}
            for rank in sorted(others):
                return self._silence_of(rank, first[rank][2])
        return None

    def _silent(self, rank: int) -> Mapping[str, Any] | None:
        if rank == self._world.rank or not self._store.check([f"beat/{rank}"]):
            return None
        beat = json.loads(self._store.get(f"beat/{rank}"))
        now = time.monotonic()
        if beat[2] == _GONE or rank not in self._seen or self._seen[rank][0] != beat[0]:
            self._seen[rank] = (beat[0], now)
            return None
        return self._silence_of(rank, beat[2]) if now - self._seen[rank][1] > SILENCE_SECONDS else None

    def _silence_of(self, rank: int, position: str) -> Mapping[str, Any]:
        message = f"rank {rank} has gone silent: it was killed, or its machine is gone (last seen at {position})"
        return {"rank": rank, "type": "RankLost", "message": message}

    def _who_is_late(self) -> tuple[int, str] | None:
        """The rank that is furthest behind this one, and a word on it, for a wait that was in vain."""
        with suppress(Exception):
            beats = self._beats()
            behind = {rank: beat for rank, beat in beats.items() if beat[1] < self.moves and rank != self._world.rank}
            if behind:
                rank = min(behind, key=lambda rank: behind[rank][1])
                here = f"rank {self._world.rank} waits for it at {self.position}"
                return rank, f"rank {rank} has come no further than {behind[rank][2]}, while {here}"
        return None

    def _beats(self) -> dict[int, list[Any]]:
        return {
            rank: json.loads(self._store.get(f"beat/{rank}"))
            for rank in range(self._world.size)
            if self._store.check([f"beat/{rank}"])
        }

    def stop(self) -> None:
        """End the thread: one inside the store when the interpreter goes would take the process down (SIGABRT)."""
        self._closed.set()
        if self._thread is not threading.current_thread():
            self._thread.join(LEAVE_SECONDS)

    def close(self) -> None:
        self.stop()
        with suppress(Exception):
            self._store.set(f"beat/{self._world.rank}", json.dumps([-1, self.moves, _GONE]))


_GONE = "the end"

"""Ranks that watch each other: a heartbeat over any store that all reach finds those that failed or went silent."""

from __future__ import annotations

import atexit
import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import numpy as np

from clipbench.api.data import World

BEAT_SECONDS = 1.0
SILENCE_SECONDS = 8.0  # a live rank beats every second, but one that swaps or is being debugged may miss some
NOTICE_SECONDS = 5.0  # for the main thread to notice a peer's failure in its own collective
LEAVE_SECONDS = 5.0  # for a beat under way; the store answers at once, or its connection is gone


class Store(Protocol):
    """Texts by name, in a process that outlives the ranks or in the first one; calls raise when it has gone."""

    def set(self, key: str, value: str) -> None:
        """Write ``value``."""

    def get(self, key: str) -> Any:  # noqa: ANN401
        """Return the text or bytes of a key that is there."""

    def check(self, keys: Sequence[str]) -> bool:
        """Return whether all keys are there; never waits."""

    def add(self, key: str, amount: int) -> int:
        """Add to a number, which starts at 0; return the sum."""


class Heartbeat:
    """A thread of one rank that writes beats to the store and reads those of others.

    It writes every second that this rank is alive and where it is, and reads whether a rank has reported a failure or
    the next rank has gone silent. Collectives are not enough: on some back ends the ranks that wait for a dead one wait
    until their timeout.
    """

    def __init__(self, world: World, store: Store) -> None:
        self.position, self.moves = "joining", 0
        self.act: Callable[[Mapping[str, Any]], None] | None = None
        self._world, self._store = world, store
        self._closed = threading.Event()
        self._failed = False
        self._seen: dict[int, tuple[Any, float]] = {}
        # Written at once: a peer that reads a missing key would wait for it.
        store.set(f"beat/{world.rank}", json.dumps([0, 0, self.position]))
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")
        self._thread.start()
        atexit.register(self.stop)  # a rank that fails beats until its process ends, without a call of close

    def _run(self) -> None:
        beats = 0
        while not self._closed.wait(BEAT_SECONDS):
            beats += 1
            try:
                self._store.set(f"beat/{self._world.rank}", json.dumps([beats, self.moves, self.position]))
                failure = self._reported() or self._silent((self._world.rank + 1) % self._world.size)
            except Exception as error:  # the store is gone, and with it the first rank or its launcher
                failure = {"rank": 0, "type": "RankLost", "message": f"the ranks' store has gone: {error}"}
            if failure is not None and not self._failed:
                self._report(failure)
                # The main thread mostly notices by itself, and then reports more.
                if not self._closed.wait(NOTICE_SECONDS) and not self._failed and self.act:
                    self.act(failure)
                return

    def _report(self, report: Mapping[str, Any]) -> None:
        """Put a report into the store unless there is one: the first is the cause."""
        with suppress(Exception):
            if self._store.add("failures", 1) == 1:
                self._store.set("failure", json.dumps(dict(report)))

    def fail(self, report: Mapping[str, Any]) -> None:
        """Report ``report``, or the failure of another rank where that is its cause."""
        self._failed = True
        # A collective may break because another rank was killed: then that is the cause.
        cause = report
        if silent := self._wait_for_beats():
            cause = silent
        elif "timed out" in str(report.get("message", "")).lower() and (late := self._last_behind()):
            rank, message = late
            cause = {**report, "rank": rank, "type": "RankLate", "message": f"{message}: {report['message']}"}
        self._report(cause)

    def failure(self) -> Mapping[str, Any] | None:
        """Return the first report in the store, or None."""
        with suppress(Exception):
            return self._reported()
        return None

    def _reported(self) -> Mapping[str, Any] | None:
        if not self._store.check(["failure"]):
            return None
        report: Mapping[str, Any] = json.loads(self._store.get("failure"))
        return report

    def _wait_for_beats(self) -> Mapping[str, Any] | None:
        """Wait for a new beat of every other rank; return the report of the first that sends none, or None."""
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
        """Return a report if ``rank`` has sent no new beat for SILENCE_SECONDS, or None."""
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

    def _last_behind(self) -> tuple[int, str] | None:
        """Return the rank that is furthest behind this one and a sentence on it, or None."""
        with suppress(Exception):
            beats = self._beats()
            behind = {rank: beat for rank, beat in beats.items() if beat[1] < self.moves and rank != self._world.rank}
            if behind:
                rank = min(behind, key=lambda rank: behind[rank][1])
                here = f"rank {self._world.rank} waits for it at {self.position}"
                return rank, f"rank {rank} has come no further than {behind[rank][2]}, while {here}"
        return None

    def _beats(self) -> dict[int, list[Any]]:
        """Return each rank's last beat: its number, the rank's moves and its position."""
        return {
            rank: json.loads(self._store.get(f"beat/{rank}"))
            for rank in range(self._world.size)
            if self._store.check([f"beat/{rank}"])
        }

    def stop(self) -> None:
        """End the thread: inside the store at interpreter shutdown, it would abort the process (SIGABRT)."""
        self._closed.set()
        if self._thread is not threading.current_thread():
            self._thread.join(LEAVE_SECONDS)

    def close(self) -> None:
        """End the thread, and note that this rank has left in order."""
        self.stop()
        with suppress(Exception):
            self._store.set(f"beat/{self._world.rank}", json.dumps([-1, self.moves, _GONE]))


_GONE = "the end"


class WatchedGroup:
    """A Group (see clipbench.api.protocols) whose ranks watch each other; an engine brings ``gather_words``."""

    def __init__(self, world: World, store: Store) -> None:
        self.world = world
        self._heartbeat = Heartbeat(world, store)

    def gather_words(self, words: np.ndarray) -> Sequence[np.ndarray]:
        """Return every rank's int32 array (n,), in rank order; ``n`` is the same on all of them."""
        raise NotImplementedError

    def padded(self, count: int) -> int:
        """Return how many words are sent in place of ``count``; more where each size would be compiled."""
        return count

    def all_gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Return every rank's array, in rank order; they may differ in shape, not in dtype or number of axes."""
        # With the rank before it, the shape of a scalar is sent too.
        shapes = [tuple(row[1:]) for row in self.gather_words(np.array([self.world.rank, *array.shape], np.int32))]
        sizes = [math.prod(map(int, shape)) * array.itemsize for shape in shapes]
        # Sent as 32-bit words, because some devices hardly support bytes.
        padded = np.zeros(self.padded(-(-max(sizes) // 4)) * 4, np.uint8)
        padded[: array.nbytes] = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        gathered = self.gather_words(padded.view(np.int32))
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

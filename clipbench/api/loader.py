"""Samples fetched by processes of their own, which write them into shared memory; none of them imports a framework."""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from multiprocessing.connection import Connection, Pipe
from typing import Any, BinaryIO

import numpy as np

from clipbench.errors import CaseFailedError

BATCHES_AHEAD = 4  # being filled, or waiting to be asked for; so many lie in shared memory
SECONDS_TO_END = 5.0
# A process fetches on one core: there is one for each.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}

Arrays = tuple[np.ndarray, ...]
Fetch = Callable[[Any], Arrays]
Join = Callable[[Sequence[np.ndarray]], Any]


@dataclass(frozen=True)
class Layout:
    """Where batches of up to ``rows`` samples lie in shared memory: slot by slot, in a slot column by column.

    ``columns`` are the shape and the type of each array of a sample.
    """

    rows: int
    columns: tuple[tuple[tuple[int, ...], str], ...]

    @classmethod
    def of(cls, rows: int, batch: Sequence[np.ndarray]) -> Layout:
        """Return the layout for batches like ``batch``, arrays (n, ...)."""
        return cls(rows, tuple((column.shape[1:], column.dtype.str) for column in batch))

    def bytes_of_columns(self) -> list[int]:
        """Return the bytes of each column in a slot."""
        return [self.rows * int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in self.columns]

    def size(self) -> int:
        """Return the bytes of all slots; at least 1, because no memory cannot be mapped."""
        return max(1, BATCHES_AHEAD * sum(self.bytes_of_columns()))

    def map(self, file: int) -> list[Arrays]:
        """Return the arrays (rows, ...) of each slot, in the memory of ``file``."""
        memory, offset, slots = mmap.mmap(file, self.size()), 0, []
        for _ in range(BATCHES_AHEAD):
            columns = []
            for (shape, dtype), size in zip(self.columns, self.bytes_of_columns(), strict=True):
                column = np.frombuffer(memory, np.uint8, size, offset).view(dtype)
                columns.append(column.reshape(self.rows, *shape))
                offset += size
            slots.append(tuple(columns))
        return slots


@dataclass(frozen=True)
class Request:
    """What a process is to fetch: ``keys``, into the rows from ``start`` of a slot, or without ``layout`` to send."""

    keys: Sequence[Any]
    start: int
    slot: int
    layout: Layout | None

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + len(self.keys))


@dataclass(frozen=True)
class Failure:
    """What a process could not fetch: the exception, and its trace there."""

    error: Exception
    trace: str


def stacked(samples: Sequence[Arrays]) -> Arrays:
    """Return the arrays of samples, stacked along a new first axis."""
    return tuple(np.stack(column) for column in zip(*samples, strict=True))


class ProcessLoader:
    """A Loader: ``fetch(key)`` gives one sample's arrays, ``batches`` stacks them.

    ``fetch`` pickles, and is sent once: the processes are forks of the first of them and share what it holds. Each
    fetches a part of every batch. ``join`` puts the parts of an array (n, ...) together, in memory of its own. One
    iteration runs at a time: asking for new batches drops those of an earlier, unfinished call.
    """

    def __init__(self, fetch: Fetch, workers: int, join: Join = np.concatenate) -> None:
        self._fetch, self._join = fetch, join
        self._rows = 0
        self._layout: Layout | None = None
        self._slots: list[Arrays] = []
        self._resources = ExitStack()
        self._channels: list[Connection] = []
        self._answers_due = [0] * workers
        if workers:
            self._memory = self._resources.enter_context(_anonymous_file("batches"))
            self._start(workers)

    def batches(self, keys: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
        """Yield one batch for each list of keys, in order: arrays stacked along a new first axis.

        An exception in ``fetch`` ends the iteration, and arrives as it was raised.
        """
        if not self._channels:
            for batch in keys:
                yield self._joined([stacked([self._fetch(key) for key in batch])])
            return
        self._begin(max(map(len, keys), default=0))
        waiting, asked = deque(keys), deque[list[tuple[int, Request]]]()
        number = 0

        def ask() -> None:
            nonlocal number
            # Before the first batch it is not known how large a sample is.
            while waiting and len(asked) < (BATCHES_AHEAD if self._layout else 1):
                asked.append(self._ask(waiting.popleft(), number))
                number += 1

        ask()
        while asked:
            batch = self._receive(asked.popleft())
            ask()
            yield batch

    def close(self) -> None:
        """End the processes."""
        self._channels.clear()
        self._slots.clear()
        self._resources.close()

    def _start(self, workers: int) -> None:
        with ExitStack() as ours:
            source = ours.enter_context(_anonymous_file("fetch"))
            pickle.dump(sys.path, source)
            pickle.dump(self._fetch, source)
            source.seek(0)
            pairs = [Pipe() for _ in range(workers)]
            theirs = [ours.enter_context(pair[1]).fileno() for pair in pairs]
            files = [self._memory.fileno(), source.fileno(), *theirs]
            ours.enter_context(_signals_ignored())  # which a new process inherits
            process = subprocess.Popen(
                [sys.executable, "-m", "clipbench.api.loader_process", *map(str, files)],
                stdin=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD},
                pass_fds=files,
            )
        self._resources.callback(_wait_for, process)
        self._channels = [self._resources.enter_context(pair[0]) for pair in pairs]

    def _begin(self, rows: int) -> None:
        """Wait for what an unfinished iteration has asked for, and make room for batches of so many samples."""
        for worker, due in enumerate(self._answers_due):
            for _ in range(due):
                self._answer(worker)
        if rows > self._rows:
            self._rows = rows
            if self._layout is not None:
                self._lay_out(replace(self._layout, rows=rows))

    def _lay_out(self, layout: Layout) -> None:
        os.ftruncate(self._memory.fileno(), layout.size())
        self._layout, self._slots = layout, layout.map(self._memory.fileno())

    def _ask(self, keys: Sequence[Any], number: int) -> list[tuple[int, Request]]:
        """Send the parts of a batch to the processes; return who got what."""
        workers = len(self._channels)
        bounds = [len(keys) * part // workers for part in range(workers + 1)]
        requests = []
        for part, (start, stop) in enumerate(pairwise(bounds)):
            if start < stop:
                # In turn, because parts differ by a sample where the processes do not divide the batch.
                worker = (part + number) % workers
                request = Request(keys[start:stop], start, number % BATCHES_AHEAD, self._layout)
                try:
                    self._channels[worker].send(request)
                except OSError:
                    raise _ended() from None
                self._answers_due[worker] += 1
                requests.append((worker, request))
        return requests

    def _receive(self, requests: Sequence[tuple[int, Request]]) -> tuple[Any, ...]:
        """Return the batch of these requests; the first one fixes the layout of later ones."""
        answers = [(request, self._answer(worker)) for worker, request in requests]
        for _, answer in answers:
            if isinstance(answer, Failure):
                raise answer.error from RuntimeError(f"in a loader process:\n{answer.trace}")
        parts = [
            tuple(column[request.rows] for column in self._slots[request.slot]) if answer is None else answer
            for request, answer in answers
        ]
        batch = self._joined(parts)
        if self._layout is None:
            self._lay_out(Layout.of(self._rows, parts[0]))
        return batch

    def _answer(self, worker: int) -> Any:  # noqa: ANN401
        """Return None for samples in shared memory, else the arrays themselves, or a Failure."""
        try:
            answer = self._channels[worker].recv()
        except (EOFError, OSError):
            raise _ended() from None
        self._answers_due[worker] -= 1
        return answer

    def _joined(self, parts: Sequence[Arrays]) -> tuple[Any, ...]:
        return tuple(self._join(column) for column in zip(*parts, strict=True))


def _ended() -> CaseFailedError:
    return CaseFailedError(
        "a loader process has ended: killed, perhaps because the machine has too little memory; "
        "run with fewer of them: --set train.workers=N"
    )


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that ends once its channels are closed."""
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:  # it hangs in a fetch
        process.kill()
        process.wait()


def _anonymous_file(name: str) -> BinaryIO:
    """Return a file without a name, in memory where the system has such files."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create(f"clipbench-{name}"), "w+b")
    return tempfile.TemporaryFile()


@contextmanager
def _signals_ignored() -> Iterator[None]:
    """Ignore the signals that the owner of the processes handles; it ends them when it has read what it needs."""
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                stack.callback(signal.signal, number, signal.signal(number, signal.SIG_IGN))
            except ValueError:  # not in the main thread
                break
        yield

"""Samples fetched and stacked in processes of their own, which import no framework."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import numpy as np

from clipbench.api import Batch, ClipbenchError, exit_with_parent

PREFETCH = 4  # batches per worker

Fetch = Callable[[Any], tuple[np.ndarray, ...]]


class ProcessLoader:
    """A Loader: ``fetch(key)`` gives one sample's arrays, ``batches`` stacks them.

    ``fetch`` must pickle where ``workers`` is not 0. One iteration runs at a time: asking for new batches drops those
    of an earlier, unfinished call.
    """

    def __init__(self, fetch: Fetch, workers: int) -> None:
        self._fetch, self._workers = fetch, workers
        self._pool: ProcessPoolExecutor | None = None
        if workers:
            # Not fork: a process that computes has threads.
            methods = multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
            self._pool = ProcessPoolExecutor(workers, context, _start, (fetch, os.getpid()))
            for _ in range(workers):  # start now, while the learner is built
                self._pool.submit(os.getpid)

    def batches(self, keys: Sequence[Sequence[Any]]) -> Iterator[Batch]:
        """Yield one batch for each list of keys, in order: arrays stacked along a new first axis.

        An exception in ``fetch`` ends the iteration; a ClipbenchError arrives as it was raised.
        """
        if self._pool is None:
            yield from (_stacked(self._fetch, batch) for batch in keys)
            return
        waiting: deque[Future[Batch | ClipbenchError]] = deque()
        try:
            for batch in keys:
                waiting.append(self._pool.submit(_work, list(batch)))
                if len(waiting) >= PREFETCH * self._workers:
                    yield _result(waiting.popleft())
            while waiting:
                yield _result(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """End the workers."""
        if self._pool is not None:
            processes = list((self._pool._processes or {}).values())
            self._pool.shutdown(wait=False, cancel_futures=True)
            # They ignore SIGTERM and Ctrl-C, and one may be in the middle of a batch.
            for process in processes:
                process.kill()
            self._pool = None


_fetch: Fetch | None = None  # of a worker


def _start(fetch: Fetch, owner: int) -> None:
    """Ignore signals, which process ``owner`` handles, and end when it has ended."""
    global _fetch
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    exit_with_parent(owner)
    _fetch = fetch


def _work(keys: list[Any]) -> Batch | ClipbenchError:
    assert _fetch is not None
    try:
        return _stacked(_fetch, keys)
    except ClipbenchError as error:
        # Sent as a value: with the worker's traceback as its cause it would be shown differently.
        return error


def _stacked(fetch: Fetch, keys: Sequence[Any]) -> Batch:
    return tuple(np.stack(column) for column in zip(*map(fetch, keys), strict=True))


def _result(future: Future[Batch | ClipbenchError]) -> Batch:
    result = future.result()
    if isinstance(result, ClipbenchError):
        raise result
    return result

"""Samples fetched and stacked by torch's DataLoader, in processes that live as long as the loader."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing.context import BaseContext
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from clipbench.api import Batch, ClipbenchError, exit_with_parent

PREFETCH = 4  # batches per worker

Fetch = Callable[[Any], tuple[np.ndarray, ...]]
Sample = tuple[np.ndarray, ...]


class TorchLoader:
    """A Loader: ``fetch(key)`` gives one sample's arrays, ``batches`` stacks them as tensors.

    ``fetch`` must pickle where ``workers`` is not 0. ``pin_memory`` puts batches into page-locked memory. One iteration
    runs at a time: asking for new batches drops those of an earlier, unfinished call.
    """

    def __init__(self, fetch: Fetch, workers: int, *, pin_memory: bool = False) -> None:
        self._samples = _Samples(fetch)
        self._keys = _KeySampler()
        self._workers = workers
        self._pin_memory = pin_memory
        self._context = _warm_context() if workers else None
        self._loader: DataLoader[Sample] | None = None

    def batches(self, keys: Sequence[Sequence[Any]]) -> Iterator[Batch]:
        """Yield one batch for each list of keys, in order: tensors stacked along a new first axis.

        An exception in ``fetch`` ends the iteration; a ClipbenchError arrives as it was raised.
        """
        self._keys.batches = [list(batch) for batch in keys]
        if self._loader is None:
            self._loader = self._start()
        failure = None
        for batch in self._loader:
            if isinstance(batch, ClipbenchError):
                failure = batch
                break
            yield batch
        if failure is not None:
            raise failure

    def close(self) -> None:
        """End the workers."""
        # DataLoader ends its workers when it is freed; an exception that came out of it keeps it alive in a cycle.
        shutdown = getattr(getattr(self._loader, "_iterator", None), "_shutdown_workers", None)
        if shutdown is not None:
            workers = list(getattr(self._loader._iterator, "_workers", ()))
            shutdown()
            # They ignore SIGTERM, which is all that multiprocessing would send them at the end.
            for worker in workers:
                worker.kill()
        self._loader = None

    def _start(self) -> DataLoader[Sample]:
        return DataLoader(
            self._samples,
            batch_sampler=self._keys,
            collate_fn=_stack,
            num_workers=self._workers,
            multiprocessing_context=self._context,
            persistent_workers=self._workers > 0,
            prefetch_factor=PREFETCH if self._workers else None,
            worker_init_fn=partial(_init_worker, os.getpid()),
            pin_memory=self._pin_memory,
            # DataLoader draws a seed for its workers; not from the generator that the model may draw from.
            generator=torch.Generator(),
        )


class _KeySampler(Sampler[list[Any]]):
    """The keys of the next iteration; a DataLoader keeps its sampler for life, so the keys change inside it."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []

    def __iter__(self) -> Iterator[list[Any]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Samples(Dataset[Sample]):
    def __init__(self, fetch: Fetch) -> None:
        self.fetch = fetch

    def __getitems__(self, keys: list[Any]) -> list[Sample] | ClipbenchError:
        try:
            return [self.fetch(key) for key in keys]
        except ClipbenchError as error:
            # Sent as a value: DataLoader would raise it anew with the worker's traceback as its message.
            return error


def _stack(samples: list[Sample] | ClipbenchError) -> tuple[Tensor, ...] | ClipbenchError:
    if isinstance(samples, ClipbenchError):
        return samples
    return tuple(torch.from_numpy(np.stack(column)) for column in zip(*samples, strict=True))


def _init_worker(owner: int, worker: int) -> None:
    """Ignore signals, which process ``owner`` handles, and end when it has ended.

    Ctrl-C reaches the whole process group, a batch system's SIGTERM every process; ``owner`` ends its workers when it
    has read what it needs. If it is killed, nothing else would end them: a worker's parent is the fork server, which
    stays as long as there are workers.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    exit_with_parent(owner)


@contextmanager
def _ignored(number: signal.Signals) -> Iterator[None]:
    try:
        before = signal.signal(number, signal.SIG_IGN)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(number, before)


def _warm_context() -> BaseContext:
    """Return the context that workers start in, its server already importing torch.

    Not fork: a process that computes has threads, and back ends for collectives forbid it.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    from multiprocessing.forkserver import ensure_running

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with _ignored(signal.SIGTERM):  # the server inherits that
        ensure_running()
    return cast(BaseContext, context)

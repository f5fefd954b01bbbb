"""The processes of a ProcessLoader: ``python -m clipbench.api.loader_process MEMORY SOURCE CHANNEL...``.

All arguments are file descriptors. The first process reads what is to be fetched, then becomes as many as there are
channels by forking: it has a single thread, and what it holds is in memory once. Each ends when its channel is closed,
which also happens when its owner is killed.
"""

import gc
import os
import pickle
import sys
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection

from clipbench.api.loader import Arrays, Failure, Fetch, Layout, Request, stacked


def main(arguments: Sequence[str]) -> None:
    """Serve every channel with a process of its own."""
    memory, source, own, *others = map(int, arguments)
    fetch = _read_fetch(source)
    gc.collect()
    gc.freeze()  # a collection would write to what the processes share
    children: list[int] = []
    for other in others:
        if (child := os.fork()) == 0:
            own, children = other, []
            break
        children.append(child)
    for channel in {int(argument) for argument in arguments[2:]} - {own}:
        os.close(channel)
    serve(Connection(own), memory, fetch)
    for child in children:
        os.waitpid(child, 0)


def serve(channel: Connection, memory: int, fetch: Fetch) -> None:
    """Answer requests until the channel is closed."""
    layout: Layout | None = None
    slots: list[Arrays] = []
    while True:
        try:
            request: Request = channel.recv()
            if request.layout is not None and request.layout != layout:
                layout = request.layout
                slots = layout.map(memory)
            channel.send(_answer(fetch, request, slots))
        except (EOFError, OSError):
            return


def _answer(fetch: Fetch, request: Request, slots: Sequence[Arrays]) -> Arrays | Failure | None:
    """Return None once the samples are in their slot; the samples where they do not fit; or what went wrong."""
    try:
        samples = [fetch(key) for key in request.keys]
        if request.layout is None:
            return stacked(samples)
        for row, sample in enumerate(samples, start=request.start):
            for column, array in zip(slots[request.slot], sample, strict=True):
                if array.shape != column.shape[1:] or array.dtype != column.dtype:
                    return stacked(samples)
                column[row] = array
        return None
    except Exception as error:
        return _failure(error)


def _failure(error: Exception) -> Failure:
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # then its text has to do
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return Failure(error, trace)


def _read_fetch(source: int) -> Fetch:
    """Return what is to be fetched, or where it cannot be read here a function that says why."""
    try:
        with os.fdopen(source, "rb") as file:
            sys.path[:] = pickle.load(file)
            fetch: Fetch = pickle.load(file)
        return fetch
    except Exception as error:
        reason = error

    def fail(_key: object) -> Arrays:
        raise reason

    return fail


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(0)  # nothing to clean up, and an interpreter takes its time

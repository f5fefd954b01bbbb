"""One process at a time in a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from clipbench.errors import NotReadyError
from clipbench.files.disk import writing

PATIENCE = 30.0


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; NotReadyError that names the holder where another one has it.

    The system lets go of it when the process ends, however it ends. Where the system has no such locks (Windows),
    nothing is held.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = folder / "lock"
    with writing("the lock of the output folder", path, 0):
        file = path.open("a+", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise NotReadyError(
                f"--out {folder.parent}: in use by another run ({file.read().strip() or 'not known which'}); "
                "wait for its end, or choose another folder with --out"
            ) from None
        with writing("the lock of the output folder", path, 0):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
            file.flush()
        yield


@contextmanager
def wait_for_lock(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold ``path`` for this process; call ``waiting`` once, then wait, where another process has it.

    Nothing is held where the system or the file system has no such locks.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass
        yield


def lock_for_life(path: Path, patience: float = PATIENCE) -> IO[str] | None:
    """Hold ``path`` as long as the returned file is open; wait for a holder that is about to go.

    A process that was left behind by one that was killed takes a moment to notice. NotReadyError where it stays.
    """
    try:
        import fcntl
    except ImportError:
        return None
    with writing("the lock of the run", path, 0):
        file = path.open("a", encoding="utf-8")
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except OSError:
            if time.monotonic() > deadline:
                file.close()
                raise NotReadyError(f"{path.parent}: another process is still at work on this run; end it") from None
            time.sleep(0.05)

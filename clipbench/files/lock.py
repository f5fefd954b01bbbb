"""Locks: one process at a time in a folder, or on a run."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from clipbench.errors import NotReadyError
from clipbench.files.disk import writing


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold ``folder`` for this process; raise NotReadyError that names the holder where another process has it.

    The system releases the lock when the process ends, however it ends.
    """
    path = folder / "lock"
    with writing("the lock of the output folder", path, 0):
        file = path.open("a+", encoding="utf-8")
    with file:
        if not _try_lock(file):
            file.seek(0)
            raise NotReadyError(
                f"--out {folder.parent}: in use by another run ({file.read().strip() or 'not known which'}); "
                "wait for its end, or choose another folder with --out"
            )
        with writing("the lock of the output folder", path, 0):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
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


def lock_for_life(path: Path, patience: float = 30.0) -> IO[str]:
    """Hold ``path`` as long as the returned file is open.

    Waits ``patience`` seconds: a process whose parent was killed takes a moment to notice. Raises NotReadyError then.
    """
    with writing("the lock of the run", path, 0):
        file = path.open("a", encoding="utf-8")
    deadline = time.monotonic() + patience
    while not _try_lock(file):
        if time.monotonic() > deadline:
            file.close()
            raise NotReadyError(f"{path.parent}: another process is still at work on this run; end it")
        time.sleep(0.05)
    return file


def _try_lock(file: IO[str]) -> bool:
    """Lock ``file`` unless another process has it. Systems without such locks (Windows) hold nothing."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

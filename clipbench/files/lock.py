"""One run at a time in an output folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
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

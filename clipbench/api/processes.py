"""What a process does about itself: it ends with the one that started it, and collects no garbage for a while."""

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from clipbench.errors import ExitCode

PR_SET_PDEATHSIG = 1  # of prctl(2)


@contextmanager
def no_collections() -> Iterator[None]:
    """Collect no garbage inside, and leave what was made there out of all later collections.

    A framework consists of some 250,000 objects that live as long as the process, and so do tens of thousands of
    results. Looking at all of them again and again takes up to half of the time that making them takes.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def exit_with_parent(pid: int, seconds: float = 1.0) -> None:
    """End this process within ``seconds`` of the end of process ``pid``, watched from a daemon thread.

    On Linux the system also kills it when its own parent ends, a launcher perhaps: even where it is stopped.
    """
    _killed_with_parent()

    def watch() -> None:
        while True:
            time.sleep(seconds)
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                os._exit(ExitCode.INTERRUPTED)
            except PermissionError:
                pass

    threading.Thread(target=watch, daemon=True, name="parent-watch").start()


def _killed_with_parent() -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # a C library without it
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

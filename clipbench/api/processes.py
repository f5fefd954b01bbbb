"""Processes that must not outlive the one that started them."""

import os
import threading
import time

from clipbench.errors import ExitCode


def exit_with_parent(pid: int, seconds: float = 1.0) -> None:
    """End this process within ``seconds`` of the end of process ``pid``, watched from a daemon thread."""

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

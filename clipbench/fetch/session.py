"""What all downloads of one fetch share: how they are shown, how long servers are waited for, how they are stopped."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from clipbench.errors import ExitCode, StoppedError

CHUNK = 1 << 16


class Progress(Protocol):
    """Shows how the work goes; called from several threads."""

    def moved(self, name: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` bytes of ``name`` are there."""

    def notice(self, text: str) -> None:
        """Show one line that the user should know now."""


@dataclass(frozen=True)
class Session:
    """``tries`` in a row may bring no new byte; times are in seconds.

    The wait before another try doubles from ``first_wait`` to ``longest_wait``; a Retry-After of up to
    ``longest_asked`` is followed. ``connect`` and ``silence`` are how long a server may take to accept a connection
    and to send the next bytes. ``pause`` waits, and returns True when ``stop`` is set meanwhile.
    ``slots`` limits how many files are worked on at once.
    """

    progress: Progress
    tries: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    longest_asked: float = 300.0
    connect: float = 15.0
    silence: float = 30.0
    pause: Callable[[threading.Event, float], bool] = threading.Event.wait
    stop: threading.Event = field(default_factory=threading.Event)
    slots: threading.Semaphore = field(default_factory=partial(threading.Semaphore, 4))

    def wait(self, seconds: float) -> None:
        """Wait so long; StoppedError where the work is to stop."""
        if self.pause(self.stop, seconds):
            raise StoppedError("stopped", ExitCode.INTERRUPTED)

    def moved(self, name: str, done: int, total: int) -> None:
        """Show progress; StoppedError where the work is to stop."""
        self.wait(0)
        self.progress.moved(name, done, total)

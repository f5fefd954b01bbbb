"""Graceful-stop requests: a signal or the stop file."""

import signal
from dataclasses import dataclass, field
from pathlib import Path


class Stopped(Exception):
    """A case has ended early on request; ``checkpoint`` is the folder to resume from, if any."""

    def __init__(self, checkpoint: Path | None) -> None:
        super().__init__("stopped")
        self.checkpoint = checkpoint


@dataclass
class StopRequest:
    """Requested by a file that ``clipbench run`` creates, or by SIGTERM to this process.

    The file reaches every rank alike, also through a launcher. The signal is there because batch systems send theirs to
    every process.
    """

    path: Path
    _signalled: bool = field(default=False, init=False)

    def asked(self) -> bool:
        """Return whether this process was asked to stop."""
        return self._signalled or self.path.exists()

    def on_signals(self) -> None:
        """Take SIGTERM as a request to stop, and leave Ctrl-C to the process that started this one."""

        def request(_number: int, _frame: object) -> None:
            self._signalled = True

        signal.signal(signal.SIGTERM, request)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

"""The wish that a run should end in order, as it reaches the processes that train."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from pathlib import Path


class Stopped(Exception):
    """A case has ended early because it was asked to; ``checkpoint`` is the folder to go on from, if any."""

    def __init__(self, checkpoint: Path | None) -> None:
        super().__init__("stopped")
        self.checkpoint = checkpoint


@dataclass
class StopRequest:
    """Asked for by a file that ``clipbench run`` makes, or by a signal to this very process.

    A file, because it reaches every rank alike, whatever stands between it and the one who asks. The signal, because
    batch systems send theirs to every process there is.
    """

    path: Path | None = None
    _signalled: bool = field(default=False, init=False)

    def asked(self) -> bool:
        return self._signalled or (self.path is not None and self.path.exists())

    def on_signals(self) -> None:
        """Take SIGTERM as a wish to stop, and leave Ctrl-C to the process that started this one."""

        def note(_number: int, _frame: object) -> None:
            self._signalled = True

        signal.signal(signal.SIGTERM, note)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

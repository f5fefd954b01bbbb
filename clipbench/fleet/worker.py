"""What an engine's job does: its tasks one after another, each by its command; stopped and requeued in order."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from clipbench.api.plain import to_plain
from clipbench.files.json_file import write_json
from clipbench.fleet.records import Attempt, Submitted, attempt_file, log_file, read_attempt
from clipbench.results.result import utc_now

POLL_SECONDS = 0.1
# Slurm kills a job 30 s after its SIGTERM (KillWait), unless the site has another time.
SAVE_SECONDS = 25.0
# After SIGTERM a scheduler that preempts sends the signal that submitit requeues by.
REQUEUE_SECONDS = 5.0


@dataclass
class Worker:
    """Runs ``tasks`` and records each under ``folder``. submitit pickles it, and calls it again where it was requeued.

    ``visible`` is the submitter's CUDA_VISIBLE_DEVICES, which submitit hides from local jobs; None: not to be set.
    """

    folder: Path
    cwd: Path
    tasks: tuple[Submitted, ...]
    is_local: bool
    visible: str | None = None

    def __call__(self) -> int:
        """Run what has not ended yet; return the exit code of the last task that failed, else 0."""
        self._process: subprocess.Popen[bytes] | None = None
        self._under_way: tuple[Submitted, Attempt] | None = None
        self._stopping = self._is_told = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        code = 0
        for task in self.tasks:
            earlier = read_attempt(self.folder, task.id)
            if earlier is not None and earlier.ended and not earlier.was_stopped:
                continue
            code = self._run(task, earlier) or code
            if self._stopping:
                time.sleep(0 if self.is_local else REQUEUE_SECONDS)
                return code
        return code

    def checkpoint(self) -> Any:  # noqa: ANN401
        """Stop the task under way, which saves; return what submitit runs after it has requeued the job."""
        from submitit.helpers import DelayedSubmission

        self._stopping = True
        self._tell()
        until = time.monotonic() + SAVE_SECONDS
        while self._process is not None and self._process.poll() is None and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        if self._process is not None and (code := self._process.poll()) is not None:
            self._end(code)
        return DelayedSubmission(replace(self))

    def _run(self, task: Submitted, earlier: Attempt | None) -> int:
        count = 1 + (earlier.attempts if earlier else 0)
        attempt = Attempt(socket.gethostname(), os.getpid(), utc_now(), count)
        write_json(attempt_file(self.folder, task.id), to_plain(attempt))
        self._under_way = task, attempt
        with log_file(self.folder, task.id).open("ab") as log:
            return self._end(self._command(task, log.fileno()))

    def _end(self, code: int) -> int:
        """Record how the task under way has ended; return its exit code, of a signal as shells have it."""
        code = code if code >= 0 else 128 - code
        if self._under_way is not None:
            task, attempt = self._under_way
            ended = replace(attempt, ended=utc_now(), exit_code=code)
            write_json(attempt_file(self.folder, task.id), to_plain(ended))
        return code

    def _command(self, task: Submitted, output: int) -> int:
        """Run the command to its end; return its exit code."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", *task.command],
            cwd=self.cwd,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=_ignore_requeueing,
        )
        self._is_told = False
        if self._stopping:  # the signal came before there was a process
            self._tell()
        while (code := self._process.poll()) is None:
            time.sleep(POLL_SECONDS)
        return code

    def _environment(self) -> dict[str, str]:
        own = dict(os.environ)
        if self.is_local:
            own.pop("CUDA_VISIBLE_DEVICES", None)
            own |= {} if self.visible is None else {"CUDA_VISIBLE_DEVICES": self.visible}
        return own

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True
        if self.is_local:
            self._tell()
        else:
            # Slurm signals every process of a job; a second signal would end the command before it has saved.
            self._is_told = True

    def _tell(self) -> None:
        """Ask the command to save and end, unless it was asked already."""
        if self._process is not None and not self._is_told:
            self._is_told = True
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGTERM)


def _ignore_requeueing() -> None:
    """Ignore, in the command and all that it starts, the signal that is meant for submitit and would end them."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)

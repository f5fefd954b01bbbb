"""The process of a case: started, followed by its events, asked to stop, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipbench.results.events import Event, EventReader
from clipbench.runs.rank import Job

POLL_SECONDS = 0.05
LOG_LINES = 20
# From the first report of a failure to the end of all processes: long enough for every rank to report.
GRACE_SECONDS = 15.0


@dataclass
class Interrupts:
    """Signals that ask this process to end, counted: the first is a wish to stop, the second means at once.

    ``asked`` is called at the first.
    """

    asked: Callable[[], None]
    received: list[int] = field(default_factory=list)

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Count SIGINT and SIGTERM instead of dying of them."""

        def note(number: int, _frame: object) -> None:
            self.received.append(number)
            if len(self.received) == 1:
                self.asked()

        before: dict[signal.Signals, Any] = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                before[number] = signal.signal(number, note)
        except ValueError:  # not in the main thread
            before.clear()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def follow(
    job: Job,
    job_file: Path,
    launcher: Sequence[str],
    log: Path,
    receive: Callable[[Event], None],
    interrupts: Interrupts,
    variables: Mapping[str, str],
    patience: int = 2,
) -> int:
    """Run a worker to its end, handing on its events as they come; its exit code.

    At the signal number ``patience`` it is ended at once.
    """
    job.write(job_file)
    reader = EventReader(job.events)
    with log.open("ab") as output, interrupts.caught():
        worker = subprocess.Popen(
            [*launcher, "clipbench.runs.rank", str(job_file)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
            # Ctrl-C is for this process alone, which then asks the worker.
            start_new_session=True,
        )
        try:
            failed = None
            while worker.poll() is None and len(interrupts.received) < patience:
                for event in reader.new():
                    receive(event)
                    if event["event"] in ("error", "cause", "rank_killed"):
                        failed = failed or time.monotonic()
                # A rank that hangs would be waited for, though its peers have reported already.
                if failed is not None and time.monotonic() - failed > GRACE_SECONDS:
                    break
                time.sleep(POLL_SECONDS)
        finally:
            _end(worker)
            for event in reader.new():
                receive(event)
    return worker.returncode


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End what is left of the worker and of all that it started: loader processes outlive one that was killed."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def how_it_ended(returncode: int) -> str:
    """An exit code in words."""
    return f"signal {signal.Signals(-returncode).name}" if returncode < 0 else f"exit code {returncode}"


def tail(log: Path) -> str | None:
    """The last lines of what a process printed, or None."""
    if not log.exists():
        return None
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-LOG_LINES:]) or None

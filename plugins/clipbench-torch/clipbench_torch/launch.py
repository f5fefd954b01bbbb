"""Starts the ranks of a run on this machine: ``python -m clipbench_torch.launch RANKS MODULE JOB``.

PyTorch's own elastic launcher, called as a library, because then it says in data and not in a log which rank died first
and of what. That is put into the job's events, for a rank that was killed cannot report itself.
"""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from clipbench.errors import ExitCode
from clipbench.results.events import EventWriter
from clipbench.runs.rank import Job


def main(arguments: Sequence[str]) -> int:
    """Run the ranks to their end; exit code of the first that failed."""
    ranks, module, job_file = int(arguments[0]), arguments[1], arguments[2]
    # A batch system's SIGTERM reaches every process: ranks end in order, and this one after them. Whoever started it
    # ends them all where they do not.
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGHUP"
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=ranks,
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
        # Ranks meet on this machine: its own name may resolve to an address that nothing listens on.
        local_addr="localhost",
    )
    try:
        elastic_launch(config, sys.executable)("-m", module, job_file)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            _report_killed(job_file, rank, failure)
            return ExitCode.CASE_FAILED
        return failure.exitcode
    return ExitCode.PASS


def _report_killed(job_file: str, rank: int, failure: ProcessFailure) -> None:
    write = EventWriter(Job.read(Path(job_file)).events)
    write("rank_killed", rank=rank, signal=failure.signal_name(), pid=failure.pid)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Start the ranks of a run on this machine: ``python -m clipbench_torch.launch WORLD_SIZE REPORT MODULE JOB``.

PyTorch's elastic launcher, called as a library: that way it returns which rank failed first, and how, as data and not
as a log. A rank that a signal killed cannot report itself, so this process writes that to REPORT.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from clipbench.api import ExitCode
from clipbench_torch.builds import load_no_extensions

load_no_extensions()

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: E402 -- after the line above
from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: E402


def main(arguments: Sequence[str]) -> int:
    """Run ``python -m MODULE JOB`` on every rank; return the exit code of the first rank that failed, or 0."""
    world_size, report, module, job = arguments
    # A batch system sends SIGTERM to every process. Ranks end in order, and this one after them; the process that
    # started it ends them all where they do not.
    os.environ["TORCHELASTIC_SIGNALS_TO_HANDLE"] = "SIGHUP"
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=int(world_size),
        run_id=str(uuid.uuid4()),
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        monitor_interval=0.1,
        # The machine's own name may resolve to an address on which nothing listens.
        local_addr="localhost",
    )
    try:
        elastic_launch(config, sys.executable)("-m", module, job)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode >= 0:
            return failure.exitcode
        killed = {"rank": rank, "signal": failure.signal_name(), "pid": failure.pid}
        Path(report).write_text(json.dumps(killed), encoding="utf-8")
        return ExitCode.CASE_FAILED
    return ExitCode.PASS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

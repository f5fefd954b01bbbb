"""Start the ranks of a run on this machine: ``python -m clipbench_jax.launch WORLD_SIZE REPORT MODULE JOB``.

A rank that a signal killed cannot report itself, so this process writes that to REPORT.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from clipbench.api import ExitCode

POLL_SECONDS = 0.02
GRACE_SECONDS = 30.0  # for the others to find out why one has failed, and to report it


def main(arguments: Sequence[str]) -> int:
    """Run ``python -m MODULE JOB`` on every rank; return the exit code of the first rank that failed, or 0."""
    world_size, report, module, job = arguments
    # A batch system sends SIGTERM to every process, and ranks end in order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    meeting = {"WORLD_SIZE": world_size, "MASTER_ADDR": "localhost", "MASTER_PORT": str(_free_port())}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", module, job],
            env={**os.environ, **meeting, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(int(world_size))
    ]
    failed = _first_failure(ranks)
    if failed is None:
        return ExitCode.PASS
    code, killed = ranks[failed].returncode, ranks[failed]
    if code < 0:
        report_of = {"rank": failed, "signal": signal.Signals(-code).name, "pid": killed.pid}
        Path(report).write_text(json.dumps(report_of), encoding="utf-8")
        code = ExitCode.CASE_FAILED
    _end(ranks)
    return code


def _first_failure(ranks: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Return the rank that was the first to fail, or None when all have ended well."""
    while True:
        codes = [rank.poll() for rank in ranks]
        for rank, code in enumerate(codes):
            if code:
                return rank
        if all(code == 0 for code in codes):
            return None
        time.sleep(POLL_SECONDS)


def _end(ranks: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for all ranks, and end those that take too long."""
    deadline = time.monotonic() + GRACE_SECONDS
    for rank in ranks:
        try:
            rank.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            rank.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

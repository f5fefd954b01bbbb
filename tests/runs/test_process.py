"""Nothing of a run outlives its command: not a rank that was stopped, nor its helpers, nor those of a dead launcher."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clipbench.runs.job import Job
from clipbench.runs.process import run_job

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the system offers no such thing")

# A launcher with a rank in a session of its own, as torch's has it, and four helpers; all of them are then stopped.
LAUNCHER = r"""
import os, signal, subprocess, sys, time
helper = "import time; time.sleep(600)"
rank = (
    "import os, signal, subprocess, sys, time\n"
    f"helpers = [subprocess.Popen([sys.executable, '-c', {helper!r}]) for _ in range(4)]\n"
    "print(os.getpid(), *(one.pid for one in helpers), file=open('pids.part', 'w'))\n"
    "os.rename('pids.part', 'pids')\n"
    "for pid in [*(one.pid for one in helpers), os.getpid()]:\n"
    "    os.kill(pid, signal.SIGSTOP)\n"
)
subprocess.Popen([sys.executable, "-c", rank], start_new_session=True)
while not os.path.exists("pids"):
    time.sleep(0.01)
"""


def is_there(pid):
    """Whether a process is there and has not ended; one that nobody has waited for has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(true, seconds=20.0):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(3)"])
def test_stopped_ranks_and_helpers_end_with_their_launcher(tmp_path, monkeypatch, end):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "launcher.py").write_text(LAUNCHER + end)
    done = run_job(Job(tmp_path, os.getpid(), ()), launcher=(sys.executable, "launcher.py"))
    assert done.returncode == {"": 0, "sys.exit(3)": 3}.get(end, -signal.SIGKILL), done.log
    pids = [int(word) for word in Path("pids").read_text().split()]
    left = [pid for pid in pids if is_there(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert len(pids) == 5 and not left


def test_a_stopped_rank_is_killed_when_its_command_is(tmp_path):
    rank = (
        "import os, signal, time\n"
        "from clipbench.api import exit_with_parent\n"
        "exit_with_parent(os.getppid())\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
        "time.sleep(600)\n"
    )
    command = (
        "import subprocess, sys, time\n"
        f"rank = subprocess.Popen([sys.executable, '-c', {rank!r}])\n"
        "print(rank.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        wait_until(lambda: " T " in Path(f"/proc/{pid}/stat").read_text())
        parent.kill()
        wait_until(lambda: not is_there(pid))


def test_a_process_that_cannot_be_killed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("clipbench.runs.process.KILL_SECONDS", 0.05)
    monkeypatch.setattr("clipbench.runs.process._marked", lambda mark: [2**22 + 1])
    notices = []
    run_job(Job(tmp_path, os.getpid(), ()), receive=lambda event: notices.append(getattr(event, "text", "")))
    assert f"warning: processes of the run do not end, and may hold the device: {2**22 + 1}" in notices

"""A real Slurm of one node on this machine, for tests: installed where it can be, with a configuration of its own."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

NO_SLURM = "no Slurm to test with"
CPUS = 2
COMMANDS = ("slurmctld", "slurmd", "munged", "sbatch")
CONFIGURATION = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
AuthType=auth/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ReturnToService=2
JobRequeue=1
AccountingStorageType=accounting_storage/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2000
PartitionName=all Nodes=ALL Default=YES State=UP
"""


def lacking():
    """Why there can be no Slurm here, or None; installs it where this user may."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root may start one, on Linux"
    if all(map(shutil.which, COMMANDS)):
        return None
    if not shutil.which("apt-get"):
        return "slurmctld, slurmd and munged are not installed, and there is no apt-get"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update"], ["install", "-y", "--no-install-recommends", "slurm-wlm", "munge"]):
        done = subprocess.run(
            ["apt-get", "-qq", *words], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
    lines = done.stderr.strip().splitlines()
    return (
        None if all(map(shutil.which, COMMANDS)) else f"apt-get could not install it: {lines[-1:] or done.returncode}"
    )


@contextmanager
def cluster(folder):
    """Run a Slurm while the block lasts; yields the variables that its commands need."""
    _start_munge()
    ports = dict(zip(("controller", "daemon"), _free_ports(2), strict=True))
    for name in ("state", "spool"):
        (folder / name).mkdir()
    file = folder / "slurm.conf"
    file.write_text(CONFIGURATION.format(host=socket.gethostname(), folder=folder, cpus=CPUS, **ports))
    variables = {"SLURM_CONF": str(file)}
    environment = {**os.environ, **variables}
    try:
        for command in ("slurmctld", "slurmd"):
            subprocess.run([command], env=environment, check=True, timeout=30, capture_output=True)
        until = time.monotonic() + 30
        while "idle" not in (state := _ask(environment, "sinfo", "--noheader", "--format=%T")):
            assert time.monotonic() < until, f"the node of the Slurm for tests is {state!r}: {_log(folder)}"
            time.sleep(0.2)
        yield variables
    finally:
        # Of a test that has failed: nothing of it may go on.
        _ask(environment, "scancel", "--user=root")
        until = time.monotonic() + 30
        while _ask(environment, "squeue", "--noheader") and time.monotonic() < until:
            time.sleep(0.2)
        for command in ("slurmd", "slurmctld"):
            with suppress(OSError, ValueError):
                os.kill(int((folder / f"{command}.pid").read_text()), 15)


def _start_munge():
    """Start munge unless it answers already; it ends with the machine, as a service does."""
    if subprocess.run(["munge", "-n"], capture_output=True, timeout=10, check=False).returncode == 0:
        return
    Path("/run/munge").mkdir(exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    subprocess.run(["su", "-s", "/bin/sh", "munge", "-c", "munged"], check=True, timeout=30, capture_output=True)


def _ask(environment, *words):
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=False).stdout


def _log(folder):
    return "".join((folder / name).read_text()[-500:] for name in ("slurmctld.log", "slurmd.log"))


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()

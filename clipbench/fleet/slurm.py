"""Slurm's own commands: nodes of a partition, jobs that wait or run, the size of an array."""

import re
import subprocess
from collections.abc import Sequence

from clipbench.errors import NotReadyError, UsageError

# Slurm's default (MaxArraySize 1001), for a site that does not say.
ARRAY_TASKS = 1000
ANSWER_SECONDS = 60
# Jobs that one call of scancel gets: a command line has room for so many ids.
AT_ONCE = 500


def partition_nodes(partition: str) -> list[str]:
    """Return the names of a partition's nodes; raise UsageError that names the partitions where there is none."""
    lines = _ask("sinfo", "--noheader", "--Node", "--format=%P|%N").splitlines()
    pairs = [line.strip().split("|", 1) for line in lines if "|" in line]
    nodes = [node for name, node in pairs if name.rstrip("*") == partition]
    if not nodes:
        known = ", ".join(sorted({name.rstrip("*") for name, _ in pairs})) or "none"
        raise UsageError(f"--every-node {partition}: no such partition, or one without nodes; Slurm has: {known}")
    return list(dict.fromkeys(nodes))


def live_jobs() -> set[str]:
    """Return the ids of this user's jobs that wait or run, of an array each task's: ``17_3``."""
    return set(_ask("squeue", "--me", "--noheader", "--array", "--format=%i").split())


def cancel_jobs(jobs: Sequence[str]) -> None:
    """Cancel jobs: each gets SIGTERM, and is killed where it has not ended after Slurm's KillWait."""
    for start in range(0, len(jobs), AT_ONCE):
        _ask("scancel", *jobs[start : start + AT_ONCE])


def array_tasks() -> int:
    """Return how many tasks an array may have here."""
    match = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"), re.MULTILINE)
    return max(1, int(match[1]) - 1) if match else ARRAY_TASKS


def minutes(text: str) -> int:
    """Return a time limit as sbatch takes it in whole minutes: ``90``, ``1:30:00``, ``2-12``, ``2-12:30``."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if match is None:
        raise UsageError(f"time={text}: expected minutes, such as 90, or hours:minutes:seconds, such as 1:30:00")
    days, first, second, third = (int(part or 0) for part in match.groups())
    if match[1] is None and match[4] is None:  # minutes, or minutes:seconds
        first, second, third = 0, first, second
    return max(1, -(-(((days * 24 + first) * 60 + second) * 60 + third) // 60))


def _ask(*words: str) -> str:
    """Return what a command of Slurm prints; raise NotReadyError in its own words where it fails or is not there."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False)
    except FileNotFoundError:
        raise NotReadyError(
            f"{words[0]}: not found on this machine; run the command on a login node of the cluster, with Slurm's "
            "commands on the PATH"
        ) from None
    except subprocess.TimeoutExpired:
        raise NotReadyError(
            f"{words[0]}: no answer within {ANSWER_SECONDS} s; ask for the state of slurmctld"
        ) from None
    if done.returncode:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        raise NotReadyError(f"{words[0]}: {said}")
    return done.stdout

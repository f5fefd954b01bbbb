"""This process's place among the ranks of a run, from the environment that its launcher has set."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from clipbench.api import World
from clipbench.errors import UsageError

# Below the range that systems hand out for outgoing connections, so that the port is rarely taken.
FIRST_PORT, PORTS = 20_000, 10_000


@dataclass(frozen=True)
class Launch:
    """Ranks that were not started by clipbench but ``by`` torchrun or srun.

    ``variables`` are those that the ranks need to find each other and that the launcher does not set.
    """

    world: World
    by: str
    variables: Mapping[str, str]


def world_of(environ: Mapping[str, str] = os.environ) -> World:
    """Return the place that RANK, LOCAL_RANK and WORLD_SIZE name; a single rank where they are not set."""
    return World(_number(environ, "RANK"), _number(environ, "LOCAL_RANK"), _number(environ, "WORLD_SIZE", "1"))


def outer_launch(environ: Mapping[str, str] = os.environ) -> Launch | None:
    """Return the launch that this process is one rank of, or None where it was started on its own.

    torchrun and launchers like it set RANK, LOCAL_RANK and WORLD_SIZE; srun sets SLURM_STEP_NUM_TASKS, which is not set
    in a batch script outside of srun.
    """
    if "RANK" in environ and "WORLD_SIZE" in environ:
        return Launch(world_of(environ), "torchrun", {})
    size = _number(environ, "SLURM_STEP_NUM_TASKS", "1")
    if "SLURM_PROCID" not in environ or size <= 1:
        return None
    world = World(_number(environ, "SLURM_PROCID"), _number(environ, "SLURM_LOCALID"), size)
    # What torchrun would have set, from what srun has set: the ranks meet at the first node.
    nodes = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST") or "localhost"
    job = _number(environ, "SLURM_JOB_ID") + _number(environ, "SLURM_STEP_ID")
    variables = {
        "RANK": str(world.rank),
        "LOCAL_RANK": str(world.local_rank),
        "WORLD_SIZE": str(world.size),
        # A user who sets an address or a port knows the network better.
        "MASTER_ADDR": environ.get("MASTER_ADDR", first_node(nodes)),
        "MASTER_PORT": environ.get("MASTER_PORT", str(FIRST_PORT + job % PORTS)),
    }
    return Launch(world, "srun", variables)


def first_node(nodes: str) -> str:
    """Return the first host name of a Slurm node list: ``node[03-07,9],other`` gives ``node03``."""
    match = re.match(r"([^,\[]*)(?:\[([^\],-]+)[^\]]*\]([^,\[]*))?", nodes.strip())
    assert match is not None  # every text matches
    return "".join(part or "" for part in match.groups())


def _number(environ: Mapping[str, str], name: str, default: str = "0") -> int:
    text = environ.get(name, default)
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise UsageError(f"environment variable {name}: expected a number of 0 or more, got '{text}'")
    return value


def outer_world_size(nproc: str | None) -> str | None:
    """Return the number of ranks: as many as an outer launcher has started, else what ``--nproc`` says, if anything.

    Raises UsageError where both say it.
    """
    launch = outer_launch()
    if launch is None:
        return nproc
    if nproc is not None:
        started = f"{launch.by} has started {launch.world.size} ranks already"
        raise UsageError(f"--nproc {nproc}: {started}; leave --nproc out")
    return str(launch.world.size)

"""A rank's place, from what torchrun or srun have set in the environment."""

import pytest

from clipbench.api import World
from clipbench.errors import UsageError
from clipbench.runs.launch import first_node, outer_launch, outer_world_size

TORCHRUN = {"RANK": "5", "LOCAL_RANK": "1", "WORLD_SIZE": "8"}
SRUN = {
    "SLURM_PROCID": "5", "SLURM_LOCALID": "1", "SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_JOB_ID": "123456",
}  # fmt: skip


def test_torchrun_and_srun_name_the_same_place():
    assert outer_launch(TORCHRUN).world == outer_launch(SRUN).world == World(5, 1, 8)
    variables = outer_launch(SRUN).variables
    assert (variables["MASTER_ADDR"], variables["RANK"]) == ("gpu07", "5")
    assert 20_000 <= int(variables["MASTER_PORT"]) < 30_000
    mine = outer_launch({**SRUN, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "4711"}).variables
    assert (mine["MASTER_ADDR"], mine["MASTER_PORT"]) == ("10.0.0.1", "4711")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        # A batch script outside of srun, and a shell that srun has started.
        {"SLURM_PROCID": "0", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "1"},
        {"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"},
    ],
)
def test_without_a_launcher_there_is_a_single_rank(environ):
    assert outer_launch(environ) is None


@pytest.mark.parametrize(
    "nodes, first",
    [
        ("gpu07", "gpu07"), ("gpu[07-08]", "gpu07"), ("gpu[3,5-9],cpu1", "gpu3"), ("a,b", "a"), ("r-n[01]x", "r-n01x"),
    ],
)  # fmt: skip
def test_the_first_node_of_a_list(nodes, first):
    assert first_node(nodes) == first


def test_a_wrong_value_in_the_environment_is_named(monkeypatch):
    with pytest.raises(UsageError, match="RANK: expected a number of 0 or more, got 'x'"):
        outer_launch({"RANK": "x", "WORLD_SIZE": "2"})
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert outer_world_size(None) == "8"
    with pytest.raises(UsageError, match="torchrun has started 8 ranks already; leave --nproc out"):
        outer_world_size("4")

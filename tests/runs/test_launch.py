"""A rank's place, from what torchrun or srun put into the environment."""

import pytest

from clipbench.api import World
from clipbench.errors import UsageError
from clipbench.runs.devices import no_more_threads_than_cores
from clipbench.runs.launch import first_node, outer_launch, outer_ranks
from clipbench.training.collectives import Alone, share, share_all
from clipbench.training.state import RunState, differences
from clipbench.training.workers import starving

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
def test_whoever_was_started_alone_is_alone(environ):
    assert outer_launch(environ) is None


@pytest.mark.parametrize(
    "nodes, first",
    [
        ("gpu07", "gpu07"), ("gpu[07-08]", "gpu07"), ("gpu[3,5-9],cpu1", "gpu3"), ("a,b", "a"), ("r-n[01]x", "r-n01x"),
    ],
)  # fmt: skip
def test_the_first_node_of_a_list(nodes, first):
    assert first_node(nodes) == first


def test_nonsense_in_the_environment_is_named(monkeypatch):
    with pytest.raises(UsageError, match="RANK: expected a number of 0 or more, got 'x'"):
        outer_launch({"RANK": "x", "WORLD_SIZE": "2"})
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert outer_ranks(None) == "8"
    with pytest.raises(UsageError, match="torchrun has started 8 ranks already; leave --nproc out"):
        outer_ranks("4")


def test_ranks_of_one_machine_share_its_cores_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr("clipbench.runs.devices.usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert no_more_threads_than_cores(4) == {"OMP_NUM_THREADS": "2"}
    assert no_more_threads_than_cores(16) == {"OMP_NUM_THREADS": "1"}
    assert no_more_threads_than_cores(1) == {}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert no_more_threads_than_cores(4) == {}


def test_a_group_of_one_hears_itself():
    assert share(Alone(), {"a": [1, None]}) == {"a": [1, None]}
    assert share_all(Alone(), "host") == ["host"]


def test_a_state_comes_back_from_json_and_differences_are_named():
    state = RunState(epochs=[{"epoch": 1}], skipped_in_a_row=2)
    state.partial.windows = [[(2, 0.5, 0.1)]]
    assert RunState.from_dict(state.to_dict()) == state
    then, now = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "e": 4}
    assert differences(then, now) == ["a.c was 2 and is 5", "d was 3 and is not there", "e was not there and is 4"]
    assert differences(then, then) == []


@pytest.mark.parametrize(
    "wait, workers, cores, said",
    [
        (0.05, 2, 8, None),
        (None, 2, 8, None),
        (0.5, 2, 8, "--set train.workers=4"),
        (0.06, 2, 8, "--set train.workers=3"),
        (0.5, 0, 8, "--set train.workers=1"),
        (0.75, 4, 8, "about 16 would fit, but there are 8 cores"),
    ],
)
def test_a_starving_device_is_told_how_many_workers_would_fit(wait, workers, cores, said):
    warning = starving(wait, workers, cores)
    assert warning is None if said is None else said in warning

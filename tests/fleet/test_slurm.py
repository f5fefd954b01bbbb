"""`clipbench submit --on slurm` on a real Slurm: arrays, requeueing, nodes, refusals, the end of jobs."""

import json
import socket
import subprocess
import time

import pytest

from clipbench.results.result import read_result
from tests.support.numpy_runs import clipbench
from tests.support.slurm_cluster import NO_SLURM, cluster, lacking

pytestmark = pytest.mark.campaign
LONG = {"epochs": 12, "batch_size": 8, "lr": 0.2, "augment": "none",
        "schedule": {"peak_limits": None, "floor_limits": None}}  # fmt: skip
# A requeued job waits for two minutes.
SECONDS = 220


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if reason := lacking():
        pytest.skip(f"{NO_SLURM}: {reason}")
    with cluster(tmp_path_factory.mktemp("slurm")) as variables:
        yield variables


def states(place, out, slurm):
    data = json.loads(clipbench("jobs", "status", out, "--format", "json", cwd=place, **slurm).stdout)
    assert not data["problems"]
    return {task["id"]: task for task in data["tasks"]}


def wait_for(place, out, slurm, state, seconds=60):
    until = time.monotonic() + seconds
    while True:
        found = states(place, out, slurm)
        if all(task["state"] == state for task in found.values()):
            return found
        assert time.monotonic() < until, found
        time.sleep(0.5)


def submit(path, out, place, slurm, *words, **variables):
    resources = ("--resource", "time=10", "--resource", "mem=100M")
    return clipbench("submit", path, "--on", "slurm", "--out", out, *resources, *words, cwd=place, **slurm, **variables)


def wait_for_steps(folder, count):
    until = time.monotonic() + 90
    while len(files := list(folder.glob("*/.work/*/events.jsonl"))) < count or not all(
        file.read_text().count('"StepsTrained"') >= 4 for file in files
    ):
        assert time.monotonic() < until, "the tasks did not get there in time"
        time.sleep(0.2)


def test_requeued_tasks_go_on_and_meanwhile_the_rest_of_slurm_is_used(suite, place, slurm):
    long = suite(train=LONG, timing={"warmup_steps": 0, "window_steps": 1}).rename(place / "long.yaml")
    short = suite()
    done = submit(long, "array", place, slurm, "--repeats", 2, CLIPBENCH_NUMPY_PAUSE="0.5")
    assert done.returncode == 0 and "2 tasks in 2 jobs on slurm" in done.stdout, done.stderr
    jobs = [task["job"] for task in states(place, "array", slurm).values()]
    assert [job.rpartition("_")[2] for job in jobs] == ["0", "1"]  # one array
    wait_for_steps(place / "array", 2)
    # One by the scheduler, one by the signal that comes before the end of a job's time.
    for words in (["scontrol", "requeue", jobs[0]], ["scancel", "--signal=USR2", jobs[1]]):
        subprocess.run(words, env=slurm | {"PATH": "/usr/bin:/bin"}, check=True, timeout=30)
    wait_for(place, "array", slurm, "queued")
    again = submit(long, "array", place, slurm, "--repeats", 2)
    assert "nothing to submit: 2 tasks under way or done" in again.stdout

    every_node(short, place, slurm)
    refusals(short, place, slurm)
    cancelled(long, place, slurm)

    for task in wait_for(place, "array", slurm, "completed", SECONDS).values():
        first, second = read_result(place / task["result"]).attempts
        assert first.steps == first.epochs == 0 and second.epochs * 5 + second.steps >= 4
        assert task["attempts"] == 2


def every_node(path, place, slurm):
    done = submit(path, "nodes", place, slurm, "--every-node", "all")
    assert done.returncode == 0, done.stderr
    (task_id,) = wait_for(place, "nodes", slurm, "completed")
    assert task_id.endswith(f"@{socket.gethostname()}")
    (file,) = (place / "nodes" / task_id).glob("*.json")
    assert read_result(file).task == task_id
    again = submit(path, "nodes", place, slurm, "--every-node", "all")
    assert "nothing to submit" in again.stdout


def refusals(path, place, slurm):
    """Each is named, in Slurm's own words, and leaves nothing that waits."""
    unknown = submit(path, "refused", place, slurm, "--every-node", "gpus")
    assert unknown.returncode == 2 and "no such partition, or one without nodes; Slurm has: all" in unknown.stderr
    for resource, part in (
        ("gres=gpu:1", "gres"),
        ("partition=gpus", "partition"),
        ("no-such-option=1", "no-such-option"),
    ):
        refused = submit(path, "refused", place, slurm, "--resource", resource)
        assert refused.returncode == 5, refused.stdout
        assert "warning: sbatch refused the job: " in refused.stderr and part in refused.stderr.lower()
    assert states(place, "refused", slurm) == {}
    device = submit(path, "absent", place, slurm, "--devices", "unobtainium")
    assert device.returncode == 0
    (task,) = wait_for(place, "absent", slurm, "failed").values()
    assert task["exit_code"] == 5 and "not to be had on this planet" in task["message"]


def cancelled(path, place, slurm):
    assert submit(path, "ended", place, slurm, CLIPBENCH_NUMPY_PAUSE="0.5").returncode == 0
    wait_for_steps(place / "ended", 1)
    assert "1 job cancelled" in clipbench("jobs", "cancel", "ended", cwd=place, **slurm).stdout
    (task,) = wait_for(place, "ended", slurm, "interrupted").values()
    (file,) = (place / "ended" / task["id"]).glob("*.json")
    assert read_result(file).status == "interrupted"

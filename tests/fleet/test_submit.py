"""`clipbench submit --on local` and `clipbench jobs`: tasks run, followed, stopped, requeued, resumed, collected."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner

from clipbench import __version__
from clipbench.api.plain import to_plain
from clipbench.api.result import CaseError
from clipbench.cli import main
from clipbench.errors import UsageError
from clipbench.files.json_file import write_json
from clipbench.fleet import slurm
from clipbench.fleet.found import find_results
from clipbench.fleet.planning import Request, make_tasks
from clipbench.fleet.records import Attempt, Submission, Submitted, attempt_file, log_file, read_submissions
from clipbench.fleet.submitting import read_resources
from clipbench.results.result import read_result, write_result
from tests.fleet.test_plan import CHANGES
from tests.support.made_results import made_result
from tests.support.numpy_runs import clipbench

LONG = {"epochs": 12, "batch_size": 8, "lr": 0.2, "augment": "none",
        "schedule": {"peak_limits": None, "floor_limits": None}}  # fmt: skip
OFTEN = {"epochs": 1, "minutes": 1e-9, "keep": "all"}


def status(cwd, *words):
    done = clipbench("jobs", "status", *words, "--format", "json", cwd=cwd)
    return done.returncode, json.loads(done.stdout)


def result_of(cwd, task_id):
    (path,) = (cwd / "results" / task_id).glob("*.json")
    return read_result(path)


def wait_until(condition, seconds=60):
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not get there in time"
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_tasks_run_side_by_side_and_only_what_is_left_is_submitted_again(suite, place):
    path = suite()
    done = clipbench("submit", path, "--on", "local", "--repeats", 2, "--at-once", 2, cwd=place)
    assert done.returncode == 0 and "2 tasks in 2 jobs on local" in done.stdout, done.stderr
    under_way = clipbench("submit", path, "--on", "local", "--repeats", 2, cwd=place)
    assert under_way.returncode == 0 and "nothing to submit: 2 tasks under way or done" in under_way.stdout
    code, data = status(place, "--wait")
    assert (code, data["counts"]["completed"], data["problems"]) == (0, 2, [])
    for task in data["tasks"]:
        assert result_of(place, task["id"]).task == task["id"] and task["attempts"] == 1
    third = clipbench("submit", path, "--on", "local", "--repeats", 3, cwd=place)
    assert "1 task in 1 job on local; 2 under way or done were left out" in third.stdout
    assert status(place, "--wait")[1]["counts"]["completed"] == 3
    for copied in ("3 results copied", "0 results copied to collected, 3 were there already"):
        collected = clipbench("jobs", "collect", "--into", "collected", cwd=place)
        assert collected.returncode == 0 and copied in collected.stdout
    files = {path.name for path in (place / "collected").iterdir()}
    kept = {path.name for path in (place / "results").glob("*/*") if path.is_file()}
    assert files == kept and len([name for name in files if name.endswith(".json")]) == 3


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cancelled", "preempted"])
def test_a_task_that_was_stopped_goes_on_from_its_checkpoint(suite, place, how):
    path = suite(train=LONG, checkpoint=OFTEN, timing={"warmup_steps": 0, "window_steps": 1})
    slow = {"CLIPBENCH_NUMPY_PAUSE": "0.1"}
    assert clipbench("submit", path, "--on", "local", cwd=place, **slow).returncode == 0
    events = wait_until(lambda: list((place / "results").glob("*/.work/*/events.jsonl")))[0]
    wait_until(lambda: events.read_text().count('"StepsTrained"') >= 5)
    if how == "cancelled":
        assert "1 job cancelled" in clipbench("jobs", "cancel", cwd=place).stdout
        code, data = status(place, "--wait")
        assert (code, data["counts"]["interrupted"]) == (4, 1)
        assert clipbench("submit", path, "--on", "local", cwd=place).returncode == 0
    else:
        # As a scheduler does; submitit then starts the job anew.
        (record,) = (place / "results").glob(".jobs/*/tasks/*.json")
        os.kill(json.loads(record.read_text())["process"], signal.SIGUSR2)
    code, data = status(place, "--wait")
    assert code == 0, data
    (task,) = data["tasks"]
    first, second = result_of(place, task["id"]).attempts
    assert first.steps == first.epochs == 0 and second.epochs * 5 + second.steps >= 5
    assert task["attempts"] == (1 if how == "cancelled" else 2)


@pytest.mark.slow
def test_a_task_that_fails_is_named_with_its_error_and_the_next_one_runs(suite, place):
    devices = ("--devices", "unobtainium,abacus")
    assert clipbench("submit", suite(), "--on", "local", *devices, cwd=place).returncode == 0
    shown = clipbench("jobs", "status", "--wait", cwd=place)
    assert shown.returncode == 4 and "2 tasks, 1 completed, 1 failed" in shown.stdout
    assert "exit code 5" in shown.stdout and "not to be had on this planet" in shown.stdout
    collected = clipbench("jobs", "collect", "--into", "all", cwd=place)
    assert collected.returncode == 4 and "1 result copied to all; 1 missing" in collected.stdout


# --- by records, without anything that runs ---------------------------------------------------------------------------


def invoke(*words):
    done = CliRunner().invoke(main, list(map(str, words)))
    assert "Traceback" not in done.output, done.output
    return done


@pytest.fixture
def records(place):
    """Records of a submission whose job is gone: of each of five tasks what it has left."""
    planned = make_tasks(Request(["quickstart"], CHANGES, repeats=5))
    folder = place / "results" / ".jobs" / "20260101T000000Z-abcd"
    tasks = tuple(Submitted(task.id, tuple(task.command(place / "results")), "999999999") for task in planned)
    Submission(folder, "local", socket.gethostname(), "2026-01-01T00:00:00.000Z", tasks).write()
    done, failed, lost, stopped, _never = planned
    begun = Attempt("node", 1, "2026-01-01T00:00:00.000Z", 1)
    made = replace(made_result("run-1"), task=done.id, clipbench=replace(made_result().clipbench, version=__version__))
    made = replace(made, config=done.task.case.to_dict(), config_sha256=done.task.case.sha256())
    write_result(place / "results" / done.id, made)
    for task, attempt in (
        (done, replace(begun, ended="2026-01-01T00:05:00.000Z", exit_code=0)),
        (failed, replace(begun, ended="2026-01-01T00:05:00.000Z", exit_code=4)),
        (lost, begun),
        (stopped, replace(begun, ended="2026-01-01T00:05:00.000Z", exit_code=143)),
    ):
        write_json(attempt_file(folder, task.id), to_plain(attempt))
    log_file(folder, failed.id).write_text("[ 1.0 s] epoch 1\nclipbench: beads are stuck\nask a carpenter\n")
    return folder, [task.id for task in planned], made


def test_every_state_is_told_from_what_a_task_has_left(records, place):
    folder, ids, _ = records
    done = invoke("jobs", "status", "results", "--format", "json")
    states = {task["id"]: task["state"] for task in json.loads(done.stdout)["tasks"]}
    assert done.exit_code == 4
    assert [states[task_id] for task_id in ids] == ["completed", "failed", "lost", "interrupted", "not run"]
    text = invoke("jobs", "status", "results").stdout
    assert "  clipbench: beads are stuck\n  ask a carpenter\n" in text
    assert f"  log: {log_file(folder, ids[1]).relative_to(place)}\n" in text
    assert "5 tasks, 1 completed, 1 interrupted, 1 failed, 1 lost, 1 not run" in text


def test_waiting_reads_no_result_before_the_jobs_are_gone(records, monkeypatch):
    _, ids, _ = records
    there, read = [True, True, False, False], []
    monkeypatch.setattr("clipbench.commands.jobs.WAIT_SECONDS", 0)
    monkeypatch.setattr("clipbench.fleet.jobs._runs_here", lambda *_: there.pop(0))
    monkeypatch.setattr(
        "clipbench.fleet.jobs.find_results", lambda *words: read.append(len(there)) or find_results(*words)
    )
    done = invoke("jobs", "status", "results", "--wait", "--format", "json")
    assert read == [1] and [task["id"] for task in json.loads(done.stdout)["tasks"]] == ids


def test_a_task_with_a_result_that_waits_once_more_is_not_submitted_again(records, monkeypatch):
    folder, ids, _ = records
    again = replace(read_submissions(folder.parents[1])[0][0], folder=folder.with_name("20260102T000000Z-abcd"))
    again.write()
    monkeypatch.setattr("clipbench.fleet.jobs._runs_here", lambda *_: True)
    tasks = json.loads(invoke("jobs", "status", "results", "--format", "json").stdout)["tasks"]
    assert {task["state"] for task in tasks} == {"queued"} and [task["id"] for task in tasks if task["result"]] == ids[
        :1
    ]
    words = ["submit", "quickstart", "--repeats", "5", *(word for change in CHANGES for word in ("--set", change))]
    assert "nothing to submit: 5 tasks" in invoke(*words, "--on", "local", "--all").stdout


def test_half_a_record_and_half_a_result_are_named_and_the_rest_goes_on(records, place):
    folder, ids, made = records
    attempt_file(folder, ids[1]).write_text('{"host": "no')
    broken = place / "results" / ".jobs" / "20260102T000000Z-abcd"
    broken.mkdir()
    (broken / "submission.json").write_text('{"on": "slu')
    half = place / "results" / ids[2] / "half.json"
    half.parent.mkdir()
    half.write_text(json.dumps(to_plain(made))[:3000])
    done = invoke("jobs", "collect", "results", "--into", "all")
    assert done.exit_code == 3
    assert f"refused: {half.relative_to(place)}: not valid JSON" in done.stdout
    assert "submission.json: not the record of a submission" in done.stdout
    assert "1 result copied to all; 4 missing" in done.stdout
    assert half.exists()  # nothing is removed


def test_what_was_collected_is_replaced_only_by_the_end_of_its_run(records, place):
    _, ids, made = records
    stopped = replace(made, status="interrupted", error=CaseError("Interrupted", "stopped by SIGTERM", 143))
    write_result(place / "all", stopped)
    assert invoke("jobs", "collect", "results", "--into", "all").exit_code == 4
    assert read_result(place / "all" / "run-1.json").completed
    write_result(place / "results" / ids[0], replace(made, ended="2026-01-01T00:06:00Z"))
    done = invoke("jobs", "collect", "results", "--into", "all")
    assert done.exit_code == 3 and "has other content than" in done.stdout
    assert read_result(place / "all" / "run-1.json").ended == made.ended


def test_what_is_missing_to_submit_is_named(place, monkeypatch):
    words = ["submit", "quickstart", "--on", "slurm", "--resource", "time=5"]
    monkeypatch.setitem(sys.modules, "submitit", None)
    done = invoke(*words)
    assert done.exit_code == 5 and "pip install 'clipbench[slurm]'" in done.output
    monkeypatch.delitem(sys.modules, "submitit")
    monkeypatch.setenv("PATH", str(place))
    done = invoke(*words)
    assert done.exit_code == 5 and "sbatch was not found" in done.output
    done = invoke(*words, "--every-node", "gpu")
    assert done.exit_code == 5 and "sinfo: not found on this machine" in done.output
    assert not list(place.glob("results/.jobs/*"))


@pytest.mark.parametrize(
    "words, part",
    [
        (["--on", "slurm"], "--resource time=MINUTES is needed"),
        (["--on", "local", "--resource", "gres=gpu:1"], "leave resources out"),
        (["--on", "local", "--every-node", "gpu"], "only Slurm has partitions"),
        (["--on", "slurm", "--resource", "gres"], "expected an option of sbatch"),
        (["--on", "slurm", "--resource", "time=soon"], "expected minutes"),
        (["--on", "slurm", "--resources", "lists.yaml"], "with one value each"),
    ],
)
def test_resources_that_make_no_sense_are_refused(place, monkeypatch, words, part):
    (place / "lists.yaml").write_text("gres: [gpu:1]\n")
    (place / "sbatch").write_text("#!/bin/sh\nexit 1\n")
    (place / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    done = invoke("submit", "quickstart", *words)
    assert done.exit_code == 2 and part in done.output


def test_resources_of_a_file_are_those_of_sbatch_and_options_go_before(place):
    (place / "node.yaml").write_text("time: 90\ncpus_per_task: 8\n--gres: gpu:1\nexclusive: true\n")
    read = read_resources(place / "node.yaml", ["time=1:30:00", "mem=8G"])
    assert read == {"time": "1:30:00", "cpus-per-task": 8, "gres": "gpu:1", "exclusive": True, "mem": "8G"}


@pytest.mark.parametrize(
    "text, expected", [("90", 90), ("1:30:00", 90), ("0:30", 1), ("2:30", 3), ("2-12", 3600), ("1-00:30", 1470)]
)
def test_times_are_read_as_sbatch_reads_them(text, expected):
    assert slurm.minutes(text) == expected


@pytest.mark.parametrize("is_local, told", [(True, 1), (False, 0)])
def test_a_command_is_asked_once_to_stop(place, monkeypatch, is_local, told):
    """Slurm itself signals every process of a job; a second signal would end the command before it has saved."""
    (place / "counting.py").write_text(
        "import pathlib, signal, time\n"
        "count = [0]\n"
        "def took(*_):\n    count[0] += 1\n"
        "signal.signal(signal.SIGTERM, took)\n"
        "pathlib.Path('ready').touch()\n"
        "until = time.monotonic() + 3\n"
        "while time.monotonic() < until and count[0] < 2: time.sleep(0.01)\n"
        "pathlib.Path('count').write_text(str(count[0]))\n"
    )
    code = (
        "import pathlib\nfrom clipbench.fleet.records import Submitted\nfrom clipbench.fleet.worker import Worker\n"
        f"Worker(pathlib.Path('records'), pathlib.Path('.'), (Submitted('one', ('counting',)),), {is_local})()"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], cwd=place)
    wait_until((place / "ready").exists)
    for _ in range(2):
        worker.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    assert worker.wait(timeout=60) == 0
    assert (place / "count").read_text() == str(told)


def test_a_time_that_is_none_is_refused():
    with pytest.raises(UsageError, match="time=tomorrow: expected minutes"):
        slurm.minutes("tomorrow")

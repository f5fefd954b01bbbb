"""`clipbench plan` and `run --case ID`: the tasks, what is left of them, and what of other results is named."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from clipbench import __version__
from clipbench.api.result import Attempt, CaseError
from clipbench.cli import main
from clipbench.fleet.planning import Request, make_tasks
from clipbench.results.collecting import collect as collecting
from clipbench.results.collecting import reading
from clipbench.results.result import result_data, write_result
from clipbench.suites.loading import find_suite, load_suite
from tests.support.made_results import changed, made_result
from tests.support.numpy_runs import clipbench, results

MADE = made_result()
# As made results are configured.
CHANGES = ["train.epochs=2", "timing.warmup_steps=800", "eval.evaluations=[retrieval]"]


def plan(*words):
    return CliRunner().invoke(main, ["plan", *map(str, words)])


def tasks(*words, out="results"):
    done = plan(*words, "--out", out, "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def made_of(task_id, case, run_id, **fields):
    """A made result that says it is of a task."""
    version = fields.pop("version", __version__)
    made = replace(MADE, run_id=run_id, task=task_id, clipbench=replace(MADE.clipbench, version=version), **fields)
    return replace(made, config=case.to_dict(), config_sha256=case.sha256(), seed=case.seed)


@pytest.fixture
def made(place):
    """Writes a made result of task number ``index`` of a plan of three repeats of the quickstart."""
    words = ["quickstart", *(word for change in CHANGES for word in ("--set", change)), "--repeats", "3"]
    planned = make_tasks(Request(["quickstart"], CHANGES, repeats=3))

    def write(index, run_id, folder=None, **fields):
        task = planned[index]
        return write_result(folder or place / "results" / task.id, made_of(task.id, task.task.case, run_id, **fields))

    write.words, write.ids = words, [task.id for task in planned]
    return write


def test_a_plan_has_every_seed_repeat_and_device_of_every_case(place, monkeypatch):
    monkeypatch.delenv("CLIPBENCH_DATA", raising=False)
    rows = tasks("quickstart", "flickr8k_smoke", "--seeds", 2, "--repeats", 3, "--devices", "cpu,cuda")["tasks"]
    assert len(rows) == 2 * 2 * 3 * 2 and len({row["id"] for row in rows}) == len(rows)
    assert {row["seed"] for row in rows if row["suite"] == "quickstart"} == {0, 1}
    first = rows[0]
    assert (first["case"], first["device"], first["repeat"], first["steps"]) == ("quickstart", "cpu", 1, 320)
    assert first["seconds"] is None and first["result"] is None  # nothing is known, and nothing is made up
    assert first["command"][:2] == ["clipbench", "run"] and first["command"][-1] == f"results/{first['id']}"
    # Of data that is not here, the steps are not known.
    assert {row["steps"] for row in rows if row["suite"] == "flickr8k_smoke"} == {None}


def test_shards_are_the_plan_whatever_has_been_run(made):
    made(0, "run-1")
    parts = [tasks(*made.words, "--shard", f"{part}/2")["tasks"] for part in (1, 2)]
    assert [[row["id"] for row in part] for part in parts] == [[made.ids[0], made.ids[2]], [made.ids[1]]]


def test_a_task_with_a_valid_result_is_not_emitted_again(made):
    path = made(1, "run-1")
    rows = tasks(*made.words)["tasks"]
    assert [row["result"] for row in rows] == [None, str(path.relative_to(path.parents[2])), None]
    lines = plan(*made.words, "--emit", "shell").stdout.splitlines()
    assert [line.split()[-1] for line in lines] == [f"results/{made.ids[0]}", f"results/{made.ids[2]}"]
    assert len(plan(*made.words, "--emit", "shell", "--all").stdout.splitlines()) == 3


def test_the_time_is_of_earlier_results_on_the_device_and_else_unknown(made):
    made(0, "run-1")
    rows = tasks(*made.words, "--seeds", 2)["tasks"]
    assert {row["seconds"] for row in rows} == {300.0}  # of another seed, too
    assert {row["seconds_of"] for row in rows} == {"1 result on Card 1"}
    assert {row["seconds"] for row in tasks("quickstart")["tasks"]} == {None}  # another number of epochs
    text = plan(*made.words).stdout
    assert "3 tasks, 1 with a result, 2 to run; one after another they take about 10 min" in text


def test_interrupted_failed_and_older_results_are_run_again_and_versions_are_named(made):
    made(0, "run-1", version="0.1.9")
    made(1, "run-2", status="interrupted", error=CaseError("Interrupted", "stopped by SIGTERM", 143))
    rows = tasks(*made.words)
    assert [row["result"] for row in rows["tasks"]] == [None, None, None]
    assert any(f"1 result is of clipbench 0.1.9; this is {__version__}" in text for text in rows["problems"])


def test_half_a_file_a_false_id_and_two_contents_are_named_and_the_rest_counts(made, place):
    half = made(0, "run-1")
    half.write_text(half.read_text()[:5000])
    other = load_suite(find_suite("quickstart"), ["train.lr=0.1", *CHANGES]).cases[0]
    lying = write_result(place / "results" / "x", made_of(made.ids[0], other, "run-2"))
    made(1, "run-3")
    made(1, "run-3", folder=place / "results" / "y", ended="2026-01-01T00:06:00Z")
    made(2, "run-4")
    done = plan(*made.words, "--format", "json")
    data = json.loads(done.stdout)
    assert [row["result"] is not None for row in data["tasks"]] == [False, True, True]
    problems = "\n".join(data["problems"])
    assert f"{half.relative_to(place)}: not valid JSON" in problems
    assert f"{lying.relative_to(place)}: says that it is of the task {made.ids[0]}, and is of another case" in problems
    assert "the run run-3 is also in" in problems and len(data["problems"]) == 3
    assert all(f"warning: {problem}" in done.stderr for problem in data["problems"])


def test_a_folder_that_a_running_task_removes_meanwhile_ends_nothing(made, monkeypatch):
    """The folder of a run is removed when it completes: what is hidden is not even looked into."""
    path = made(0, "run-1")
    for name in (".work", "gone"):
        (path.parent / name).mkdir()
    (path.parent / ".work" / "half.json").write_text("{")
    listing = os.scandir

    def scandir(folder):
        assert ".work" not in str(folder)
        if str(folder).endswith("gone"):
            raise FileNotFoundError(2, "No such file or directory", str(folder))
        return listing(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    data = tasks(*made.words)
    assert data["problems"] == [] and data["tasks"][0]["result"] is not None


def test_a_plan_from_the_index_is_that_from_the_files_and_what_has_changed_is_read_again(made, place, monkeypatch):
    """With results of a run that was resumed, of another seed, of a failure, of no task, and half a file."""
    monkeypatch.setenv("CLIPBENCH_CACHE", str(place / "cache"))
    half, changing = made(0, "run-1"), made(1, "run-2", status="failed", error=CaseError("Error", "it broke", 4))
    half.write_text(half.read_text()[:5000])
    made(2, "run-3", attempts=(Attempt(MADE.started, 0, 0), Attempt(MADE.started, 1, 0)))
    write_result(place / "results", replace(made_result("run-4", seed=3), started="2026-01-01T00:02:00Z"))
    for path in place.glob("results/**/*.json"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # those of this moment are not remembered
    plain = tasks(*made.words)
    assert [row["result"] is not None for row in plain["tasks"]] == [False, False, True] and len(plain["problems"]) == 2
    monkeypatch.setattr(collecting, "LEAST_FILES", 1)
    assert tasks(*made.words) == plain
    read, read_one = [], reading._read
    monkeypatch.setattr(reading, "_read", lambda path: read.append(Path(path).name) or read_one(path))
    assert tasks(*made.words) == plain and read == [half.name]
    made(1, "run-2")
    assert tasks(*made.words)["tasks"][1]["result"] == str(changing.relative_to(place))
    assert read[1:] == [half.name, changing.name]


def test_several_results_of_one_task_and_hosts_with_one_name_are_named(made, place):
    made(0, "run-1")
    made(0, "run-2")
    problems = tasks(*made.words)["problems"]
    assert any(f"the task {made.ids[0]} has 2 results" in problem for problem in problems)
    environment = {**MADE.environment, "host": {"name": "node", "machine": "0" * 16}}
    twin = {**MADE.environment, "host": {"name": "node", "machine": "1" * 16}}
    made(1, "run-3", environment=environment)
    made(2, "run-4", environment=twin)
    assert any("2 machines call themselves node" in problem for problem in tasks(*made.words)["problems"])


@pytest.mark.parametrize(
    "words, part",
    [
        (["quickstart", "quickstart"], "is also one of quickstart"),
        (["quickstart", "--devices", "cpu,cpu"], "name each suite and device once"),
        (["quickstart", "--devices", "cpuu"], "did you mean 'cpu'?"),
        (["quickstart", "--shard", "3/2"], "--shard 3/2: expected K/N"),
        (["quickstart", "--repeats", "0"], "0 is not in the range"),
        (["quickstart", "--seeds", "400", "--repeats", "400"], "more than 100,000 tasks"),
        (["quickstart", "--case", "quickstart-cpu-s0-r1-0123456789"], "has this id"),
        (["nowhere"], "nowhere: no such file"),
        (["quickstart", "--image", "x"], "only --emit kubernetes has an image"),
    ],
)
def test_what_cannot_be_planned_is_named(place, words, part):
    done = plan(*words)
    assert done.exit_code == 2 and part in done.output and "Traceback" not in done.output


def test_a_matrix_and_an_option_do_not_vary_one_thing(suite, place, monkeypatch):
    path = suite(matrix={"seed": [1, 2], "precision": ["float32", "bfloat16"]})
    done = clipbench("plan", path, "--seeds", 2, cwd=place)
    assert done.returncode == 2 and "the matrix of" in done.stderr and "has 'seed' already" in done.stderr
    done = clipbench("plan", path, "--repeats", 2, "--format", "json", cwd=place)
    rows = json.loads(done.stdout)["tasks"]
    assert len(rows) == 8 and {row["steps"] for row in rows} == {15}


def test_ids_that_clash_are_refused_by_name(place, monkeypatch):
    monkeypatch.setattr("clipbench.suites.tasks.HASH_DIGITS", 0)
    for name, rate in (("a", "0.1"), ("b", "0.2")):
        (place / f"{name}.yaml").write_text(
            f"name: one\nmodel: {{name: clip-tiny}}\ndataset: {{name: shapes}}\ntrain: {{lr: {rate}}}\n"
        )
    done = plan("a.yaml", "b.yaml")
    assert done.exit_code == 2 and "as the case one of a.yaml; give one of the two suites another name" in done.output


def test_a_task_is_run_by_its_id_and_its_result_says_so(suite, place):
    path = suite()
    planned = json.loads(clipbench("plan", path, "--seeds", 2, "--repeats", 2, "--format", "json", cwd=place).stdout)
    last = planned["tasks"][-1]
    done = clipbench(*last["command"][1:], cwd=place)
    assert done.returncode == 0, done.stderr
    (file,) = (place / "results" / last["id"]).glob("*.json")
    result = json.loads(file.read_text())
    assert (result["task"], result["seed"]) == (last["id"], 1)
    again = json.loads(clipbench("plan", path, "--seeds", 2, "--repeats", 2, "--format", "json", cwd=place).stdout)
    assert [row["result"] is None for row in again["tasks"]] == [True, True, True, False]
    assert all(row["seconds"] > 0 for row in again["tasks"])
    assert clipbench("run", path, cwd=place).returncode == 0
    assert [result.task for result in results(place)] == [None]


def test_an_id_of_no_suite_and_an_option_against_it_are_refused(suite, place):
    path = suite()
    unknown = clipbench("run", path, "--case", "flat-auto-s0-r1-0123456789", cwd=place)
    assert unknown.returncode == 2 and "no task of" in unknown.stderr and not (place / "results").exists()
    planned = json.loads(clipbench("plan", path, "--format", "json", cwd=place).stdout)["tasks"][0]["id"]
    against = clipbench("run", path, "--case", planned, "--seed", 5, cwd=place)
    assert against.returncode == 2 and f"--seed 5: the task {planned} has its own seed" in against.stderr


def test_a_stored_result_keeps_its_task():
    assert result_data(changed(MADE, "task", "quickstart-auto-s0-r1-0123456789"))["task"].startswith("quickstart-")

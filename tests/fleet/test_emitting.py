"""What `clipbench plan --emit` prints is what each engine takes, by its schema or its parser, and runs the tasks."""

import json
import os
import shlex
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from clipbench.cli import main
from clipbench.fleet import emitting
from clipbench.fleet.planning import Request, make_tasks

# The oldest Kubernetes on which a job's retries are counted by index, and the newest that the schemas have.
KUBERNETES = ("1.33", kubernetes_validate.latest_version())
WORKFLOW = {
    "on": "push",
    "jobs": {"tasks": {"runs-on": "ubuntu-latest", "strategy": None, "steps": [{"run": "true"}]}},
}


def emit(engine, *words):
    done = CliRunner().invoke(main, ["plan", "quickstart", "--emit", engine, *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


def check_schema(name, path):
    """Check a file by the schema that its engine publishes."""
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{name}", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def planned(count):
    return make_tasks(Request(["quickstart"], repeats=count))


def test_the_matrix_of_github_is_one_line_that_a_workflow_takes(place):
    text = emit("github", "--repeats", 2, "--set", "train.batch_size=25")
    assert text.count("\n") == 1
    matrix = json.loads(text)
    (place / "w.yml").write_text(
        yaml.safe_dump({**WORKFLOW, "jobs": {"t": {**WORKFLOW["jobs"]["tasks"], "strategy": {"matrix": matrix}}}})
    )
    assert check_schema("github-workflows", place / "w.yml") == (0, "ok -- validation done\n")
    for job in matrix["include"]:
        words = shlex.split(job["command"])
        assert words[:2] == ["clipbench", "run"] and words[words.index("--case") + 1] == job["id"]
        assert words[-1] == job["folder"] == f"results/{job['id']}"


def test_a_check_of_these_can_fail(place):
    (place / "w.yml").write_text(yaml.safe_dump({"on": "push", "jobs": {"t": {"runs-on": 7, "stepz": []}}}))
    assert check_schema("github-workflows", place / "w.yml")[0] == 1
    (place / "g.yml").write_text(yaml.safe_dump({"job": {"script": 7}}))
    assert check_schema("gitlab-ci", place / "g.yml")[0] == 1
    _, job = yaml.safe_load_all(emitting.kubernetes(planned(1), place))
    job["spec"]["completionMod"] = job["spec"].pop("completionMode")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, KUBERNETES[0], strict=True)


def test_more_jobs_than_a_matrix_has_are_refused_with_the_shards(place):
    done = CliRunner().invoke(main, ["plan", "quickstart", "--emit", "github", "--repeats", "257"])
    assert done.exit_code == 2 and "at most 256 jobs: plan shards, such as --shard 1/2" in done.output
    assert len(json.loads(emit("github", "--repeats", 257, "--shard", "1/2"))["include"]) == 129


def test_the_child_pipeline_of_gitlab_is_valid_also_with_nothing_to_run(place):
    for text in (emit("gitlab", "--repeats", 2), emitting.gitlab([], place)):
        (place / "g.yml").write_text(text)
        assert check_schema("gitlab-ci", place / "g.yml") == (0, "ok -- validation done\n")
    pipeline = yaml.safe_load(emit("gitlab", "--repeats", 2))
    for task in planned(2):
        job = pipeline[task.id]
        assert job["stage"] == "tasks" and pipeline["collect"]["stage"] == "collect"
        assert job["script"] == [task.line(emitting.Path("results"))] and job["artifacts"]["paths"] == [
            f"results/{task.id}"
        ]


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_job_of_kubernetes_is_valid_by_the_schemas_of_its_api(place, version):
    config_map, job = yaml.safe_load_all(emit("kubernetes", "--repeats", 3, "--image", "registry/clipbench:1"))
    for document in (config_map, job):
        kubernetes_validate.validate(document, version, strict=True)
    assert job["spec"]["completions"] == 3
    assert job["metadata"]["name"] == config_map["metadata"]["name"]
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "registry/clipbench:1"


def test_a_pod_runs_the_command_of_its_index(place):
    """The command of the container, in a shell, with the folder of the ConfigMap put elsewhere."""
    config_map, job = yaml.safe_load_all(emit("kubernetes", "--repeats", 3))
    (place / "commands").write_text(config_map["data"]["commands"])
    shim = place / "clipbench"
    shim.write_text('#!/bin/sh\necho "$$ $@"\n')
    shim.chmod(0o755)
    *shell, line = job["spec"]["template"]["spec"]["containers"][0]["command"]
    line = line.replace("/plan/", f"{place}/")
    for index, task in enumerate(planned(3)):
        environment = {**os.environ, "PATH": f"{place}:{os.environ['PATH']}", "JOB_COMPLETION_INDEX": str(index)}
        process = subprocess.Popen([*shell, line], env=environment, stdout=subprocess.PIPE, text=True)
        output, _ = process.communicate(timeout=30)
        # By exec, so that the SIGTERM of an eviction comes to the command.
        assert output.split() == [str(process.pid), *task.command(emitting.Path("results"))[1:]]


def test_commands_that_no_config_map_holds_are_refused(place):
    done = CliRunner().invoke(main, ["plan", "quickstart", "--emit", "kubernetes", "--repeats", "9000"])
    assert done.exit_code == 2 and "plan shards, such as --shard 1/" in done.output


def test_a_line_of_the_shell_is_one_command_whatever_is_in_it(place):
    text = emit("shell", "--set", "dataset.options.train_images=4000", "--out", "my results; rm -rf $HOME")
    (line,) = text.splitlines()
    words = shlex.split(line)
    assert words[-1].startswith("my results; rm -rf $HOME/quickstart-") and len(words) == 9

"""The examples of docs/fleet.md, in both languages: valid by their engines' schemas, and their lines run as written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from benchmarks import index, sick_nodes, tables
from tests.docs.test_ci import ENGINE, SUITE
from tests.fleet.test_emitting import check_schema

TOP = Path(__file__).parents[2]
PAGES = [(TOP / "docs" / name).read_text(encoding="utf-8") for name in ("fleet.md", "fleet.zh-CN.md")]
MEASURED = TOP / "benchmarks" / "results"
MARKED = r"^<!-- fleet: (\w+) -->\n```\w+\n(.*?)^```"
BLOCKS, CHINESE = (dict(re.findall(MARKED, page, re.M | re.S)) for page in PAGES)


class Machine:
    """A folder with ``clipbench`` on its PATH, and a small suite."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "bin").mkdir()
        shim = folder / "bin" / "clipbench"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m clipbench "$@"\n')
        shim.chmod(0o755)
        (folder / "flat.yaml").write_text(json.dumps({**SUITE, "reference": None}))

    def bash(self, lines, **variables):
        environment = {
            **os.environ,
            **variables,
            **{"SUITE": "flat.yaml", "CI": "true", "XDG_CACHE_HOME": str(self.folder / "cache")},
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ENGINE), os.environ.get("PYTHONPATH", "")]),
        }
        return subprocess.run(
            ["bash", "-e", "-c", lines], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
        )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_both_pages_have_the_same_examples():
    def without_remarks(blocks):
        return {name: re.sub(r"\s+#.*", "", block) for name, block in blocks.items()}

    assert without_remarks(BLOCKS) == without_remarks(CHINESE) and len(BLOCKS) == 6


def test_both_pages_have_the_measured_costs():
    head, _, *rows = tables.fleet().splitlines()
    assert head in PAGES[0] and len(rows) == 4
    for page in PAGES:
        assert "\n".join(rows) in page, "replace the table by what python -m benchmarks.tables prints"


@pytest.mark.parametrize("name, schema", [("github", "github-workflows"), ("gitlab", "gitlab-ci")])
def test_an_example_is_valid_by_the_schema_of_its_engine(tmp_path, name, schema):
    (tmp_path / "file.yml").write_text(BLOCKS[name])
    assert check_schema(schema, tmp_path / "file.yml") == (0, "ok -- validation done\n")


@pytest.mark.slow
def test_the_workflow_of_github_plans_runs_and_collects(machine):
    jobs = yaml.safe_load(BLOCKS["github"])["jobs"]
    output = machine.folder / "output"
    (plan,) = [step["run"] for step in jobs["plan"]["steps"] if "run" in step]
    planned = machine.bash(plan, GITHUB_OUTPUT=str(output))
    assert planned.returncode == 0, planned.stderr
    matrix = json.loads(output.read_text().removeprefix("matrix="))
    assert len(matrix["include"]) == 3
    # What a job of the matrix is named by, it has.
    for name in re.findall(r"\$\{\{ matrix\.(\w+) \}\}", BLOCKS["github"]):
        assert all(name in job for job in matrix["include"])
    command = "".join(step.get("run", "") for step in jobs["task"]["steps"])
    for job in matrix["include"][:2]:
        done = machine.bash(command, COMMAND=job["command"])
        assert done.returncode == 0, done.stderr
        assert list((machine.folder / job["folder"]).glob("*.json"))
    collect = next(step["run"] for step in jobs["judge"]["steps"] if "collect" in step.get("run", ""))
    done = machine.bash(collect)
    assert done.returncode == 0 and "2 results copied to collected" in done.stdout
    again = machine.bash(plan, GITHUB_OUTPUT=str(output))
    assert again.returncode == 0
    assert len(json.loads(output.read_text().splitlines()[-1].removeprefix("matrix="))["include"]) == 1
    empty = machine.bash('clipbench plan "$SUITE" --repeats 2 --emit github').stdout.strip()
    assert f"needs.plan.outputs.matrix != '{empty}'" in BLOCKS["github"]


def test_the_pipeline_of_gitlab_writes_the_child_that_it_triggers(machine):
    parent = yaml.safe_load(BLOCKS["gitlab"])
    done = machine.bash("\n".join(parent["plan"]["script"]))
    assert done.returncode == 0, done.stderr
    (include,) = parent["tasks"]["trigger"]["include"]
    assert include["artifact"] in parent["plan"]["artifacts"]["paths"]
    child = yaml.safe_load((machine.folder / include["artifact"]).read_text())
    assert set(parent["tasks"]["variables"]) == set(child["variables"])
    assert len([job for job in child.values() if isinstance(job, dict) and job.get("stage") == "tasks"]) == 3
    (machine.folder / "results").mkdir()
    collected = machine.bash("\n".join(child["collect"]["script"]))
    assert collected.returncode == 0, collected.stderr


def test_what_kubernetes_gets_is_valid_with_the_patch_of_the_page(machine):
    lines = BLOCKS["kubernetes"].splitlines()
    done = machine.bash(lines[0], IMAGE="registry/clipbench:1")
    assert done.returncode == 0, done.stderr
    kustomization = yaml.safe_load(BLOCKS["kustomization"])
    (patch,) = kustomization["patches"]
    config_map, job = yaml.safe_load_all((machine.folder / kustomization["resources"][0]).read_text())
    (change,) = yaml.safe_load(patch["patch"])
    assert (job["kind"], change["op"]) == (patch["target"]["kind"], "add")
    *path, last = change["path"].split("/")[1:]
    place = job
    for part in path:
        place = place[int(part) if isinstance(place, list) else part]
    assert last not in place
    place[last] = change["value"]
    claim = yaml.safe_load(BLOCKS["claim"])
    for document in (config_map, job, claim):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    (claims,) = [v["persistentVolumeClaim"] for v in job["spec"]["template"]["spec"]["volumes"] if "configMap" not in v]
    assert claims["claimName"] == claim["metadata"]["name"]
    key, value = re.search(r"-l (\w+)=(\w+)", BLOCKS["kubernetes"]).groups()
    assert job["metadata"]["labels"][key] == value


@pytest.mark.parametrize("text", PAGES, ids=["English", "Chinese"])
def test_the_page_has_what_was_simulated(text):
    assert sick_nodes.table(MEASURED / "sick_nodes.json") in text


@pytest.mark.parametrize("text", PAGES, ids=["English", "Chinese"])
def test_the_page_has_what_the_index_costs(text):
    assert index.table(MEASURED / "index.json") in text


def test_both_pages_have_the_same_sections_and_commands():
    one, other = PAGES
    for pattern in (r"^#+ ", r"^```\w*", r"^clipbench ", r"`benchmarks/[\w/.]+`"):
        assert len(re.findall(pattern, one, re.M)) == len(re.findall(pattern, other, re.M)) > 0


def test_healthy_fleets_of_a_thousand_nodes_raise_less_than_one_alarm_in_a_hundred_and_a_slow_node_is_found():
    rows = json.loads((MEASURED / "sick_nodes.json").read_text(encoding="utf-8"))["rows"]
    normal = [row for row in rows if not row["tails"]]
    assert all(share["false_alarm"] < 0.01 for row in normal for share in row["least"].values())
    promised = ("5 % slow, windows noisy by 2 %, 40 a run", "5 % slow, runs noisy by 2 %, 12 runs")
    found = {row["fleet"]: row["least"]["default"]["found"] for row in rows}
    assert all(found[name] >= 0.99 for name in promised)

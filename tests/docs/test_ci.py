"""Run the jobs of docs/ci.md as they are written there, in bash, with their variables set to a small suite."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lxml import etree

from clipbench.clip import vocabularies

TOP = Path(__file__).parents[2]
ENGINE = TOP / "tests" / "support" / "numpy_engine"
PAGE = (TOP / "docs" / "ci.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^<!-- ci: (\w+) -->\n```\w+\n(.*?)^```", PAGE, re.M | re.S))
JUNIT = etree.XMLSchema(etree.parse(TOP / "tests" / "support" / "junit.xsd"))


def github():
    """Return the variables, and (lines, whether they run after a failure) for each step."""
    (job,) = yaml.safe_load(BLOCKS["github"])["jobs"].values()
    return job["env"], [(step["run"], "cancelled()" in step.get("if", "")) for step in job["steps"] if "run" in step]


def gitlab():
    job = yaml.safe_load(BLOCKS["gitlab"])["clip"]
    return job["variables"], [("\n".join(job["script"]), False)]


def jenkins():
    variables = dict(re.findall(r"^    (\w+) = '(.*?)'$", BLOCKS["jenkins"], re.M))
    return variables, [(lines, False) for lines in re.findall(r"sh '''\n(.*?)'''", BLOCKS["jenkins"], re.S)]


JOBS = {"github": github, "gitlab": gitlab, "jenkins": jenkins}


class Machine:
    """A CI runner's workspace: ``clipbench`` on the PATH, a small suite and its reference."""

    def __init__(self, folder, recall, tolerance):
        self.folder, self.summary = folder, folder / "summary.md"
        (folder / "bin").mkdir()
        shim = folder / "bin" / "clipbench"
        # The page's suites have references that ship; this one's is in a folder beside the results.
        shim.write_text(
            f'#!/bin/sh\n[ "$1" = compare ] && set -- "$@" --references "{folder}/references"\n'
            f'exec "{sys.executable}" -m clipbench "$@"\n'
        )
        shim.chmod(0o755)
        (folder / "flat.yaml").write_text(json.dumps(SUITE))  # JSON is YAML
        metric = {"value": recall, "unit": "percent", "direction": "higher", "tolerance": {"absolute": tolerance}}
        nothing = dict.fromkeys(("date", "device", "precision", "batch_size", "epochs"))
        reference = {
            "kind": "clipbench.reference",
            "schema_version": 1,
            "name": "figures",
            "summary": "",
            "source": "a test",
        }
        (folder / "references").mkdir()
        (folder / "references" / "figures.json").write_text(
            json.dumps({**reference, **nothing, "metrics": {"recall_mean": metric}})
        )

    def bash(self, lines, **variables):
        environment = {
            **os.environ,
            **variables,
            # The suite, and a minimum effect that two runs of milliseconds never reach.
            **{"SUITE": "flat.yaml", "LEAST_SPEED": "99", "CI": "true", "GITHUB_STEP_SUMMARY": str(self.summary)},
            **{"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(self.folder / "cache")},
            "PYTHONPATH": os.pathsep.join([str(ENGINE), os.environ.get("PYTHONPATH", "")]),
        }
        return subprocess.run(
            ["bash", "-e", "-c", lines], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
        )

    def job(self, name, **variables):
        """Return the exit codes of the steps that ran, and their output; the first failure's code is the job's."""
        values, steps = JOBS[name]()
        codes, output = [], ""
        for lines, after_failure in steps:
            if not any(codes) or after_failure:
                done = self.bash(lines, **{key: str(value) for key, value in values.items()}, **variables)
                codes.append(done.returncode)
                output += done.stdout + done.stderr
        return codes, output

    def report(self):
        root = etree.parse(self.folder / "reports" / "clipbench.xml").getroot()
        JUNIT.assertValid(root)
        return root


SUITE = {
    "name": "flat",
    "reference": "figures",
    "engine": "numpy",
    "model": {"name": "linear", "vocabulary": str(Path(vocabularies.__path__[0]) / "clip-tiny.txt.gz")},
    "dataset": {"name": "shapes", "options": {"train_images": 40, "val_images": 12}},
    "train": {
        **{"epochs": 2, "batch_size": 8, "lr": 0.2, "augment": "none"},
        "schedule": {"peak_limits": None, "floor_limits": None},
    },
    "timing": {"warmup_steps": 2, "window_steps": 2},
}


@pytest.fixture(scope="module")
def baselines(tmp_path_factory):
    """Return the folder of baselines that the page's lines for a first run write, to be committed."""
    first = Machine(tmp_path_factory.mktemp("first"), recall=50, tolerance=60)
    done = first.bash(BLOCKS["baseline"])
    assert done.returncode == 0, done.stdout + done.stderr
    (_,) = (first.folder / "results" / "baseline").glob("*.json")
    return first.folder / "results" / "baseline"


@pytest.fixture
def machine(tmp_path, baselines):
    def make(recall, tolerance):
        shutil.copytree(baselines, tmp_path / "results" / "baseline")
        return Machine(tmp_path, recall, tolerance)

    return make


@pytest.mark.parametrize("name", JOBS)
def test_a_passing_job_writes_its_reports(machine, name):
    here = machine(recall=50, tolerance=60)
    codes, output = here.job(name)
    assert not any(codes), output
    assert "exit code 0" in output
    assert list(here.folder.glob("out/flat-*/events.jsonl"))
    root = here.report()
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    # Compared with both: the published figure and the earlier run.
    against = {value.get("value") for value in root.iterfind(".//property[@name='against']")}
    assert "figures" in against and len(against) == 2
    if name == "github":
        assert "\n::notice title=clipbench compare::" in output
        assert here.summary.read_text().startswith("### ✅")
    else:
        assert (here.folder / "reports" / "clipbench.md").read_text().startswith("### ✅")


@pytest.mark.parametrize("name", JOBS)
def test_a_job_fails_with_the_gate_and_writes_its_reports(machine, name):
    here = machine(recall=100, tolerance=0.001)
    codes, output = here.job(name)
    assert codes[-1] == 1 and "exit code 1" in output
    root = here.report()
    assert [case.getparent().get("name") for case in root.iter("failure")] == ["result", "recall_mean"]
    if name == "github":
        assert "\n::error title=flat-" in output and here.summary.read_text().startswith("### ❌")


@pytest.mark.parametrize("name", JOBS)
def test_the_reports_give_the_reason_of_a_failed_run(machine, name):
    here = machine(recall=50, tolerance=60)
    codes, output = here.job(name, CLIPBENCH_NUMPY_FAULT="raise")
    assert codes[-1] == 4 and "exit code 4" in output
    assert any("beads are stuck" in error.get("message") for error in here.report().iter("error"))


def test_every_job_uses_the_variables_and_options_of_the_page():
    for name, read in JOBS.items():
        variables, steps = read()
        lines = "".join(lines for lines, _ in steps)
        assert set(re.findall(r'"\$(\w+)"', lines)) - {"GITHUB_STEP_SUMMARY"} == set(variables), name
        for word in ("--baseline", "--format table", "--format junit=", "--format markdown="):
            assert word in lines
    assert "clipbench compare" in BLOCKS["github"] and "--format github" in BLOCKS["github"]


def test_a_job_collects_the_files_that_its_lines_write():
    job = yaml.safe_load(BLOCKS["gitlab"])["clip"]
    assert job["artifacts"]["reports"]["junit"] == "reports/clipbench.xml"
    assert "junit 'reports/clipbench.xml'" in BLOCKS["jenkins"]
    (upload,) = [step for step in yaml.safe_load(BLOCKS["github"])["jobs"]["clip"]["steps"] if "with" in step]
    assert upload["with"]["path"].split() == ["out", "reports"] and "cancelled()" in upload["if"]

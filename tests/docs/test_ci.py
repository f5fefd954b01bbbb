"""The jobs of docs/ci.md, run as they stand there: their lines in bash, their variables set to a small suite."""

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
JUNIT = etree.XMLSchema(etree.parse(TOP / "tests" / "report" / "junit.xsd"))


def github():
    """(variables, [(lines, whether they run after a failure)])."""
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
    """A checkout on a runner: a workspace, ``clipbench`` on the PATH, a small suite with a reference."""

    def __init__(self, folder, recall, tolerance):
        self.folder, self.summary = folder, folder / "summary.md"
        (folder / "bin").mkdir()
        shim = folder / "bin" / "clipbench"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m clipbench "$@"\n')
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
        (folder / "out").mkdir()
        (folder / "out" / "figures.json").write_text(
            json.dumps({**reference, **nothing, "metrics": {"recall_mean": metric}})
        )

    def bash(self, lines, **variables):
        environment = {
            **os.environ,
            **variables,
            # What a machine's owner sets: the suite, and that two runs of milliseconds never differ enough in speed.
            **{"SUITE": "flat.yaml", "LEAST_SPEED": "99", "CI": "true", "GITHUB_STEP_SUMMARY": str(self.summary)},
            **{"PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(self.folder / "cache")},
            "PYTHONPATH": os.pathsep.join(
                [str(TOP / "tests" / "support" / "numpy_engine"), os.environ.get("PYTHONPATH", "")]
            ),
        }
        return subprocess.run(
            ["bash", "-e", "-c", lines], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120
        )

    def job(self, name, **variables):
        """Exit codes of the steps that ran, the first failure's being the job's, and all that they said."""
        values, steps = JOBS[name]()
        codes, said = [], ""
        for lines, after_failure in steps:
            if not any(codes) or after_failure:
                done = self.bash(lines, **{key: str(value) for key, value in values.items()}, **variables)
                codes.append(done.returncode)
                said += done.stdout + done.stderr
        return codes, said

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
    """The folder that the page's lines for a first run leave, to be committed."""
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
def test_a_job_passes_and_leaves_its_reports(machine, name):
    here = machine(recall=50, tolerance=60)
    codes, said = here.job(name)
    assert not any(codes), said
    assert "exit code 0" in said
    assert list(here.folder.glob("out/flat-*/events.jsonl"))
    root = here.report()
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    # Held against both: the published figure, and the run before.
    against = {value.get("value") for value in root.iterfind(".//property[@name='against']")}
    assert "figures" in against and len(against) == 2
    if name == "github":
        assert "\n::notice title=clipbench compare::" in said
        assert here.summary.read_text().startswith("### ✅")
    else:
        assert (here.folder / "reports" / "clipbench.md").read_text().startswith("### ✅")


@pytest.mark.parametrize("name", JOBS)
def test_a_job_fails_when_the_gate_does_and_leaves_its_reports(machine, name):
    here = machine(recall=100, tolerance=0.001)
    codes, said = here.job(name)
    assert codes[-1] == 1 and "exit code 1" in said
    root = here.report()
    assert [case.getparent().get("name") for case in root.iter("failure")] == ["recall_mean"]
    if name == "github":
        assert "\n::error title=flat-" in said and here.summary.read_text().startswith("### ❌")


@pytest.mark.parametrize("name", JOBS)
def test_a_run_that_broke_is_in_the_reports_with_its_reason(machine, name):
    here = machine(recall=50, tolerance=60)
    codes, said = here.job(name, CLIPBENCH_NUMPY_FAULT="raise")
    assert codes[-1] == 4 and "exit code 4" in said
    assert any("beads are stuck" in error.get("message") for error in here.report().iter("error"))


def test_every_job_uses_what_the_page_says():
    for name, read in JOBS.items():
        variables, steps = read()
        lines = "".join(lines for lines, _ in steps)
        assert set(re.findall(r'"\$(\w+)"', lines)) - {"GITHUB_STEP_SUMMARY"} == set(variables), name
        for word in ("--baseline", "--format table", "--format junit=", "--format markdown="):
            assert word in lines
    assert "clipbench compare" in BLOCKS["github"] and "--format github" in BLOCKS["github"]


def test_what_a_job_collects_is_what_its_lines_write():
    job = yaml.safe_load(BLOCKS["gitlab"])["clip"]
    assert job["artifacts"]["reports"]["junit"] == "reports/clipbench.xml"
    assert "junit 'reports/clipbench.xml'" in BLOCKS["jenkins"]
    (upload,) = [step for step in yaml.safe_load(BLOCKS["github"])["jobs"]["clip"]["steps"] if "with" in step]
    assert upload["with"]["path"].split() == ["out", "reports"] and "cancelled()" in upload["if"]

"""Folders of runs: records that cannot be read block no other run."""

import json

import pytest
from click.testing import CliRunner

from clipbench.cli import main
from clipbench.runs.folder import WORK, new_run_folder, unfinished
from clipbench.suites.loading import find_suite, load_suite

CASE = load_suite(find_suite("quickstart")).cases[0]


@pytest.mark.parametrize(
    "record",
    ["{}", "[]", "null", "{", '{"run_id": 5}', b"\xff", "MOVED"],
)
def test_a_record_that_is_none_is_named_and_leaves_the_other_runs_alone(tmp_path, record):
    whole = new_run_folder(tmp_path, CASE)
    (whole.checkpoints / "step-00000001").mkdir(parents=True)
    broken = tmp_path / WORK / "broken" / "run.json"
    broken.parent.mkdir()
    if record == "MOVED":  # a valid record in the folder of another run
        record = (whole.path / "run.json").read_text()
    broken.write_bytes(record if isinstance(record, bytes) else record.encode())
    found, problems = unfinished(tmp_path, CASE)
    assert found is not None and found.run_id == whole.run_id
    assert len(problems) == 1 and str(broken) in problems[0] and "remove it" in problems[0]
    done = CliRunner().invoke(main, ["runs", str(tmp_path)])
    assert done.exit_code == 3 and whole.run_id in done.output and str(broken) in done.output
    done = CliRunner().invoke(main, ["runs", str(tmp_path), "--format", "json"])
    assert len(json.loads(done.stdout)["problems"]) == 1


def test_a_run_that_was_set_aside_keeps_its_record(tmp_path):
    aside = new_run_folder(tmp_path, CASE).set_aside()
    assert unfinished(tmp_path, CASE) == (None, [])
    assert aside.name in CliRunner().invoke(main, ["runs", str(tmp_path)]).output

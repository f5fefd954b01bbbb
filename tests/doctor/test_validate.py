"""``clipbench validate``: a verdict for each file, and an exit code for all."""

import json

from click.testing import CliRunner

from clipbench.cli import main
from clipbench.suites.loading import find_suite
from tests.results.test_document import OLD
from tests.support.made_retrieved import write_with_retrieved
from tests.support.report_results import make_result


def invoke(*words):
    return CliRunner().invoke(main, list(map(str, words)))


def test_validate_takes_everything_that_ships():
    folder = find_suite("flickr8k_amp").parent
    assert invoke("validate", folder, folder.parent / "results" / "reference").exit_code == 0


def test_validate_names_each_refusal_and_its_cause(tmp_path):
    (tmp_path / "s.yaml").write_text("name: s\nmodel: {name: x}\ndataset: {name: y}\ntrane: {}\n")
    done = invoke("validate", tmp_path)
    assert done.exit_code == 2 and "did you mean 'train'" in done.stdout
    (tmp_path / "r.json").write_text("{}")
    done = invoke("validate", tmp_path, "--format", "json")
    verdicts = json.loads(done.stdout)
    assert done.exit_code == 3 and [verdict["ok"] for verdict in verdicts] == [False, False]
    (tmp_path / "empty").mkdir()
    assert invoke("validate", tmp_path / "empty").exit_code == 2


def test_a_verdict_says_what_a_file_is():
    suites = find_suite("quickstart").parent
    kinds = {
        suites / "quickstart.yaml": "suite",
        suites.parent / "results" / "reference" / "quickstart.json": "reference",
        OLD / "completed.json": "result",
        OLD / "baseline.json": "baseline",
    }
    verdicts = json.loads(invoke("validate", *kinds, "--format", "json").stdout)
    assert {verdict["path"]: verdict["kind"] for verdict in verdicts} == {str(path): kinds[path] for path in kinds}
    assert all(verdict["ok"] and verdict["exit_code"] == 0 and verdict["problem"] is None for verdict in verdicts)


def test_what_a_result_retrieved_is_checked_with_it_and_alone(tmp_path):
    result = write_with_retrieved(tmp_path, make_result(images=5))
    beside = tmp_path / f"{result.run_id}.retrieved.zip"
    assert invoke("validate", tmp_path).exit_code == 0 and invoke("validate", beside).exit_code == 0
    content = beside.read_bytes()
    beside.write_bytes(content[:-1])
    done = invoke("validate", tmp_path)
    assert done.exit_code == 3 and "not the file that its result names" in done.stdout
    assert invoke("validate", beside).exit_code == 3
    beside.unlink()
    done = invoke("validate", tmp_path)
    assert done.exit_code == 0 and f"{beside.name}, with what it retrieved, is not beside it" in done.stdout

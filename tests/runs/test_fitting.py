"""Weights that do not fit, and references that are not there, are found before anything runs: by --dry-run, by the
doctor, and by the run before its first case.
"""

import json

import pytest

from tests.support.numpy_runs import clipbench, results


@pytest.fixture
def weights(tmp_path):
    """Two files, of which the numpy engine takes the first."""
    good, bad = tmp_path / "good.pth", tmp_path / "bad.pth"
    good.write_bytes(b"beads and more")
    bad.write_bytes(b"squares")
    return good, bad


def test_a_dry_run_is_ready_only_with_weights_that_fit(suite, weights, tmp_path):
    good, bad = weights
    done = clipbench("run", suite(), "--dry-run", "--set", f"model.weights={good}", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.splitlines()[-1].startswith("ready")
    done = clipbench("run", suite(), "--dry-run", "--set", f"model.weights={bad}", cwd=tmp_path)
    assert done.returncode == 5 and "ready:" not in done.stdout
    assert "- weights that fit model linear\n" in done.stderr
    assert f"{bad} does not fit the model. Its beads are square." in done.stderr


def test_weights_of_a_later_case_are_checked_before_the_first_runs(suite, weights, tmp_path):
    path = suite(matrix={"model.weights": [str(file) for file in weights]})
    done = clipbench("run", path, cwd=tmp_path)
    assert done.returncode == 5 and "Its beads are square." in done.stderr
    assert not results(tmp_path)


def test_the_doctor_has_a_line_for_them(suite, weights, tmp_path):
    good, bad = weights
    path = suite(matrix={"model.weights": [str(good), str(bad)]}, reference="quickstrat")
    done = clipbench("doctor", path, "--format", "json", cwd=tmp_path)
    told = json.loads(done.stdout)["findings"]
    found = [finding for finding in told if finding["subject"] == "weights"]
    assert done.returncode == 5
    assert [(finding["level"], finding["detail"]) for finding in found] == [
        ("ok", str(good)),
        ("failure", f"{bad} does not fit the model. Its beads are square."),
    ]
    (reference,) = [finding for finding in told if finding["subject"] == "reference"]
    assert reference["level"] == "warning" and "did you mean 'quickstart'" in reference["detail"]


@pytest.mark.parametrize("words", [("--dry-run",), ("--max-steps", "1")])
def test_a_reference_that_is_not_there_is_told_before_the_run(suite, tmp_path, words):
    done = clipbench("run", suite(reference="quickstrat"), *words, cwd=tmp_path)
    assert done.returncode == 0
    first = next(line for line in done.stderr.splitlines() if "reference" in line)
    assert first.startswith("warning: reference: 'quickstrat' is none that ships") and "'quickstart'?" in first
    assert "reference" not in clipbench("run", suite(), "--dry-run", cwd=tmp_path).stderr

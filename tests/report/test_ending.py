"""What a run prints last: advice that works with the results that there are."""

from dataclasses import replace

import pytest

from clipbench.api import events
from clipbench.api.result import CaseError
from clipbench.files.bundled import bundled
from clipbench.report.running.ending import ending
from clipbench.results.result import build_result
from clipbench.runs.runner import Outcome
from clipbench.suites.loading import load_suite


@pytest.fixture
def outcome(tmp_path):
    """The outcome of a case of quickstart, with changes as for --set."""

    def make(*changes, run_id="run-1", status="completed", error=None):
        (case,) = load_suite(bundled("suites") / "quickstart.yaml", changes).cases
        built = events.LearnerBuilt({"name": case.model.name}, {}, 10, 10)
        result = build_result(case, run_id, "2026-01-01T00:00:00.000Z", [built], status, error)
        return Outcome(result, tmp_path / f"{run_id}.json", None)

    return make


def comparable(outcome, monkeypatch):
    """The outcome, with a reference whose conditions it meets."""
    from clipbench.results.references import shipped_references

    references = {name: replace(one, conditions={}) for name, one in shipped_references().items()}
    monkeypatch.setattr("clipbench.report.running.ending.shipped_references", lambda: references)
    return outcome


def test_a_result_that_can_be_compared_is_told_how(outcome, monkeypatch):
    done = comparable(outcome(), monkeypatch)
    assert ending([done]).splitlines() == [
        f"result: {done.path}",
        f"compare with the reference: clipbench compare {done.path}",
    ]


def test_a_result_that_the_reference_refuses_is_told_why_and_what_else(outcome):
    done = outcome("train.epochs=1")
    text = ending([done])
    assert "compare with the reference" not in text
    assert f"{done.path} cannot be compared with the reference quickstart: " in text
    assert f"clipbench baseline set {done.path} --reason TEXT" in text


def test_without_a_reference_the_advice_is_a_baseline(outcome):
    done = outcome("reference=null")
    assert ending([done]).splitlines()[1:] == [
        f"to compare later runs with this one: clipbench baseline set {done.path} --reason TEXT"
    ]


def test_a_case_that_failed_is_compared_with_nothing(outcome, monkeypatch):
    failed = outcome(run_id="run-2", status="failed", error=CaseError("RuntimeError", "it broke", 4))
    assert ending([failed]).splitlines() == [f"result: {failed.path}"]
    good = comparable(outcome(), monkeypatch)
    assert ending([failed, good]).splitlines()[-1] == f"compare with the reference: clipbench compare {good.path}"

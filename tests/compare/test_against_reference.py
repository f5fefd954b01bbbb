"""Verdicts: what passes, what fails, what cannot be said, and the exit code for all of it."""

import copy
import itertools
import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.compare.against_reference import Terms, compare_all, compare_result, find_reference, is_within
from clipbench.compare.verdicts import Comparison, ComparisonStatus, Judgement, VerdictStatus, comparison_data
from clipbench.errors import ExitCode, NotReadyError, UsageError
from clipbench.files import schemas
from clipbench.results.collect import collect
from clipbench.results.metrics import RECALL_NAMES
from clipbench.results.references import Conditions, Reference, ReferenceMetric
from clipbench.results.result import build_result, write_result
from clipbench.suites.loading import load_suite
from tests.support.made_results import made_result

RECALL = dict(zip(RECALL_NAMES, (85.0, 97.0, 99.0, 93.0, 71.0, 94.0, 97.0, 87.0, 90.0), strict=True))
SPLIT = {"images": 1000, "captions": 5000, "annotation_sha256": "0" * 64}
ENVIRONMENT = {
    "event": "environment",
    "environment": {
        "os": "Linux",
        "python": "3.11.0",
        "cpu": {"name": "a processor", "cores": 2},
        "device": {"kind": "cpu", "name": "a processor", "count": 1, "precision": "float32"},
        "packages": {},
        "plugins": {},
        "variables": {},
    },
}
INPUTS = {
    "event": "inputs",
    "dataset": {"name": "flickr8k", "train": {"split": "en_train", **SPLIT}, "val": {"split": "en_val", **SPLIT}},
    "weights": {"source": "weights.pth", "sha256": None},
    "text_truncated": 0,
}
STARTED = {"event": "started", "model": {}}
RECORD = {
    "epoch": 1,
    "steps": 10,
    "train_loss": 0.5,
    "val_loss": 0.6,
    "learning_rate": 1e-6,
    "recall": RECALL,
    "samples_per_second": 50.0,
    "data_wait": 0.0,
    "step_seconds": {"p50": 0.1},
    "windows": [],
    "peak_memory_bytes": 1,
    "host_memory_bytes": 1,
    "seconds": {"train": 1.0, "eval": 1.0},
    "reasons": {},
}
RANKS = {"event": "ranks", "ranks": {"epoch": 1, "text": [0], "image": [0]}}


@pytest.fixture(scope="session")
def case(tmp_path_factory):
    suite = tmp_path_factory.mktemp("suite") / "mine.yaml"
    suite.write_text("{name: mine, reference: figures, model: {name: clip-tiny}, dataset: {name: shapes}}")
    return load_suite(suite).cases[0]


@pytest.fixture(scope="session")
def make_result(case):
    def make(
        status="completed",
        events=(ENVIRONMENT, INPUTS, STARTED, {"event": "epoch", "record": RECORD}, RANKS),
        run_id="mine-1",
    ):
        error = {"type": "Error", "message": "it broke\nbadly", "exit_code": 4, "traceback": None}
        events = copy.deepcopy(list(events))
        made = build_result(
            case, run_id, "2025-01-01T00:00:00Z", events, status, None if status == "completed" else error
        )
        assert not list(schemas.problems("result", made))
        return made

    return make


@pytest.fixture
def result(make_result):
    return make_result()


def figure(value=90.0, tolerance=1.0, direction="higher", unit="percent", warn=None, better=None, **conditions):
    return ReferenceMetric(value, unit, direction, tolerance, Conditions(conditions), warn, better)


def exit_code(comparisons, problems=(), strict=False):
    return Judgement(tuple(comparisons), tuple(problems), strict).exit_code


def figures(metrics=None, conditions=None, name="figures", **others):
    metrics = {"recall_mean": figure()} if metrics is None else metrics
    return Reference(
        name,
        "",
        "a source",
        None,
        None,
        None,
        None,
        None,
        metrics,
        Conditions(conditions or {}),
        (),
        Path("figures.json"),
        **others,
    )


def verdict_of(comparison, metric="recall_mean"):
    (found,) = [verdict for verdict in comparison.verdicts if verdict.metric == metric]
    return found


def with_value(result, metric, **data):
    result["metrics"]["last"]["values"][metric].update(data)
    return result


SPEED_ON_SDAA = figure(9.82, 1.0, unit="pairs/s", **{"environment.device.kind": "sdaa", "config.train.batch_size": 16})


# --- one metric ---------------------------------------------------------------------------------------------------

numbers = st.floats(-1e6, 1e6)
directions = st.sampled_from(["higher", "lower"])


@given(value=numbers, tolerance=st.floats(0, 1e6), direction=directions, better=st.floats(0, 1e6))
def test_equal_or_better_is_within(value, tolerance, direction, better):
    published = figure(value, tolerance, direction)
    assert is_within(value, published)
    assert is_within(value + better if direction == "higher" else value - better, published)


@given(value=st.integers(0, 10_000), tolerance=st.integers(0, 500), direction=directions, more=st.integers(1, 500))
def test_up_to_the_tolerance_worse_is_within_and_a_hundredth_more_is_not(value, tolerance, direction, more):
    """In hundredths, as recalls are published, where binary fractions round either way."""
    sign = -1 if direction == "higher" else 1
    published = figure(value / 100, tolerance / 100, direction)
    assert is_within((value + sign * tolerance) / 100, published)
    assert not is_within((value + sign * (tolerance + more)) / 100, published)


@given(value=st.sampled_from([math.nan, math.inf, -math.inf]), direction=directions, tolerance=st.floats(0, 1e300))
def test_what_is_not_finite_is_never_within(value, direction, tolerance):
    assert not is_within(value, figure(90.0, tolerance, direction))


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_a_value_that_is_no_number_fails_its_gate(result, value, direction):
    with_value(result, "recall_mean", value=value, direction=direction)
    comparison = compare_result(result, figures({"recall_mean": figure(direction=direction)}))
    assert (comparison.status, verdict_of(comparison).status) == ("fail", "missing")
    assert exit_code([comparison]) == ExitCode.GATE_FAILED


def test_a_missing_metric_fails_its_gate_and_says_why(result):
    with_value(result, "val_loss", value=None, reason="the split is smaller than a batch")
    del result["metrics"]["last"]["values"]["recall_mean"]
    metrics = {"recall_mean": figure(), "val_loss": figure(1.0, 1.0, "lower", "nats"), "text_recall@1": figure(85.0)}
    comparison = compare_result(result, figures(metrics))
    assert comparison.status == "fail"
    assert verdict_of(comparison, "text_recall@1").status == "pass"
    assert comparison.reasons == (
        "recall_mean: missing (the result has no such metric)",
        "val_loss: missing (the split is smaller than a batch)",
    )


def test_a_run_that_was_never_evaluated_fails_its_gates(result):
    result["metrics"]["last"] = None
    assert compare_result(result, figures()).status == "fail"


def test_a_result_equal_to_its_reference_passes_without_a_word(result):
    values = result["metrics"]["last"]["values"]
    metrics = {name: figure(data["value"], 0.0, data["direction"], data["unit"]) for name, data in values.items()}
    comparison = compare_result(result, figures(metrics))
    assert (comparison.status, comparison.reasons) == ("pass", ())
    assert {verdict.difference for verdict in comparison.verdicts} == {0.0}


@pytest.mark.parametrize(
    ("direction", "value", "status", "said"),
    [
        ("higher", 88.5, "fail", "88.5 is 1.5 below the reference's 90; up to 1 passes"),
        ("higher", 91.0, "pass", None),
        ("lower", 91.5, "fail", "91.5 is 1.5 above the reference's 90; up to 1 passes"),
        ("lower", 89.0, "pass", None),
    ],
)
def test_a_tolerance_has_one_side(result, direction, value, status, said):
    with_value(result, "recall_mean", value=value, direction=direction)
    verdict = verdict_of(compare_result(result, figures({"recall_mean": figure(direction=direction)})))
    assert (verdict.status, verdict.reason) == (status, said)
    assert verdict.difference == value - 90


@pytest.mark.parametrize(("direction", "value"), [("higher", 91.5), ("lower", 88.5)])
def test_beyond_the_tolerance_on_the_good_side_is_better_and_a_warning(result, direction, value):
    with_value(result, "recall_mean", value=value, direction=direction)
    comparison = compare_result(result, figures({"recall_mean": figure(direction=direction)}))
    assert (comparison.status, verdict_of(comparison).status) == ("better", "better")
    assert comparison.reasons == ()
    assert "better by more than 1" in comparison.warnings[0]
    assert exit_code([comparison]) == 0
    assert exit_code([comparison], strict=True) == 1


def test_what_is_better_can_have_a_level_of_its_own(result):
    with_value(result, "recall_mean", value=91.5)
    assert compare_result(result, figures({"recall_mean": figure(better=2.0)})).status == "pass"
    assert compare_result(result, figures({"recall_mean": figure(tolerance=9.0, better=1.0)})).status == "better"


@pytest.mark.parametrize(("value", "warns"), [(89.5, False), (89.4, True), (90.9, False)])
def test_a_pass_beyond_the_warning_level_warns(result, value, warns):
    with_value(result, "recall_mean", value=value)
    comparison = compare_result(result, figures({"recall_mean": figure(warn=0.5)}))
    verdict = verdict_of(comparison)
    assert (comparison.status, verdict.status, verdict.warning) == ("pass", "pass", warns)
    assert verdict.label == ("warn" if warns else "pass")
    assert len(comparison.warnings) == warns
    assert exit_code([comparison]) == 0
    assert exit_code([comparison], strict=True) == (1 if warns else 0)


def test_a_refused_reference_gives_no_warnings(result):
    with_value(result, "recall_mean", value=95.0)
    comparison = compare_result(result, figures(conditions={"config.ranks": 9}))
    assert (comparison.status, comparison.warnings) == ("not comparable", ())


@pytest.mark.parametrize("change", [{"unit": "share"}, {"direction": "lower"}])
def test_another_unit_or_direction_is_not_comparable(result, change):
    comparison = compare_result(with_value(result, "recall_mean", **change), figures())
    assert comparison.status == "not comparable"
    assert next(iter(change)) in comparison.reasons[0]


def test_without_a_tolerance_a_metric_is_shown_and_gates_nothing(result):
    metrics = {"recall_mean": figure(), "text_recall@1": figure(99.0, None), "unheard_of": figure(1.0, None)}
    comparison = compare_result(result, figures(metrics))
    assert comparison.status == "pass"
    assert verdict_of(comparison, "text_recall@1").status == "ungated"
    assert verdict_of(comparison, "text_recall@1").difference == -14.0
    assert verdict_of(comparison, "unheard_of").value is None


def test_metrics_that_the_reference_lacks_are_shown(result):
    verdict = verdict_of(compare_result(result, figures()), "samples_per_second")
    assert (verdict.status, verdict.value, verdict.reference) == ("ungated", 50.0, None)
    assert verdict.reason == "the reference has no such figure"


# --- beside the metrics of an epoch -------------------------------------------------------------------------------


def test_the_sampling_error_is_shown_beside_the_difference():
    comparison = compare_result(made_result(lost=0.1), figures({"recall_mean": figure(86.0, 5.0)}))
    assert verdict_of(comparison).error == pytest.approx(1.9, abs=0.3)
    other = made_result(lost=0.1)
    other["ranks"]["epoch"] = 1
    assert verdict_of(compare_result(other, figures())).error is None


@pytest.mark.parametrize(("target", "status", "value"), [(90.0, "pass", 12.0), (97.0, "missing", None)])
def test_time_to_quality_can_be_gated(target, status, value):
    metrics = {"seconds_to_quality": figure(15.0, 5.0, "lower", "s")}
    comparison = compare_result(made_result(), figures(metrics, target=target))
    verdict = verdict_of(comparison, "seconds_to_quality")
    assert (verdict.status, verdict.value) == (status, value)
    assert comparison.status == ("pass" if status == "pass" else "fail")
    overruled = compare_result(made_result(), figures(metrics, target=target), terms=Terms(target=10.0))
    assert verdict_of(overruled, "seconds_to_quality").value == 12.0


@pytest.mark.parametrize(
    ("curve", "status"), [((0.5, 0.25), "pass"), ((0.5, 0.2), "fail"), ((0.5, 0.25, 0.2), "missing")]
)
def test_a_stored_loss_curve_must_be_matched(curve, status):
    comparison = compare_result(made_result(), figures(loss_curve=curve, metrics={"recall_mean": figure(93, 9.0)}))
    verdict = verdict_of(comparison, "loss_curve")
    assert verdict.status == status
    assert comparison.status == ("pass" if status == "pass" else "fail")
    if status != "missing":
        assert "mean relative error" in verdict.detail and "mean absolute error" in verdict.detail


def test_a_result_that_left_images_out_is_not_comparable(result):
    comparison = compare_result({**result, "bad_images": {"skipped": 2}}, figures())
    assert comparison.status == "not comparable"
    assert comparison.reasons == ("2 images could not be read and were left out",)


# --- one result ---------------------------------------------------------------------------------------------------


def test_conditions_that_are_not_met_are_named_once(result):
    conditions = {"dataset.val.split": "en_test", "config.train.epochs": 1, "weights.source": {"not": "weights.pth"}}
    comparison = compare_result(result, figures(conditions=conditions))
    assert comparison.status == "not comparable"
    assert comparison.reasons == (
        "dataset.val.split is en_val, the reference has en_test",
        "weights.source is weights.pth, the reference has anything but weights.pth",
    )
    assert verdict_of(comparison).status == "not comparable"


def test_conditions_that_are_allowed_to_differ_are_named_and_let_through(result):
    conditions = {"config.ranks": 4, "config.train.batch_size": 16}
    metrics = {"recall_mean": figure(), "samples_per_second": SPEED_ON_SDAA}
    allowed = compare_result(result, figures(metrics, conditions), terms=Terms(frozenset({"ranks", "batch"})))
    assert allowed.status == "pass"
    assert [(d.name, d.allowed) for d in allowed.differences] == [("ranks", True), ("batch", True)]
    assert verdict_of(allowed, "samples_per_second").reason == (
        "environment.device.kind is cpu, the reference has sdaa"
    )
    partly = compare_result(result, figures(metrics, conditions), terms=Terms(frozenset({"ranks"})))
    assert partly.reasons == ("config.train.batch_size is 32, the reference has 16",)


def test_throughput_of_another_device_is_not_comparable_but_the_rest_is(result):
    comparison = compare_result(result, figures({"recall_mean": figure(), "samples_per_second": SPEED_ON_SDAA}))
    assert comparison.status == "pass"
    assert comparison.reasons == (
        "samples_per_second: environment.device.kind is cpu, the reference has sdaa; "
        "config.train.batch_size is 32, the reference has 16",
    )
    assert verdict_of(comparison, "samples_per_second").difference is None


@pytest.mark.parametrize("metrics", [{"samples_per_second": SPEED_ON_SDAA}, {"recall_mean": figure(tolerance=None)}])
def test_without_a_gate_that_can_be_compared_nothing_passes(result, metrics):
    comparison = compare_result(result, figures(metrics))
    assert comparison.status == "not comparable"
    assert len(comparison.reasons) == 1


@pytest.mark.parametrize("status", ["failed", "interrupted"])
@pytest.mark.parametrize("reference", [None, figures()])
def test_a_case_that_did_not_end_well_never_passes(make_result, status, reference):
    comparison = compare_result(make_result(status), reference)
    assert comparison.status == "failed case"
    assert comparison.reasons[0].endswith(": it broke")
    assert "pass" not in {verdict.status for verdict in comparison.verdicts}


def test_a_case_that_died_before_its_first_report(make_result):
    comparison = compare_result(make_result("failed", events=()), figures())
    assert (comparison.status, comparison.device, comparison.epoch) == ("failed case", None, None)


def test_a_result_without_a_reference_says_why(result):
    references = {"figures-of-mine": figures()}
    comparison = compare_result(result, *find_reference(result, references, "figure-of-mine"))
    assert comparison.status == "no reference"
    assert comparison.reasons == ("the reference 'figure-of-mine' was not found; did you mean 'figures-of-mine'?",)


def test_the_named_reference_comes_before_the_results_own(result):
    own, other = figures(), figures(name="other")
    references = {"figures": own, "other": other}
    assert find_reference(result, references) == (own, None)
    assert find_reference(result, references, "other") == (other, None)
    assert find_reference({**result, "reference": None}, references) == (None, "the suite names no reference")


def test_comparing_leaves_the_result_as_it_was(result):
    before = copy.deepcopy(result)
    compare_result(result, figures())
    assert result == before


# --- the exit code ------------------------------------------------------------------------------------------------

CODES = {
    "pass": 0,
    "better": 0,
    "inconclusive": 0,
    "fail": 1,
    "not comparable": 3,
    "no reference": 3,
    "no baseline": 3,
    "failed case": 4,
}


def ended(status, warnings=()):
    return Comparison(("run",), "suite", "case", None, None, None, None, None, status, (), (), warnings)


@pytest.mark.parametrize(("status", "code"), list(CODES.items()))
def test_exit_code_of_one_result(status, code):
    assert exit_code([ended(status)]) == code
    assert exit_code([ended(status), ended("pass")]) == code


@pytest.mark.parametrize("statuses", list(itertools.product(CODES, repeat=2)))
def test_exit_code_of_two_is_that_of_the_graver(statuses):
    codes = {CODES[status] for status in statuses}
    graver = next(code for code in (4, 1, 3, 0) if code in codes)
    assert exit_code([ended(status) for status in statuses]) == graver


@pytest.mark.parametrize("status", CODES)
def test_a_refused_file_comes_before_all_else(status):
    assert exit_code([ended(status)], ["x.json: broken"]) == 3
    assert exit_code([], ["x.json: broken"]) == 3


def test_no_result_at_all_is_a_missing_case():
    assert exit_code([]) == 4


@pytest.mark.parametrize("status", CODES)
def test_strict_makes_a_failed_gate_of_every_warning_and_of_nothing_else(status):
    codes = {"better": 1, "inconclusive": 1}
    assert exit_code([ended(status)], strict=True) == codes.get(status, CODES[status])


@pytest.mark.parametrize("code", {0, 1, 3, 4})
def test_the_table_in_the_docs_has_every_code(code):
    rows = (Path(__file__).parents[2] / "docs" / "comparing.md").read_text(encoding="utf-8").splitlines()
    assert any(row.startswith(f"| {code} |") for row in rows)


@pytest.mark.parametrize("status", [*get_args(VerdictStatus), *get_args(ComparisonStatus)])
def test_every_status_is_explained_in_the_docs(status):
    assert f"`{status}`" in (Path(__file__).parents[2] / "docs" / "comparing.md").read_text(encoding="utf-8")


def test_warnings_are_said_with_the_exit_code():
    warned = Judgement((ended("pass"), ended("pass", ("recall_mean: low",)), ended("inconclusive")))
    assert (warned.exit_code, warned.meaning) == (0, "no gate failed, 2 with a warning")
    assert replace(warned, strict=True).meaning == "a warning, and --strict"


# --- files --------------------------------------------------------------------------------------------------------


def write_reference(path, name="figures", **changes):
    data = {
        "kind": "clipbench.reference",
        "schema_version": 1,
        "name": name,
        "summary": "",
        "source": "a source",
        **dict.fromkeys(("date", "device", "precision", "batch_size", "epochs")),
        "metrics": {
            "recall_mean": {"value": 90, "unit": "percent", "direction": "higher", "tolerance": {"absolute": 1}}
        },
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def test_folders_are_walked_and_hidden_ones_left_out(tmp_path, make_result):
    write_result(tmp_path / "deep" / "down", make_result(run_id="mine-1"))
    write_result(tmp_path, make_result(run_id="mine-2"))
    write_reference(tmp_path / "reference" / "figures.json")
    for name in (".work/run/job.json", ".hidden.json", "deep/.git/x.json", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("not for reading")
    found = collect([tmp_path])
    assert [result["run_id"] for result in found.results] == ["mine-2", "mine-1"]
    assert list(found.references) == ["figures"]
    assert found.problems == ()
    comparisons = compare_all(found.results, found.references)
    assert [comparison.status for comparison in comparisons] == ["pass", "pass"]


def test_a_path_inside_a_hidden_folder_can_be_named(tmp_path, make_result):
    path = write_result(tmp_path / ".hidden", make_result())
    assert len(collect([path]).results) == len(collect([path.parent]).results) == 1


def test_a_file_named_twice_counts_once(tmp_path, make_result):
    path = write_result(tmp_path, make_result())
    assert len(collect([path, tmp_path, path.parent / "." / path.name]).results) == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"kind": "clipbench.result"}', '{"kind": 1}', '{"a": NaN}', "[" * 100_000]
)
def test_a_file_that_is_neither_result_nor_reference_is_named(tmp_path, make_result, text):
    write_result(tmp_path, make_result())
    (tmp_path / "other.json").write_text(text)
    found = collect([tmp_path])
    assert len(found.results) == len(found.problems) == 1
    assert "other.json" in found.problems[0]
    assert exit_code(compare_all(found.results, {}), found.problems) == 3


def test_a_link_to_nothing_is_named(tmp_path):
    (tmp_path / "gone.json").symlink_to(tmp_path / "nowhere.json")
    (problem,) = collect([tmp_path]).problems
    assert "gone.json" in problem


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    assert collect([tmp_path]).problems == (f"{tmp_path}: cannot be read: Permission denied",)


def test_two_references_of_one_name_are_named(tmp_path):
    write_reference(tmp_path / "a.json")
    write_reference(tmp_path / "b.json")
    write_reference(tmp_path / "c.json", summary="other figures")
    found = collect([tmp_path])
    (problem,) = found.problems
    assert "a.json" in problem and "c.json" in problem


def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        collect([tmp_path, tmp_path / "nowhere"])


def test_an_empty_folder_has_no_results(tmp_path):
    found = collect([tmp_path])
    assert (found.results, found.problems) == ((), ())


# --- for other programs -------------------------------------------------------------------------------------------


def test_comparisons_as_data_are_json(result, make_result):
    with_value(result, "recall_mean", value=10**400)
    comparisons = [compare_result(result, figures()), compare_result(make_result("failed", ()), None)]
    comparisons.append(compare_result(made_result(), figures(loss_curve=(0.5, 0.25), target=90.0)))
    data = comparison_data(Judgement(tuple(comparisons), ("x.json: broken",)))
    assert list(schemas.problems("comparison", data)) == []
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["exit_code"] == 3
    assert data["comparisons"][0]["against"]["source"] == "a source"
    assert data["comparisons"][1]["against"] is None


def test_comparing_imports_nothing_heavy():
    code = "import sys, clipbench.compare, clipbench.report.terminal; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "clipbench.compare.against_reference" in loaded
    assert not {"numpy", "rich", "jsonschema", "torch", "PIL"} & set(loaded)


def test_a_result_that_cannot_be_written_is_said_with_its_path(make_result, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotReadyError, match=r"file/mine-1\.json: the result cannot be written"):
        write_result(tmp_path / "file", make_result())

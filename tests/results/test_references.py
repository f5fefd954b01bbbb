"""References: the shipped ones, and what is refused."""

import json

import pytest

from clipbench.errors import InvalidFileError, UsageError
from clipbench.files.bundled import bundled
from clipbench.results.measures.metrics import UNITS_AND_DIRECTIONS
from clipbench.results.references import load_references, read_reference, shipped_references, unmet_conditions
from clipbench.suites.loading import load_suite, shipped_suites

MINIMAL = {
    "kind": "clipbench.reference",
    "schema_version": 1,
    "name": "mine",
    "summary": "a summary",
    "source": "a source",
    "date": None,
    "device": None,
    "precision": None,
    "batch_size": None,
    "epochs": None,
    "metrics": {"recall_mean": {"value": 90, "unit": "percent", "direction": "higher", "tolerance": {"relative": 0.1}}},
}


def write(path, **changes):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**MINIMAL, **changes}), encoding="utf-8")
    return path


# --- what ships ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(bundled("reference").glob("*.json")), ids=lambda path: path.stem)
def test_a_shipped_reference_is_valid_and_says_where_it_is_from(path):
    reference = read_reference(path)
    assert reference.name == path.stem
    assert reference.source.strip() and reference.summary.strip()
    for name, metric in reference.metrics.items():
        if name in UNITS_AND_DIRECTIONS:
            assert (metric.unit, metric.direction) == UNITS_AND_DIRECTIONS[name]
        else:
            assert metric.tolerance is None, f"{name} is no metric of clipbench, so gating it could never pass"


def test_the_references_that_shipped_suites_name_are_there():
    named = {case.reference for path in shipped_suites() for case in load_suite(path).cases} - {None}
    assert named <= set(shipped_references())
    zeroshot = {name for name in shipped_references() if "-zeroshot-" in name}
    assert zeroshot <= named and len(zeroshot) == 17


def test_no_published_recall_without_training_is_gated_more_tightly_than_its_sources_agree():
    """Two sources differ by 0.3 points on the same weights and pictures, and every such reference says so."""
    for name, reference in shipped_references().items():
        if "-zeroshot-" in name:
            assert all(metric.tolerance >= 0.3 for metric in reference.metrics.values())
            assert any("differ by up to 0.3 points" in note for note in reference.notes)


def test_published_means_are_the_means_of_the_published_recalls():
    figures = shipped_references()["flickr8k-sdaa-amp"].metrics
    for side in ("text", "image"):
        mean = sum(figures[f"{side}_recall@{k}"].value for k in (1, 5, 10)) / 3
        assert figures[f"{side}_recall_mean"].value == pytest.approx(mean, abs=0.01)


def test_published_recalls_hold_on_any_device():
    reference = shipped_references()["flickr8k-sdaa-amp"]
    assert "environment.device.kind" not in reference.conditions
    assert all("environment.device.kind" not in metric.conditions for metric in reference.metrics.values())


def test_conditions_of_a_shipped_reference_are_met_by_the_suite_that_names_it():
    """Such conditions as a suite decides; the rest is for the run."""
    references = shipped_references()
    for path in shipped_suites():
        for case in load_suite(path).cases:
            wanted = references[case.reference].conditions if case.reference else {}
            decided = {key: value for key, value in wanted.items() if key.startswith("config.")}
            assert unmet_conditions(decided, {"config": case.to_dict()}) == []


# --- loading ------------------------------------------------------------------------------------------------------


def test_a_relative_tolerance_is_a_share_of_the_value(tmp_path):
    assert read_reference(write(tmp_path / "a.json")).metrics["recall_mean"].tolerance == pytest.approx(9)


def test_levels_are_taken_as_tolerances_are(tmp_path):
    figure = {**MINIMAL["metrics"]["recall_mean"], "warn": {"absolute": 1}, "better": {"relative": 0.02}}
    path = write(tmp_path / "a.json", metrics={"recall_mean": figure}, target=90, loss_curve=[0.5, 0.25])
    reference = read_reference(path)
    found = reference.metrics["recall_mean"]
    assert (found.warn, found.better) == (1, pytest.approx(1.8))
    assert (reference.target, reference.loss_curve) == (90, (0.5, 0.25))


@pytest.mark.parametrize("change", [{"warn": {"absolute": 10}}, {"warn": {"absolute": 1}, "tolerance": None}])
def test_a_warning_that_could_never_be_is_refused(tmp_path, change):
    path = write(tmp_path / "a.json", metrics={"recall_mean": {**MINIMAL["metrics"]["recall_mean"], **change}})
    with pytest.raises(InvalidFileError, match=r"a\.json: metrics\.recall_mean\.warn: expected less"):
        read_reference(path)


def test_the_same_reference_twice_is_one(tmp_path):
    folders = [write(tmp_path / name / "a.json").parent for name in ("one", "two")]
    assert list(load_references(folders)) == ["mine"]


def test_one_name_for_two_contents_names_both_files(tmp_path):
    write(tmp_path / "a.json")
    write(tmp_path / "b.json", summary="another")
    with pytest.raises(InvalidFileError) as caught:
        load_references([tmp_path])
    assert "a.json" in str(caught.value) and "b.json" in str(caught.value)


def test_a_missing_folder_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        load_references([tmp_path / "nowhere"])


def metrics(value="90", tolerance='{"absolute": 1}'):
    figure = '{"value": %s, "unit": "percent", "direction": "higher", "tolerance": %s}' % (value, tolerance)  # noqa: UP031
    return json.dumps({**MINIMAL, "metrics": "FIGURE"}).replace('"FIGURE"', f'{{"recall_mean": {figure}}}')


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not valid JSON"),
        ('{"kind": "something"}', "not a file of clipbench"),
        (json.dumps({**MINIMAL, "sourse": "x"}), "did you mean 'source'"),
        (json.dumps({**MINIMAL, "conditions": {"config.ranks": []}}), "conditions.config.ranks"),
        (json.dumps({**MINIMAL, "conditions": {"config.ranks": {"nott": 1}}}), "did you mean 'not'"),
        (metrics(value="NaN"), "NaN"),
        (metrics(value="1e999"), "not a finite number: 1e999"),
        (metrics(value="1" + "0" * 400), "metrics.recall_mean.value: expected a finite number"),
        (metrics(tolerance='{"absolute": 1e999}'), "not a finite number: 1e999"),
        (metrics(value="1e300", tolerance='{"relative": 1e300}'), "tolerance.relative: expected a finite number"),
        (metrics(tolerance='{"absolute": -1}'), "at least 0"),
        (metrics(tolerance='{"absolute": 1, "relative": 1}'), "tolerance"),
    ],
)
def test_a_broken_reference_is_refused_by_name(tmp_path, text, said):
    path = tmp_path / "broken.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFileError) as caught:
        load_references([tmp_path])
    assert "broken.json" in str(caught.value) and said in str(caught.value)


# --- conditions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "value", "met"),
    [
        (32, 32, True),
        (32, 32.0, True),
        (32, 16, False),
        (1, True, False),
        (True, 1, False),
        (None, None, True),
        (None, 0, False),
        (["float16", "bfloat16"], "bfloat16", True),
        (["float16", "bfloat16"], "float32", False),
        ([[0.9, 0.999]], [0.9, 0.999], True),
        ([0.9, 0.999], [0.9, 0.999], False),
        ({"not": "random"}, "weights.pth", True),
        ({"not": "random"}, "random", False),
        ({"not": ["random", None]}, None, False),
    ],
)
def test_a_condition(wanted, value, met):
    assert bool(unmet_conditions({"a.b": wanted}, {"a": {"b": value}})) is not met


@pytest.mark.parametrize("wanted", [None, 1, [None], {"not": "random"}])
@pytest.mark.parametrize("result", [{}, {"a": None}, {"a": {}}, {"a": "b"}])
def test_a_path_that_the_result_lacks_never_meets_a_condition(wanted, result):
    assert len(unmet_conditions({"a.b": wanted}, result)) == 1


def test_what_differs_is_named():
    wanted = {"val.split": "en_test", "steps": None, "precision": ["float16", "bfloat16"], "weights": {"not": "random"}}
    result = {"val": {"split": "en_val"}, "steps": 20, "weights": "random"}
    assert unmet_conditions(wanted, result) == [
        ("val.split", "en_val", "en_test"),
        ("steps", "20", "none"),
        ("precision", "absent", "float16 or bfloat16"),
        ("weights", "random", "anything but random"),
    ]

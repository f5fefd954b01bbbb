"""Adopting results as baselines: with a reason, under a name, moved by nothing else."""

import json
from dataclasses import replace

import pytest

from clipbench.api.result import BadImages, WeightsUsed
from clipbench.compare.adoption import adopt
from clipbench.errors import CaseFailedError, InvalidFileError, UsageError
from clipbench.files import schemas
from clipbench.results.baselines import load_baselines, read_baseline
from clipbench.results.collect import collect
from clipbench.results.document import digest_of, results_digest
from clipbench.results.result import result_data
from tests.support.made_results import made_result
from tests.support.stored_results import run, stored

# --- through the command line -------------------------------------------------------------------------------------


def test_a_result_is_adopted_listed_shown_and_compared_with(place):
    output = run("baseline", "set", stored(made_result("first")), "--reason", "driver 1.0", "--by", "CI")
    assert "baseline quickstart-Card-1: first" in output
    path = place / "results" / "baseline" / "quickstart-Card-1.json"
    document = json.loads(path.read_text())
    assert list(schemas.problems("baseline", document)) == []
    assert (document["reason"], document["by"]) == ("driver 1.0", "CI")
    (listed,) = json.loads(run("baseline", "list", "--format", "json"))
    assert (listed["name"], listed["device"], listed["runs"]) == ("quickstart-Card-1", "Card 1", ["first"])
    assert "driver 1.0" in run("baseline", "list")
    assert "run first" in run("baseline", "show", "quickstart-Card-1")
    assert run("validate", str(path)).startswith("ok")
    bad = stored(made_result("bad", lost=0.1), "new")
    assert "FAIL  bad" in run("compare", "new", "--baseline", "adopted", code=1)
    assert "FAIL  bad" in run("compare", bad, "--baseline", "quickstart-Card-1", code=1)
    stored(made_result("good", draw=3), "good")
    run("compare", "good", "--baseline", "adopted")


def test_a_baseline_keeps_what_it_was_before(place):
    for name in ("first", "second", "third"):
        output = run("baseline", "set", stored(made_result(name)), "--reason", f"because of {name}")
    assert "third, in place of second" in output
    shown = json.loads(run("baseline", "show", "quickstart-Card-1", "--format", "json"))
    assert [entry["runs"] for entry in shown["history"]] == [["first"], ["second"]]
    assert shown["reason"] == "because of third"
    assert "because of first" in run("baseline", "show", "quickstart-Card-1")


def test_nothing_but_the_command_moves_a_baseline(place):
    run("baseline", "set", stored(made_result("first")), "--reason", "good")
    path = place / "results" / "baseline" / "quickstart-Card-1.json"
    before = path.read_bytes()
    stored(made_result("better", slower=-0.2))
    run("compare", "results", "--baseline", "adopted")
    assert path.read_bytes() == before


def test_a_baseline_in_a_results_folder_is_no_foreign_file_and_no_result(place):
    run("baseline", "set", stored(made_result("first")), "--reason", "good")
    found = collect([place / "results"])
    assert (len(found.results), len(found.baselines), found.problems) == (1, 1, ())


def edit_result_and_digest(document):
    document["results"][0]["seed"] = -1
    document["results"][0]["digest"] = digest_of(document["results"][0])
    document["results_sha256"] = results_digest(document["results"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["results"][0]["epochs"][0].update(train_loss=0.1), "results_sha256 differs"),
        (edit_result_and_digest, "a result in it: seed"),
        (lambda d: d.update(reason="  "), "reason"),
        (lambda d: d.update(results=[]), "results"),
    ],
)
def test_a_baseline_that_was_edited_is_refused_and_named(place, change, message):
    run("baseline", "set", stored(made_result("first")), "--reason", "good")
    path = place / "results" / "baseline" / "quickstart-Card-1.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidFileError) as caught:
        read_baseline(path)
    assert "quickstart-Card-1.json" in str(caught.value) and message in str(caught.value)
    stored(made_result("new"), "new")
    run("compare", "new", "--baseline", "adopted", code=3)


@pytest.mark.parametrize("reason", [[], ["--reason", " "]])
def test_a_reason_is_required(place, reason):
    run("baseline", "set", stored(made_result()), *reason, code=2)
    assert not (place / "results" / "baseline").exists()


def test_names_that_are_not_there_say_what_is(place):
    run("baseline", "set", stored(made_result()), "--reason", "good", "--name", "nightly")
    assert "did you mean 'nightly'" in run("baseline", "show", "nightli", code=2)
    assert "did you mean 'nightly'" in run("compare", "results", "--baseline", "nightli", code=2)
    assert "no baseline was adopted" in run("baseline", "list", "--baselines", "elsewhere")


# --- adopting -------------------------------------------------------------------------------------------------------


def test_several_repeats_are_one_baseline(tmp_path):
    made = adopt([made_result("a"), made_result("b", seed=1)], tmp_path, "two seeds")
    assert list(map(result_data, read_baseline(made.path).results)) == list(map(result_data, made.results))
    assert load_baselines(tmp_path)[0].runs == ("a", "b")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"status": "failed"}, CaseFailedError),
        ({"bad_images": BadImages(1)}, UsageError),
        ({"case": "another"}, UsageError),
        ({"weights": WeightsUsed("other", "1" * 64)}, UsageError),
    ],
)
def test_only_completed_repeats_of_one_case_are_adopted(tmp_path, change, error):
    with pytest.raises(error, match="changed"):
        adopt([made_result("first"), replace(made_result("changed"), **change)], tmp_path, "why")
    assert list(tmp_path.iterdir()) == []


def test_a_name_stays_with_its_case_and_device(tmp_path):
    adopt([made_result("first")], tmp_path, "why", "nightly")
    with pytest.raises(UsageError, match="choose another --name"):
        adopt([replace(made_result("second"), case="another")], tmp_path, "why", "nightly")
    with pytest.raises(UsageError, match="--name"):
        adopt([made_result("third")], tmp_path, "why", "a b")

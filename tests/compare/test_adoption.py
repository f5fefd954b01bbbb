"""Adopting results as baselines: with a reason, under a name, moved by nothing else."""

import json
import re
from dataclasses import replace

import pytest

from clipbench.api.result import BadImages, WeightsUsed
from clipbench.compare.adoption import adopt, propose
from clipbench.errors import CaseFailedError, GateFailedError, InvalidFileError, UsageError
from clipbench.files import schemas
from clipbench.report.baselines import check_passes
from clipbench.results.baselines import load_baselines, read_baseline
from clipbench.results.collecting.collect import collect
from clipbench.results.document import digest_of, results_digest
from clipbench.results.references import shipped_references
from clipbench.results.result import result_data
from tests.support.made_results import changed, made_result
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


def test_what_is_replaced_is_shown_with_the_change(place):
    run("baseline", "set", stored(made_result("first", slower=0.02)), "--reason", "driver 1.0")
    output = run("baseline", "set", stored(made_result("second", lost=0.001)), "--reason", "driver 1.1")
    assert "baseline quickstart-Card-1: second, in place of first (20" in output and ": driver 1.0)" in output
    assert "  recall mean 93.33 to 93.28 % (-0.06 points)" in output
    assert re.search(r"  throughput [\d.]+ to [\d.]+ pairs/s \(\+2\.0 %\)", output)
    assert "  PASS quickstart on Card 1: all 11 gated metrics are within what is allowed" in output


def test_a_run_that_fails_is_refused_without_force(place):
    run("baseline", "set", stored(made_result("first")), "--reason", "good")
    path = place / "results" / "baseline" / "quickstart-Card-1.json"
    before, bad = path.read_bytes(), stored(made_result("bad", lost=0.1))
    output = run("baseline", "set", bad, "--reason", "because", code=1)
    assert "FAIL quickstart on Card 1: " in output and " fell from " in output and "--force" in output
    assert path.read_bytes() == before
    forced = run("baseline", "set", bad, "--reason", "the metric was wrong before", "--force")
    assert "bad, in place of first" in forced and "  FAIL quickstart on Card 1: " in forced
    assert read_baseline(path).runs == ("bad",)


def test_a_run_that_fails_its_reference_is_refused_too(place):
    reference = shipped_references()["quickstart"]
    result = made_result(losses=[4.0] * 4)
    for split, images in (("train", 4000), ("val", 500)):
        result = changed(result, f"dataset.{split}.images", images)
    proposal = propose([result], place, "why", references={"quickstart": reference})
    assert proposal.failing is not None
    with pytest.raises(GateFailedError, match="FAIL quickstart on Card 1: "):
        check_passes(proposal)


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
    made = adopt(propose([made_result("a"), made_result("b", seed=1)], tmp_path, "two seeds"))
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
        propose([made_result("first"), replace(made_result("changed"), **change)], tmp_path, "why")
    assert list(tmp_path.iterdir()) == []


def test_a_name_stays_with_its_case_and_device(tmp_path):
    adopt(propose([made_result("first")], tmp_path, "why", "nightly"))
    with pytest.raises(UsageError, match="choose another --name"):
        propose([replace(made_result("second"), case="another")], tmp_path, "why", "nightly")
    with pytest.raises(UsageError, match="--name"):
        adopt(propose([made_result("third")], tmp_path, "why", "a b"))

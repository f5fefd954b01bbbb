"""Baselines: adopted with a reason, found by what they are of, moved by nothing else."""

import json

import pytest
from click.testing import CliRunner

from clipbench.cli import main
from clipbench.errors import CaseFailedError, InvalidFileError, UsageError
from clipbench.files import schemas
from clipbench.results.baselines import Baseline, adopt, find_baseline, load_baselines, read_baseline
from clipbench.results.collect import collect
from clipbench.results.result import write_result
from tests.support.made_results import failed, made_result


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def stored(result, folder="results"):
    from pathlib import Path

    return str(write_result(Path(folder), result))


def run(*arguments, code=0):
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code, done.output
    return done.output


# --- through the command line -------------------------------------------------------------------------------------


def test_a_result_is_adopted_listed_shown_and_held_against(place):
    said = run("baseline", "set", stored(made_result("first")), "--reason", "driver 1.0", "--by", "CI")
    assert "baseline quickstart-Card-1: first" in said
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
        said = run("baseline", "set", stored(made_result(name)), "--reason", f"because of {name}")
    assert "third, in place of second" in said
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["results"][0]["epochs"][0].update(train_loss=0.1), "results_sha256 differs"),
        (lambda d: d["results"][0].update(seed=-1), "a result in it: seed"),
        (lambda d: d.update(reason="  "), "reason"),
        (lambda d: d.update(results=[]), "results"),
    ],
)
def test_a_baseline_that_was_edited_is_refused_and_named(place, change, said):
    run("baseline", "set", stored(made_result("first")), "--reason", "good")
    path = place / "results" / "baseline" / "quickstart-Card-1.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidFileError) as caught:
        read_baseline(path)
    assert "quickstart-Card-1.json" in str(caught.value) and said in str(caught.value)
    stored(made_result("new"), "new")
    run("compare", "new", "--baseline", "adopted", code=3)


@pytest.mark.parametrize("reason", [[], ["--reason", " "]])
def test_a_reason_is_required(place, reason):
    run("baseline", "set", stored(made_result()), *reason, code=2)
    assert not (place / "results" / "baseline").exists()


def test_names_that_are_not_there_say_what_is(place):
    run("baseline", "set", stored(made_result()), "--reason", "good", "--name", "nightly")
    assert "did you mean nightly" in run("baseline", "show", "nightli", code=2)
    assert "did you mean nightly" in run("compare", "results", "--baseline", "nightli", code=2)
    assert "no baseline was adopted" in run("baseline", "list", "--baselines", "elsewhere")


# --- which --baseline is meant ------------------------------------------------------------------------------------


def test_a_run_is_found_among_the_paths_and_is_not_held_against_itself(place):
    for name in ("old", "new"):
        stored(made_result(name, draw=len(name) + 1), "given")
    data = json.loads(run("compare", "given", "--baseline", "old", "--format", "json"))
    assert list(schemas.problems("comparison", data)) == []
    (comparison,) = data["comparisons"]
    assert (comparison["runs"], comparison["against"]["runs"]) == (["new"], ["old"])
    assert comparison["against"]["kind"] == "baseline"


def test_a_run_is_found_in_the_results_folder(place):
    stored(made_result("old"))
    stored(made_result("new", lost=0.1), "elsewhere")
    run("compare", "elsewhere", "--baseline", "old", code=1)


@pytest.mark.parametrize("which", ["earlier", "earlier/old.json"])
def test_a_baseline_can_be_a_folder_or_a_file(place, which):
    stored(made_result("old"), "earlier")
    stored(made_result("new", lost=0.1), "new")
    run("compare", "new", "--baseline", which, code=1)


def test_references_are_held_against_beside_a_baseline_only_when_asked_for(place):
    stored(made_result("old"), "earlier")
    stored(made_result("new"), "new")
    alone = json.loads(run("compare", "new", "--baseline", "earlier", "--format", "json"))
    assert [c["against"]["kind"] for c in alone["comparisons"]] == ["baseline"]
    asked = (
        "compare",
        "new",
        "--baseline",
        "earlier",
        "--reference",
        "own",
        "--allow",
        "data",
        "--allow",
        "evaluation",
    )
    both = json.loads(run(*asked, "--format", "json"))
    assert [c["against"]["kind"] for c in both["comparisons"]] == ["baseline", "reference"]


def test_a_failed_run_is_no_baseline_and_is_named(place):
    stored(made_result("old"), "earlier")
    stored(failed(made_result("broken")), "earlier")
    stored(made_result("new"), "new")
    assert "broken: the case failed" in run("compare", "new", "--baseline", "earlier", code=3)


def test_a_foreign_file_among_earlier_results_is_named_and_refused(place):
    stored(made_result("old"), "earlier")
    (place / "earlier" / "notes.json").write_text("{}")
    stored(made_result("new"), "new")
    assert "notes.json" in run("compare", "new", "--baseline", "earlier", code=3)
    assert "notes.json" in run("compare", "earlier", "--baseline", "earlier", code=3)


def test_a_baseline_alone_leaves_nothing_to_compare(place):
    stored(made_result("old"))
    assert "no result is left" in run("compare", "results", "--baseline", "old", code=4)


def test_least_effects_can_be_chosen(place):
    stored(made_result("old", draw=1), "earlier")
    stored(made_result("new", slower=0.06), "new")
    run("compare", "new", "--baseline", "earlier", code=1)
    run("compare", "new", "--baseline", "earlier", "--least-speed", "10")
    run("compare", "new", "--baseline", "earlier", "--least-speed", "0", code=2)
    for option in ("--least-speed", "--least-recall", "--target"):
        assert "finite" in run("compare", "new", "--baseline", "earlier", option, "nan", code=2)


def test_an_inconclusive_gate_warns_and_fails_when_strict(place):
    stored(made_result("old", draw=1), "earlier")
    stored(made_result("new", windows=3, losses=(0.5,), slower=0.05), "new")
    allowed = ("compare", "new", "--baseline", "earlier")
    stalled = made_result("old", draw=1, windows=3, losses=(0.5,))
    stored(stalled, "earlier")
    assert "with a warning" in run(*allowed)
    assert "a warning, and --strict" in run(*allowed, "--strict", code=1)


# --- adopting and finding -----------------------------------------------------------------------------------------


def test_several_repeats_are_one_baseline(tmp_path):
    made = adopt([made_result("a"), made_result("b", seed=1)], tmp_path, "two seeds")
    assert read_baseline(made.path) == made
    assert load_baselines(tmp_path)[0].runs == ("a", "b")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"status": "failed"}, CaseFailedError),
        ({"bad_images": {"skipped": 1}}, UsageError),
        ({"case": "another"}, UsageError),
        ({"weights": {"source": "other", "sha256": "1" * 64}}, UsageError),
    ],
)
def test_only_completed_repeats_of_one_case_are_adopted(tmp_path, change, error):
    with pytest.raises(error, match="changed"):
        adopt([made_result("first"), {**made_result("changed"), **change}], tmp_path, "why")
    assert list(tmp_path.iterdir()) == []


def test_a_name_stays_with_its_case_and_device(tmp_path):
    adopt([made_result("first")], tmp_path, "why", "nightly")
    with pytest.raises(UsageError, match="choose another --name"):
        adopt([{**made_result("second"), "case": "another"}], tmp_path, "why", "nightly")
    with pytest.raises(UsageError, match="--name"):
        adopt([made_result("third")], tmp_path, "why", "a b")


def adopted(name, date="2026-01-01T00:00:00Z", **changes):
    return Baseline(name, ({**made_result(name), **changes},), "why", date)


def test_the_baseline_that_differs_least_is_taken_and_of_equals_the_newest():
    lr = made_result("lr")
    lr["config"]["train"]["lr"] = 1.0
    other = Baseline("lr", (lr,), "why", "2027-01-01T00:00:00Z")
    old, new = adopted("old"), adopted("new", "2026-06-01T00:00:00Z")
    assert find_baseline(made_result(), [other, old, new])[0] is new
    assert find_baseline(made_result(), [other])[0] is other


def test_an_adopted_baseline_is_of_one_case_and_device():
    assert find_baseline(made_result(), [adopted("x", case="another")])[0] is None
    elsewhere = made_result()
    elsewhere["environment"]["device"]["name"] = "Card 2"
    found, why = find_baseline(elsewhere, [adopted("x")])
    assert found is None
    assert why == "there is no baseline for quickstart on Card 2, only for quickstart on Card 1"


def test_the_only_result_named_is_the_baseline_of_any_case():
    named = Baseline("old", ({**made_result("old"), "case": "another"},))
    assert find_baseline(made_result(), [named])[0] is named

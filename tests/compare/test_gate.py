"""From paths and options to a judgement: which baseline is meant, what is left to compare, what is refused."""

import json

import pytest

from clipbench.compare.gate import Request, judge, load
from clipbench.errors import UsageError
from clipbench.files import schemas
from tests.support.made_results import failed, made_result
from tests.support.stored_results import run, stored

# --- which --baseline is meant ------------------------------------------------------------------------------------


def test_a_run_is_found_among_the_paths_and_is_not_compared_with_itself(place):
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


def test_references_are_compared_with_beside_a_baseline_only_when_asked_for(place):
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
        *("--allow", "data", "--allow", "evaluation", "--allow", "recipe"),
    )
    both = json.loads(run(*asked, "--format", "json", code=1))
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


def test_an_inconclusive_gate_says_so_first_and_fails_where_that_was_asked_for(place):
    stored(made_result("old", draw=1), "earlier")
    stored(made_result("new", windows=3, losses=(0.5,), slower=0.05), "new")
    allowed = ("compare", "new", "--baseline", "earlier")
    stalled = made_result("old", draw=1, windows=3, losses=(0.5,))
    stored(stalled, "earlier")
    assert run(*allowed).startswith("INCONCLUSIVE quickstart on Card 1: throughput fell from ")
    assert run(*allowed, "--fail-on", "fail,warn", "--fail-on", "better").startswith("INCONCLUSIVE ")
    for asked in (["--strict"], ["--fail-on", "inconclusive"], ["--fail-on", "warn,inconclusive"]):
        text = run(*allowed, *asked, code=1)
        assert text.startswith("INCONCLUSIVE ") and "exit code 1, --fail-on" in text
    assert "did you mean 'better'" in run(*allowed, "--fail-on", "fail,beter", code=2)


def test_a_second_seed_in_the_baseline_does_not_hide_a_loss_curve_that_is_off(place):
    stored(made_result("old"), "earlier")
    stored(made_result("new", losses=(0.6, 0.35)), "new")
    for seed in (1, 2):
        said = " ".join(run("compare", "new", "--baseline", "earlier", code=1).split())
        assert "FAIL quickstart on Card 1: loss curve is 30.0 % off the baseline's on average" in said
        assert "on the seed 0 that both sides have (at most 5 % is allowed)" in said
        stored(made_result(f"old-{seed}", seed=seed, losses=(0.7, 0.4)), "earlier")


# --- inputs -------------------------------------------------------------------------------------------------------


def test_a_reference_that_is_not_there_is_a_usage_error_with_those_that_are(place):
    stored(made_result())
    with pytest.raises(UsageError, match=r"--reference nothing: no such reference or file; known: .*quickstart.*, own"):
        load(Request((place,), reference="nothing"))


def test_without_a_baseline_none_is_looked_for(place):
    stored(made_result())
    assert load(Request((place,))).baselines is None
    assert load(Request((place,), baseline="adopted")).baselines == ()
    with pytest.raises(UsageError, match=r"--baselines .*: no such folder"):
        load(Request((place,), baseline="adopted", baselines=place / "nowhere"))


def test_every_result_is_judged_on_its_own_reference(place):
    stored(made_result("a"))
    stored(failed(made_result("b")))
    judgement = judge(Request((place / "results",)))
    assert [(c.runs, c.status) for c in judgement.comparisons] == [(("a",), "not comparable"), (("b",), "failed case")]

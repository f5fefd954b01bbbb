"""What each result is compared with: its reference, the nearest baseline, or nothing and why."""

from dataclasses import replace

import pytest

from clipbench.compare.comparing import compare
from clipbench.compare.gate import as_baselines
from clipbench.compare.matching import Terms, find_baseline, group_repeats, match_baselines, match_reference, unmet
from clipbench.compare.verdicts import Unmatched
from clipbench.results.baselines import Baseline
from tests.compare.test_deciding import figures
from tests.support.made_results import changed, failed, made_result


def judged(results, baselines, repeats=False):
    return [compare(match) for match in match_baselines(results, baselines, Terms(), repeats=repeats)]


# --- references ---------------------------------------------------------------------------------------------------


def test_a_result_without_a_reference_says_what_there_is():
    references = {"figures-of-mine": figures()}
    comparison = compare(match_reference(made_result(), references, "figure-of-mine"))
    assert (comparison.status, comparison.against) == ("no reference", None)
    assert comparison.unmatched == Unmatched("reference", "figure-of-mine", ("figures-of-mine",))


def test_the_named_reference_comes_before_the_results_own():
    own, other = figures(), figures(name="other")
    references, result = {"figures": own, "other": other}, replace(made_result(), reference="figures")
    assert match_reference(result, references).other is own
    assert match_reference(result, references, "other").other is other
    assert match_reference(replace(result, reference=None), references).unmatched.name is None


@pytest.mark.parametrize(("terms", "target"), [(None, 90.0), (Terms(target=80.0), 80.0)])
def test_the_target_is_the_references_unless_one_is_given(terms, target):
    assert match_reference(made_result(), {"figures": figures(target=90.0)}, "figures", terms).target == target


def test_a_condition_that_is_not_met_rules_out_everything_whatever_it_is_about():
    conditions = {"config.train.compile": "default", "run_id": "another"}
    compiling, run = unmet(conditions, made_result(), Terms(frozenset({"settings"})))
    assert (compiling.name, compiling.blocks, compiling.allowed) == ("settings", "all", True)
    assert (run.name, run.blocks, run.allowed) == ("recipe", "all", False)


# --- baselines ----------------------------------------------------------------------------------------------------


def test_repeats_are_pooled_where_they_say_so_and_failed_cases_stand_alone():
    results = [made_result("a", draw=1), made_result("b", draw=2), failed(made_result("c"))]
    base = as_baselines("base", [made_result("base", draw=1)])
    comparisons = judged(results, base, repeats=True)
    assert [(comparison.runs, comparison.status) for comparison in comparisons] == [
        (("c",), "failed case"),
        (("a", "b"), "pass"),
    ]
    assert comparisons[1].title == "quickstart (2 runs)"
    assert [comparison.runs for comparison in judged(results[:2], base)] == [("a",), ("b",)]


def test_seeds_of_one_call_are_pooled_whatever_seed_their_case_is_called_after():
    seeds = [of_matrix(seed, invocation="one") for seed in (0, 1)]
    other = of_matrix(2, invocation="two")
    base = as_baselines("base", [of_matrix(seed, "base") for seed in (0, 1)])
    assert [baseline.runs for baseline in base] == [("base-0", "base-1")]
    comparisons = judged([*seeds, other], base)
    assert [comparison.runs for comparison in comparisons] == [("run-0", "run-1"), ("run-2",)]
    assert {comparison.against.name for comparison in comparisons} == {"base"}


def of_matrix(seed, name="run", **changes):
    """A result of a case that a matrix of seeds has made."""
    case = f"quickstart@seed={seed}"
    result = changed(made_result(f"{name}-{seed}", seed=seed), "config.name", case)
    return replace(result, case=case, **changes)


def test_results_of_older_software_do_not_hide_a_loss():
    old = [made_result(f"old-{k}", draw=k) for k in range(5)]
    new = changed(made_result("new", lost=0.1), "environment.packages", {"torch": "2.5.0"})
    comparisons = judged([*old, new], as_baselines("base", [made_result("base", draw=1)]), repeats=True)
    assert [comparison.status for comparison in comparisons] == ["pass", "fail"]
    assert "environment.packages.torch" in {difference.path for difference in comparisons[1].differences}
    assert len(group_repeats([*old, new])) == 1


def adopted(name, date="2026-01-01T00:00:00Z", **changes):
    return Baseline(name, (replace(made_result(name), **changes),), "why", date)


def test_without_a_baseline_for_the_case_nothing_passes():
    (comparison,) = judged([made_result()], [adopted("x", case="another")])
    assert comparison.status == "no baseline"
    assert comparison.unmatched == Unmatched("baseline", "quickstart on Card 1", ("another on Card 1",))


def test_the_baseline_that_differs_least_is_taken_and_of_equals_the_newest():
    other = Baseline("lr", (changed(made_result("lr"), "config.train.lr", 1.0),), "why", "2027-01-01T00:00:00Z")
    old, new = adopted("old"), adopted("new", "2026-06-01T00:00:00Z")
    assert find_baseline(made_result(), [other, old, new]) == (new, None)
    assert find_baseline(made_result(), [other]) == (other, None)
    named = Baseline("named", (made_result("named"),))
    assert find_baseline(made_result(), [new, named]) == (named, None)


def test_an_adopted_baseline_is_of_one_case_and_device():
    assert find_baseline(made_result(), [adopted("x", case="another")])[0] is None
    elsewhere = changed(made_result(), "environment.device.name", "Card 2")
    assert find_baseline(elsewhere, [adopted("x")]) == (
        None,
        Unmatched("baseline", "quickstart on Card 2", ("quickstart on Card 1",)),
    )


def test_the_only_result_named_is_the_baseline_of_any_case():
    named = Baseline("old", (replace(made_result("old"), case="another"),))
    assert find_baseline(made_result(), [named])[0] is named

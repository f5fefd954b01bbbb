"""Many results over time: what each comes to, and what its series is compared with."""

from dataclasses import replace

import pytest

from clipbench.compare.gate import as_baselines
from clipbench.compare.history import Point, Series, commits_of, judge_history
from clipbench.compare.trend import SeriesKey, group_by_series, newest_of_each
from clipbench.compare.verdicts import Verdict
from clipbench.results.collecting.collect import Collection
from tests.compare.test_deciding import figure, figures
from tests.support.made_results import changed, failed, made_result

KEY = SeriesKey("suite", "case", "torch", "a card", "float32", 1)


def dated(run_id, day, **changes):
    return replace(made_result(run_id, **changes), started=f"2026-01-{day:02d}T00:00:00Z", reference="figures")


def inputs(*results, baselines=None, **reference):
    reference = figures({"recall_mean": figure(93.0)}, **reference)
    return Collection(results, {"figures": reference}, baselines=baselines)


def chosen(*runs):
    return lambda newest: runs


def point(index, reference=None, tolerance=None):
    verdict = Verdict("recall_mean", "percent", "higher", 90.0, reference, tolerance)
    result = changed(dated(str(index), index + 1), "clipbench.commit", f"c{index // 2}")
    return Point(result, "pass", {"recall_mean": verdict})


# --- series -------------------------------------------------------------------------------------------------------


def test_a_series_is_one_case_on_one_kind_of_device_oldest_result_first():
    other = changed(dated("d", 4), "config.world_size", 4)
    groups = group_by_series([dated("c", 3), dated("a", 1), other, dated("b", 2)])
    assert [[result.run_id for result in group] for group in groups.values()] == [["d"], ["a", "b", "c"]]
    assert [key.label for key in groups] == [
        "quickstart, torch, 4 x Card 1, float32",
        "quickstart, torch, Card 1, float32",
    ]


def test_each_engine_has_a_series_of_its_own():
    """The same device is not as fast in another framework: that is no change of one of them."""
    groups = group_by_series([changed(dated(name, 1), "config.engine", name) for name in ("jax", "torch")])
    assert sorted(key.label for key in groups) == [f"quickstart, {name}, Card 1, float32" for name in ("jax", "torch")]


def test_a_case_that_never_got_a_device_has_a_series_of_its_own():
    (key,) = group_by_series([changed(dated("a", 1), "environment", None)])
    assert key.label == "quickstart, torch, device unknown, precision unknown"


def test_the_newest_of_every_seed_holds_now():
    results = [dated(str(index), index + 1, seed=index % 2) for index in range(4)]
    assert [one.run_id for one in newest_of_each([results])] == ["3", "2"]
    assert len(newest_of_each([results, results])) == 4


@pytest.mark.parametrize("texts", [("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00Z")])
def test_times_sort_with_and_without_a_fraction_of_a_second(texts):
    results = [replace(made_result(str(number)), started=text) for number, text in enumerate(texts)]
    (group,) = group_by_series(results).values()
    assert [result.run_id for result in group] == ["1", "0"]


# --- bands --------------------------------------------------------------------------------------------------------


def test_a_band_holds_until_the_reference_changes():
    points = [point(0, 90.0, 1.0), point(1, 90.0, 1.0), point(2), point(3, 91.0), point(4, 91.0)]
    series = Series(KEY, tuple(points))
    found = [(band.start, band.reference, band.low, band.high) for band in series.bands("recall_mean")]
    assert found == [(0, 90.0, 89.0, 91.0), (2, None, None, None), (3, 91.0, None, None)]
    assert series.bands("unknown") == ()


def test_commits_are_named_once_in_their_order():
    assert commits_of([point(0), point(1), point(2), point(0)]) == ("c0", "c1")


# --- everything judged --------------------------------------------------------------------------------------------


def test_every_result_is_judged_and_broken_runs_measure_nothing():
    history = judge_history(inputs(dated("a", 1), dated("b", 2, lost=0.1), failed(dated("c", 3))), chosen())
    (series,) = history.series
    assert [one.status for one in series.points] == ["pass", "fail", "failed case"]
    assert series.points[0].verdicts["recall_mean"].label == "pass" and series.points[2].verdicts == {}
    assert [c.runs for c in history.judgement.comparisons] == [("a",), ("b",), ("c",)]
    assert history.newest == (series.points[2],)


def test_sampling_errors_are_computed_for_runs_in_full_alone():
    history = judge_history(inputs(dated("a", 1), dated("b", 2)), chosen("a"))
    errors = {run: comparisons[0].verdicts[0].error for run, comparisons in history.by_run.items()}
    assert errors["a"] > 0 and errors["b"] is None


def test_the_newest_results_and_those_in_full_are_compared_with_the_baseline_too():
    results = dated("old", 1), dated("middle", 2), dated("new", 3, lost=0.1), dated("seed", 2, seed=1)
    history = judge_history(inputs(*results, baselines=as_baselines("base", [results[0]])), chosen("middle"))
    kinds = {run: [c.against.kind for c in comparisons] for run, comparisons in history.by_run.items()}
    both = ["baseline", "reference"]
    assert kinds == {"old": ["reference"], "middle": both, "new": both, "seed": both}
    (series,) = history.series
    assert {one.result.run_id: one.status for one in series.points}["new"] == "fail"
    (band,) = series.bands("recall_mean")
    assert (band.start, band.reference) == (0, results[0].value("recall_mean"))
    assert band.reference - band.low == 0.5


def test_without_a_baseline_the_bands_are_those_of_the_references():
    (series,) = judge_history(inputs(dated("a", 1), dated("b", 2)), chosen()).series
    assert [(band.start, band.reference, band.low) for band in series.bands("recall_mean")] == [(0, 93.0, 92.0)]
    assert Series(KEY, ()).bands("recall_mean") == ()


def test_a_comparison_that_found_nothing_counts_only_where_both_did():
    known = dated("known", 1)
    unknown = replace(dated("unknown", 2, seed=1), reference=None)
    history = judge_history(inputs(known, unknown, baselines=()), chosen())
    assert [c.status for c in history.by_run["known"]] == ["pass"]
    assert [c.status for c in history.by_run["unknown"]] == ["no baseline"]

"""What runs are called: by what tells them apart."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.report.page.naming import differing_traits, labels, names
from tests.support.made_results import changed, made_result

MADE = made_result("a")


def made(*changes, run_id="b", **others):
    result = replace(MADE, run_id=run_id, **others)
    for path, value in changes:
        result = changed(result, path, value)
    return result


def called(*results):
    return labels(results, names(results))


@pytest.mark.parametrize(
    ("changes", "others", "first", "second"),
    [
        ([], {"seed": 3}, "seed 0", "seed 3"),
        ([("environment.device.name", "Card 2")], {}, "Card 1", "Card 2"),
        ([("config.world_size", 4)], {}, "Card 1", "4 x Card 1"),
        ([("config.engine", "jax")], {}, "torch", "jax"),
        ([("environment.device.precision", "bfloat16")], {"seed": 1}, "float32, seed 0", "bfloat16, seed 1"),
        ([("config.train.batch_size", 100)], {}, "batch 50", "batch 100"),
        ([("config.train.lr", 0.002)], {}, "lr 0.001", "lr 0.002"),
        ([("weights.source", "file")], {}, "random", "file"),
        ([], {"suite": "other", "case": "other@seed=0", "seed": 1}, "quickstart", "other"),
        ([("clipbench.commit", "abcdef123456")], {}, "quickstart, no commit", "quickstart, abcdef1"),
        # What only says how a run is watched tells nothing.
        ([("config.checkpoint.minutes", 5)], {"seed": 1}, "seed 0", "seed 1"),
    ],
)
def test_a_run_is_called_by_what_differs(changes, others, first, second):
    assert called(MADE, made(*changes, **others)) == [first, second]


def test_a_choice_of_a_matrix_counts_whatever_it_is():
    workers = made(("config.train.workers", 2), case="quickstart@train.workers=2")
    other = made(("config.train.workers", 4), case="quickstart@train.workers=4")
    assert called(workers, other) == ["workers 2", "workers 4"]


def test_alone_a_run_has_the_name_of_its_case():
    assert called(made(case="quickstart@seed=1")) == ["quickstart"]


def test_what_cannot_be_told_apart_otherwise_has_start_or_id():
    later = made(started="2026-01-02T03:04:05Z")
    assert called(MADE, later) == ["quickstart, 2026-01-01 00:00 UTC", "quickstart, 2026-01-02 03:04 UTC"]
    assert called(MADE, made()) == ["quickstart, a", "quickstart, b"]


def test_only_what_differs_within_a_suite_is_a_trait():
    other_suite = made(("config.train.batch_size", 32), suite="other")
    assert differing_traits([MADE, other_suite, made(seed=4)]) == [{"seed": "0"}, {}, {"seed": "4"}]


@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["1" * 40, "2" * 40, None]), st.booleans()), max_size=8))
def test_labels_tell_all_runs_apart(drawn):
    results = [
        replace(MADE, run_id=f"run-{number}", seed=seed, clipbench=replace(MADE.clipbench, commit=commit, dirty=dirty))
        for number, (seed, commit, dirty) in enumerate(drawn)
    ]
    assert len(set(called(*results))) == len(results)

"""The one throughput: pairs of all timed windows of a run over their seconds, under one name wherever it is shown."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.api.result import Window
from clipbench.results.measures.metrics import metric_called, throughput
from clipbench.results.result import read_result

OLD = Path(__file__).parent / "version_1"
ALSO_CALLED = ["throughput", "samples_per_second", "samples/s", "pairs/s", "Pairs per second", "speed", "img/s"]


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0.01, 100)), min_size=1, max_size=9), st.integers(1, 64))
def test_it_is_pairs_over_seconds_however_the_windows_are_cut(windows, batch):
    """A mean or median of windows would count a short one as much as a long one."""
    whole = throughput([Window(steps, seconds, 0.0) for steps, seconds in windows], batch)
    assert whole == pytest.approx(batch * sum(n for n, _ in windows) / sum(s for _, s in windows))
    assert throughput([], batch) is None and throughput([Window(0, 0.0, 0.0)], batch) is None


@pytest.mark.parametrize("name", ALSO_CALLED)
def test_words_that_people_use_are_understood(name):
    assert metric_called(name) == "throughput"


def test_other_names_stay_as_they_are():
    assert metric_called("joules") == "joules" and metric_called("recall_mean") == "recall_mean"


@pytest.mark.parametrize("name", ["completed", "interrupted"])
def test_a_result_of_version_1_has_the_throughput_of_its_run(name):
    result = read_result(OLD / f"{name}.json")
    windows = [window for record in result.epochs for window in record.windows]
    wanted = throughput(windows, result.config["train"]["batch_size"])
    assert result.value("throughput") == pytest.approx(wanted) and result.metric("samples_per_second") is None
    before = json.loads((OLD / f"{name}.json").read_text(encoding="utf-8"))["epochs"]
    assert [record.throughput for record in result.epochs] == [epoch["samples_per_second"] for epoch in before]
    assert result.epochs[0].throughput_per_device == before[0]["samples_per_second_per_device"]

"""`clipbench trend`: one metric over time, per case and device."""

import copy
import json
import random

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from clipbench.cli import main
from clipbench.compare.trend import trends_of
from clipbench.report.trend import BLOCKS, GAP, PLAIN, _levels, figure, sparkline
from clipbench.results.result import build_result, write_result
from clipbench.suites.loading import load_suite

SPLIT = {"images": 10, "captions": 50, "annotation_sha256": "0" * 64}
ERROR = {"type": "Error", "message": "it broke", "exit_code": 4, "traceback": None}
RECORD = {
    **{"epoch": 1, "steps": 10, "learning_rate": 1e-6, "data_wait": 0.0, "step_seconds": {"p50": 0.1}, "windows": []},
    **{"train_loss": 0.5, "val_loss": 0.6, "recall": {"recall_mean": 90.0}, "samples_per_second": 50.0},
    **{"peak_memory_bytes": 1, "host_memory_bytes": 1, "seconds": {"train": 1.0, "eval": 1.0}, "reasons": {}},
}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A result as runs make them, to be varied."""
    path = tmp_path_factory.mktemp("suite") / "mine.yaml"
    path.write_text("{name: mine, model: {name: clip-tiny}, dataset: {name: shapes}}")
    device = {"kind": "cpu", "name": "a processor", "count": 1, "ranks": 1, "precision": "float32"}
    environment = {"os": "Linux", "python": "3.11", "cpu": {"name": "a processor", "cores": 2}, "device": device}
    environment |= {"packages": {}, "plugins": {}, "variables": {}}
    dataset = {"name": "shapes", "train": {"split": "train", **SPLIT}, "val": {"split": "val", **SPLIT}}
    events = [
        {"event": "environment", "environment": environment},
        {"event": "inputs", "dataset": dataset, "weights": {"source": "random", "sha256": None}, "text_truncated": 0},
        {"event": "started", "model": {}},
        {"event": "epoch", "record": RECORD},
        {"event": "ranks", "ranks": {"epoch": 1, "text": [0], "image": [0]}},
    ]
    return build_result(load_suite(path).cases[0], "mine-0", "2026-01-01T00:00:00Z", events, "completed", None)


@pytest.fixture
def result(made):
    def make(day, recall=90.0, **changes):
        data = copy.deepcopy(made)
        data |= {"run_id": f"mine-{day:02d}", "started": f"2026-01-{day:02d}T00:00:00Z"}
        data["clipbench"] |= {"commit": f"{day:040x}", "dirty": day == 3}
        data["metrics"]["last"]["values"]["recall_mean"]["value"] = recall
        for key, value in changes.items():
            if key == "device":
                data["environment"]["device"]["name"] = value
            else:
                data[key] = value
        return data

    return make


def trend(*words):
    return CliRunner().invoke(main, ["trend", *map(str, words)], env={"COLUMNS": "79", "TERM": "dumb"})


def test_a_table_with_commits_values_and_changes_oldest_first(tmp_path, result):
    for day, recall in ((3, 89.5), (1, 90.0), (2, 91.0)):
        write_result(tmp_path, result(day, recall))
    done = trend(tmp_path)
    assert done.exit_code == 0
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("2026-01")]
    assert [row[0] for row in rows] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [row[2:5] for row in rows] == [
        ["00000000", "90.00", "mine-01"],
        ["00000000", "91.00", "+1.00"],
        ["00000000+", "89.50", "-1.50"],
    ]
    assert "mine, a processor, float32" in done.stdout and "89.50 to 91.00 in 3 results" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 79


def test_every_case_and_device_is_a_series_of_its_own_newest_first(tmp_path, result):
    for day, changes in ((1, {}), (2, {"device": "another"}), (3, {"case": "mine@seed=1"}), (4, {})):
        write_result(tmp_path, result(day, **changes))
    data = json.loads(trend(tmp_path, "--format", "json").stdout)
    assert [(one["case"], one["device"], len(one["measurements"])) for one in data["trends"]] == [
        ("mine", "a processor", 2),
        ("mine@seed=1", "a processor", 1),
        ("mine", "another", 1),
    ]
    only = json.loads(trend(tmp_path, "--format", "json", "--case", "mine@*").stdout)
    assert [one["case"] for one in only["trends"]] == ["mine@seed=1"]


def test_last_keeps_the_newest_and_says_how_many_are_left_out(tmp_path, result):
    for day in range(1, 6):
        write_result(tmp_path, result(day))
    done = trend(tmp_path, "--last", 2)
    assert "mine-05" in done.stdout and "mine-04" in done.stdout and "mine-03" not in done.stdout
    assert "3 earlier" in done.stdout
    (one,) = json.loads(trend(tmp_path, "--last", 2, "--format", "json").stdout)["trends"]
    assert [m["run_id"] for m in one["measurements"]] == ["mine-04", "mine-05"] and one["left_out"] == 3
    assert trend(tmp_path, "--last", 0).exit_code == 2


def test_a_long_table_is_cut_but_json_is_whole(tmp_path, result):
    for day in range(1, 29):
        write_result(tmp_path, result(day))
    text = trend(tmp_path).stdout
    assert "8 earlier" in text and "mine-08" not in text and "mine-09" in text and "in 28 results" in text
    (one,) = json.loads(trend(tmp_path, "--format", "json").stdout)["trends"]
    assert len(one["measurements"]) == 28 and one["left_out"] == 0


def test_what_was_not_measured_is_a_gap_with_its_reason(tmp_path, result):
    write_result(tmp_path, result(1, 90.0))
    write_result(tmp_path, result(2, status="failed", error=ERROR))
    nothing = result(3)
    nothing["metrics"]["last"]["values"]["recall_mean"] = {
        **{"unit": "percent", "direction": "higher"},
        **{"value": None, "reason": "not evaluated"},
    }
    write_result(tmp_path, nothing)
    write_result(tmp_path, result(4, 91.0))
    done = trend(tmp_path)
    assert "mine-02: the case failed" in done.stdout and "mine-03: not evaluated" in done.stdout
    # The change is from what was measured last.
    assert "+1.00 mine-04" in done.stdout
    (one,) = json.loads(trend(tmp_path, "--format", "json").stdout)["trends"]
    assert [m["value"] for m in one["measurements"]] == [90.0, None, None, 91.0]


def test_a_case_that_died_before_it_knew_its_device(tmp_path, result):
    write_result(
        tmp_path, result(1, status="failed", error=ERROR, environment=None, metrics={"last": None, "best": None})
    )
    done = trend(tmp_path)
    assert done.exit_code == 0 and "device unknown" in done.stdout and "nothing measured in 1 result" in done.stdout


def test_a_metric_that_nobody_knows_is_exit_2_with_the_nearest(tmp_path, result):
    write_result(tmp_path, result(1))
    done = trend(tmp_path, "--metric", "recall_maen")
    assert done.exit_code == 2 and "did you mean 'recall_mean'" in done.output
    assert trend(tmp_path, "--metric", "samples_per_second").exit_code == 0
    done = trend(tmp_path, "--case", "yours")
    assert done.exit_code == 2 and "mine" in done.output


def test_a_metric_of_a_plugin_brings_its_own_unit(result):
    data = result(1)
    data["metrics"]["last"]["values"]["joules"] = {"value": 7.0, "unit": "J", "direction": "lower"}
    (one,) = trends_of([result(2), data], "joules")
    assert (one.unit, one.direction) == ("J", "lower")
    assert [m.reason for m in one.measurements] == [None, "the result has no such metric"]


def test_a_refused_file_is_named_and_is_exit_3(tmp_path, result):
    write_result(tmp_path, result(1))
    (tmp_path / "other.json").write_text("{}")
    done = trend(tmp_path)
    assert done.exit_code == 3 and "other.json" in done.stdout and "mine-01" in done.stdout
    data = trend(tmp_path, "--format", "json")
    assert data.exit_code == 3 and "other.json" in json.loads(data.stdout)["problems"][0]


def test_an_empty_folder_is_exit_4(tmp_path):
    done = trend(tmp_path)
    assert done.exit_code == 4 and "no results" in done.stdout
    assert trend(tmp_path / "nowhere").exit_code == 2


# --- the sparkline ------------------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.none() | finite, max_size=200), st.integers(1, 60))
@example([1.7e308, -1.7e308], 60)
@example([5e-324, 0.0], 60)
def test_a_sparkline_is_as_long_as_it_may_be_and_keeps_order(values, width):
    line = sparkline(values, width=width)
    assert len(line) == min(len(values), width) and set(line) <= {*BLOCKS, GAP}
    if len(values) <= width:
        assert [cell == GAP for cell in line] == [value is None for value in values]
        known = sorted(
            (value, BLOCKS.index(cell)) for value, cell in zip(values, line, strict=True) if value is not None
        )
        heights = [height for _, height in known]
        assert heights == sorted(heights)
        if known and known[0][0] / 2 < known[-1][0] / 2:
            assert (heights[0], heights[-1]) == (0, len(BLOCKS) - 1)


def test_many_values_are_averaged_so_that_a_step_stays_where_it_was():
    draws = random.Random(0)
    values = [(90 if i < 500 else 88) + draws.uniform(-0.2, 0.2) for i in range(1000)]
    line = sparkline(values, width=50)
    assert set(line[:25]) <= set(BLOCKS[5:]) and set(line[25:]) <= set(BLOCKS[:3])


def test_values_that_are_all_alike_are_in_the_middle():
    assert set(sparkline([3.0] * 5)) <= set(BLOCKS[3:5])


@pytest.mark.parametrize(
    ("encoding", "levels"), [("utf-8", BLOCKS), ("ascii", PLAIN), ("cp1252", PLAIN), (None, PLAIN)]
)
def test_blocks_only_where_the_output_can_take_them(encoding, levels):
    assert _levels(encoding) == levels and len(PLAIN) == len(BLOCKS) and GAP not in PLAIN


@given(finite)
def test_a_figure_fits_its_column_about_right(value):
    text = figure(value)
    assert len(text) <= 10 and (float(text) == pytest.approx(value, rel=0.01, abs=0.005) or abs(value) > 1.7e308)

"""`clipbench trend`: one metric over time, per case and device."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from clipbench.api.result import CaseError, Metrics, SourceVersion
from clipbench.cli import main
from clipbench.compare.trend import trends_of
from clipbench.results.result import write_result
from tests.support.made_results import agreeing, changed, made_result, with_metric

ERROR = CaseError("Error", "it broke", 4)


def recalled(percent):
    """A result with this recall on either side; 300 images and 1500 captions give thirds of a percent."""
    ranks = [np.where(np.arange(count) < round(percent * count / 100), 0, 20) for count in (300, 1500)]
    made = made_result()
    text, image = (side.tolist() for side in ranks)
    return agreeing(replace(made, query_ranks=replace(made.query_ranks, text=text, image=image)))


@pytest.fixture
def result():
    def make(day, recall=90.0, device="a processor", case="mine", **changes):
        source = SourceVersion("0.1.0", f"{day:040x}", day == 3)
        dated = {"run_id": f"mine-{day:02d}", "clipbench": source}
        dated |= {"started": f"2026-01-{day:02d}T00:00:00Z", "ended": f"2026-01-{day:02d}T00:05:00Z"}
        section = {"kind": "cpu", "name": device, "count": 1, "precision": "float32"}
        result = changed(changed(recalled(recall), "environment.device", section), "config.name", case)
        return replace(result, case=case, **dated, **changes)

    return make


def trend(*words):
    return CliRunner().invoke(main, ["trend", *map(str, words)], env={"COLUMNS": "79", "TERM": "dumb"})


def test_a_table_with_commits_values_and_changes_oldest_first(tmp_path, result):
    for day, recall in ((3, 89.0), (1, 90.0), (2, 91.0)):
        write_result(tmp_path, result(day, recall))
    done = trend(tmp_path)
    assert done.exit_code == 0
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("2026-01")]
    assert [row[0] for row in rows] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [row[2:5] for row in rows] == [
        ["00000000", "90.00", "mine-01"],
        ["00000000", "91.00", "+1.00"],
        ["00000000+", "89.00", "-2.00"],
    ]
    assert "mine, a processor, float32" in done.stdout and "89.00 to 91.00 in 3 results" in done.stdout
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
    write_result(tmp_path, result(3, 91.0))
    done = trend(tmp_path)
    assert "mine-02: the case failed" in done.stdout
    # The change is from what was measured last.
    assert "+1.00 mine-03" in done.stdout
    (one,) = json.loads(trend(tmp_path, "--format", "json").stdout)["trends"]
    assert [m["value"] for m in one["measurements"]] == [90.0, None, 91.0]
    untimed = replace(result(4), epochs=made_result(windows=0).epochs)
    write_result(tmp_path, agreeing(untimed))
    assert "mine-04: all steps were warm-up" in trend(tmp_path, "--metric", "throughput").stdout


def test_a_case_that_died_before_it_knew_its_device(tmp_path, result):
    write_result(
        tmp_path,
        result(
            1,
            status="failed",
            error=ERROR,
            environment=None,
            dataset=None,
            epochs=(),
            metrics=Metrics(),
            query_ranks=None,
        ),
    )
    done = trend(tmp_path)
    assert done.exit_code == 0 and "device unknown" in done.stdout and "nothing measured in 1 result" in done.stdout


def test_a_metric_that_nobody_knows_is_exit_2_with_the_nearest(tmp_path, result):
    write_result(tmp_path, result(1))
    done = trend(tmp_path, "--metric", "recall_maen")
    assert done.exit_code == 2 and "did you mean 'recall_mean'" in done.output
    assert trend(tmp_path, "--metric", "throughput").exit_code == 0
    done = trend(tmp_path, "--case", "yours")
    assert done.exit_code == 2 and "mine" in done.output


def test_a_metric_of_a_plugin_brings_its_own_unit(result):
    measured = with_metric(result(1), "joules", value=7.0, unit="J", direction="lower")
    (one,) = trends_of([result(2), measured], "joules")
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

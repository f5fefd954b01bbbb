"""Telemetry of a run: into the result, beside the verdict; never the reason why a run fails."""

import json

import pytest

from tests.support.numpy_runs import clipbench, flat_suite, results, write_pictures

HOT = {"watts": 100.0, "celsius": 70.0, "throttled": ["thermal"], "processes": 2}


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "flat.yaml"
    path.write_text(json.dumps(flat_suite(write_pictures(tmp_path / "data"))))
    return path


def run(suite, meter):
    done = clipbench("run", suite, cwd=suite.parent, CLIPBENCH_NUMPY_METER=meter, CLIPBENCH_NUMPY_PAUSE="0.02")
    assert done.returncode == 0, done.stderr
    return results(suite.parent)[-1]


def test_energy_and_what_slowed_the_device_down_stand_in_the_result_and_beside_the_verdict(suite):
    result = run(suite, json.dumps(HOT))
    for record in result.epochs:
        measured, seconds = record.telemetry, record.seconds
        assert measured.meter == "wattmeter" and measured.watts_mean == 100 and measured.shared
        assert measured.joules["train"] == pytest.approx(100 * seconds.train, rel=0.2, abs=1)
        assert measured.throttled_seconds.keys() == {"thermal"}
    pairs = sum(record.steps for record in result.epochs) * 8
    spent = sum(record.telemetry.joules["train"] for record in result.epochs)
    assert result.value("energy_per_1000_pairs") == pytest.approx(1000 * spent / pairs)
    done = clipbench(
        "baseline", "set", *(suite.parent / "results").glob("*.json"), "--reason", "first", cwd=suite.parent
    )
    assert done.returncode == 0, done.stderr
    clipbench("run", suite, "--out", "later", cwd=suite.parent, CLIPBENCH_NUMPY_METER=json.dumps(HOT))
    done = clipbench("compare", "later", "--baseline", "adopted", cwd=suite.parent)
    text = " ".join(done.stdout.split())
    assert "energy per 1,000 pairs" in text and "another process was on the device" in text and "thermal for" in text


def test_without_a_meter_the_result_says_why(suite):
    result = run(suite, "")
    assert {record.telemetry for record in result.epochs} == {None}
    assert result.epochs[0].reasons["telemetry"] == "wattmeter: it is not plugged in"
    assert "energy_per_1000_pairs" not in result.metric_names


def test_a_meter_that_breaks_takes_its_figures_with_it_and_not_the_run(suite):
    result = run(suite, "raise")
    assert result.epochs[0].telemetry.joules["train"] is None
    assert "the needle is stuck" in result.metric("energy_per_1000_pairs").reason

"""What a device is tuned to is decided once on a machine, and a result says when."""

import pytest

from tests.support.numpy_runs import clipbench, results

DECIDES = {"CLIPBENCH_NUMPY_TUNE": "1"}  # by its process id


def device_of_a_run(suite, folder, cache, **more):
    folder.mkdir()
    done = clipbench(
        "run", suite(train={"epochs": 1}), cwd=folder, **{"CLIPBENCH_CACHE": str(cache), **DECIDES, **more}
    )
    assert done.returncode == 0, done.stderr
    (result,) = results(folder)
    return result.environment["device"]


@pytest.fixture
def first(suite, tmp_path):
    return device_of_a_run(suite, tmp_path / "first", tmp_path / "cache")


def test_a_later_run_takes_what_an_earlier_one_has_decided(first, suite, tmp_path):
    again = device_of_a_run(suite, tmp_path / "again", tmp_path / "cache")
    assert again["tuning"] == first["tuning"]
    assert again["tuning_decided"] == first["tuning_decided"]


def test_what_may_change_the_decision_has_it_made_again(first, suite, tmp_path):
    other = device_of_a_run(suite, tmp_path / "other", tmp_path / "cache", OMP_NUM_THREADS="1")
    assert other["tuning"] != first["tuning"]


@pytest.mark.parametrize("content", ["{", "[]", '{"tuned_to": 3, "decided": "today"}', '{"tuned_to": {}}'])
def test_a_damaged_decision_is_made_again_and_kept(first, suite, tmp_path, content):
    (kept,) = (tmp_path / "cache" / "tuning").iterdir()
    kept.write_text(content)
    second = device_of_a_run(suite, tmp_path / "second", tmp_path / "cache")
    assert second["tuning"] != first["tuning"]
    assert device_of_a_run(suite, tmp_path / "third", tmp_path / "cache")["tuning"] == second["tuning"]


def test_a_cache_that_cannot_be_written_stops_no_run(suite, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert "chosen" in device_of_a_run(suite, tmp_path / "run", tmp_path / "cache")["tuning"]

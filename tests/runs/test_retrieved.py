"""What a run retrieved lies beside its result, written once and whole; without it, the result is as good."""

import hashlib
import shutil
from dataclasses import replace

import pytest

from clipbench.api.result import RetrievedFile
from clipbench.results.retrieved import check_retrieved
from clipbench.runs.retrieved import place_retrieved
from clipbench.suites.loading import find_suite, load_suite
from tests.support.numpy_runs import clipbench, results
from tests.support.report_results import make_result


def test_a_run_leaves_what_it_retrieved_beside_its_result(suite, tmp_path):
    done = clipbench("run", suite(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (result,) = results(tmp_path)
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert names == [".work", f"{result.run_id}.json", f"{result.run_id}.retrieved.zip"]
    assert f"{result.run_id}.retrieved.zip" in done.stdout and "terms of the data" in done.stdout
    reader = check_retrieved(result, tmp_path / "results" / f"{result.run_id}.json")
    data = reader.retrieved
    assert (data.epoch, data.images, data.texts) == (3, 12, 24) and "Flickr8k is for non-commercial" in data.terms
    # The first answer is true just where the rank is 0.
    owner = result.query_ranks.image_of_text
    first = [top[0] == owner[query] for query, top in zip(data.image.query, data.image.top, strict=True)]
    assert first == [rank == 0 for rank in result.query_ranks.image] and any(first)
    assert data.captions["0"] and all(reader.picture(index) for index in range(12))
    kept = tmp_path / "results" / ".work" / result.run_id
    assert sorted(path.name for path in kept.iterdir()) == ["checkpoints", "run.json"]


def test_a_suite_may_ask_for_none_and_computes_the_same(suite, tmp_path):
    done = clipbench("run", suite(), "--set", "eval.pictures=false", cwd=tmp_path)
    assert done.returncode == 0 and "pictures" not in done.stdout
    (result,) = results(tmp_path)
    assert result.retrieved is None and not list((tmp_path / "results").glob("*.zip"))
    with_pictures, without = (
        load_suite(find_suite("quickstart"), [f"eval.pictures={value}"]).cases[0] for value in ("true", "false")
    )
    assert with_pictures.sha256() == without.sha256()


def test_a_run_that_fails_after_its_last_evaluation_still_has_it_when_resumed(suite, tmp_path):
    path = suite(checkpoint={"epochs": 1, "keep": "none"})
    failed = clipbench("run", path, cwd=tmp_path, CLIPBENCH_NUMPY_FAULT="end")
    assert failed.returncode == 4, failed.stderr
    (result,) = results(tmp_path)
    assert result.retrieved is None and not list((tmp_path / "results").glob("*.zip"))
    again = clipbench("run", path, cwd=tmp_path)
    assert again.returncode == 0 and "resuming run" in again.stderr, again.stderr
    (done,) = results(tmp_path)
    assert done.run_id == result.run_id and done.attempts[-1].epochs == 3
    assert check_retrieved(done, tmp_path / "results" / f"{done.run_id}.json").retrieved.epoch == 3


def test_a_run_whose_file_was_lost_meanwhile_completes_without_it(suite, tmp_path):
    path = suite(checkpoint={"epochs": 1, "keep": "none"})
    clipbench("run", path, cwd=tmp_path, CLIPBENCH_NUMPY_FAULT="end")
    (kept,) = (tmp_path / "results").glob(".work/*/retrieved.zip")
    kept.unlink()
    assert clipbench("run", path, cwd=tmp_path).returncode == 0
    (done,) = results(tmp_path)
    assert done.completed and done.retrieved is None and not list((tmp_path / "results").glob("*.zip"))
    assert any("is not there" in warning for warning in done.warnings)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "retrieved.zip"
    path.write_bytes(b"what was retrieved")
    return path


@pytest.fixture
def result(source):
    content = source.read_bytes()
    return replace(make_result(), retrieved=RetrievedFile(hashlib.sha256(content).hexdigest(), len(content)))


def test_it_stays_in_the_folder_of_the_run_until_that_is_completed(source, result, tmp_path):
    out = tmp_path / "results"
    assert place_retrieved(result, source, out) == result
    assert (out / f"{result.run_id}.retrieved.zip").read_bytes() == source.read_bytes()
    assert len(list(out.iterdir())) == 1


def test_a_full_disk_costs_the_file_and_not_the_result(source, result, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    out = tmp_path / "results"
    without = place_retrieved(result, source, out)
    assert without.retrieved is None and "No space left on device" in without.warnings[-1]
    assert not list(out.iterdir())

"""What Python programs call: the functions of the commands, typed, and silent."""

import inspect
import json
import subprocess
import sys

import pandas
import pytest
from PIL import Image

import clipbench
from clipbench.compare.verdicts import Judgement
from clipbench.results import loaded
from tests.prediction.test_predict import TEXTS, flat
from tests.support.numpy_runs import COLOURS, flat_suite


def test_run_returns_what_it_wrote_and_prints_nothing(run, pictures, tmp_path, capfd):
    (tmp_path / "flat.yaml").write_text(json.dumps(flat_suite(pictures)))
    out = tmp_path / "out"
    results = clipbench.run(tmp_path / "flat.yaml", {"train.epochs": 1, "device": "paper", "seed": 3}, out=out)
    (result,) = results
    assert (result.status, result.seed, result.config["train"]["epochs"]) == ("completed", 3, 1)
    (stored,) = clipbench.load_results(out)
    assert (stored.run_id, stored.metrics) == (result.run_id, result.metrics)
    assert results.to_frame().equals(clipbench.load_results(out).to_frame())
    assert capfd.readouterr() == ("", "")


def test_a_failed_case_is_a_result_and_what_is_missing_an_error(run, pictures, tmp_path, monkeypatch):
    (tmp_path / "flat.yaml").write_text(json.dumps(flat_suite(pictures)))
    with pytest.raises(clipbench.ClipbenchError, match="not to be had on this planet"):
        clipbench.run(tmp_path / "flat.yaml", {"device": "unobtainium"}, out=tmp_path / "out")
    monkeypatch.setenv("CLIPBENCH_NUMPY_FAULT", "raise")
    (result,) = clipbench.run(tmp_path / "flat.yaml", out=tmp_path / "out")
    assert result.status == "failed" and "beads are stuck" in result.error.message
    with pytest.raises(clipbench.ClipbenchError, match=r"train\.epoch'; did you mean 'epochs'"):
        clipbench.run(tmp_path / "flat.yaml", {"train.epoch": 1}, out=tmp_path / "out")


def test_results_are_a_sequence_and_a_frame(run, learnt):
    results = clipbench.load_results()
    assert len(results) == 1 and results[0].run_id == run and len(results[:0]) == 0
    frame = results.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["recall_mean"][0] == results[0].value("recall_mean")
    assert results.to_frame("epoch")["epoch"].tolist() == [1, 2, 3]
    assert len(results.to_frame("query")) == 12 + 24


def test_a_frame_needs_pandas(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(clipbench.ClipbenchError, match=r"needs pandas.*pip install 'clipbench\[export\]'"):
        loaded.Results(()).to_frame()


def test_refused_files_are_an_error_or_named(run, learnt, tmp_path):
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(clipbench.ClipbenchError, match=r"bad\.json"):
        clipbench.load_results([tmp_path, learnt / "results"])
    results = clipbench.load_results([tmp_path, learnt / "results"], strict=False)
    assert len(results) == 1 and "bad.json" in results.problems[0]


def test_compare_is_a_function_and_still_a_package(run):
    judgement = clipbench.compare("results")
    assert isinstance(judgement, Judgement) and judgement.comparisons[0].runs == (run,)
    assert judgement.exit_code == 3  # the suite names no reference
    from clipbench.compare import gate

    assert gate.judge and inspect.ismodule(clipbench.compare)
    for wrong in ({"fail_on": ["nothing"]}, {"allow": ["all"]}, {"target": float("nan")}, {"reference": "none"}):
        with pytest.raises(clipbench.ClipbenchError, match="--"):
            clipbench.compare("results", **wrong)


def test_predict_takes_files_and_images(run, tmp_path, capfd):
    path = flat(tmp_path / "a.png", "blue", "blue")
    image = Image.new("RGB", (48, 40), COLOURS["red"])
    found = clipbench.predict([path, str(path), image], TEXTS, run=run)
    assert [prediction.best.text for prediction in found] == ["blue beside blue"] * 2 + ["red beside red"]
    assert [prediction.picture for prediction in found] == [str(path), str(path), "image 2"]
    (alone,) = clipbench.predict(image, TEXTS, run=f"results/{run}.json", changes={"device": "paper"}, top=1)
    assert len(alone.texts) == 1
    assert capfd.readouterr() == ("", "")
    with pytest.raises(clipbench.ClipbenchError, match="expected a list of texts"):
        clipbench.predict(path, "red beside red", run=run)


def test_retrieve_searches_a_split_or_files(run, tmp_path):
    found = clipbench.retrieve(["green beside green"], indices=[2], run=run, top=2)
    assert [answer.kind for answer in found.answers] == ["text", "picture"]
    path = flat(tmp_path / "a.png", "blue", "blue")
    (answer,) = clipbench.retrieve(["blue beside blue"], among_pictures=path, run=run).answers
    assert [hit.found for hit in answer.hits] == [str(path)]


def test_every_name_is_documented_and_typed():
    from clipbench import python
    from clipbench.compare.gate import compare_results

    for function in (python.run, python.predict, python.retrieve, clipbench.load_results, compare_results):
        assert function.__doc__
        parameters = inspect.signature(function).parameters
        assert all(parameter.annotation is not parameter.empty for parameter in parameters.values())
    assert set(clipbench.__all__) <= set(dir(clipbench))
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        clipbench.train  # noqa: B018


def test_importing_clipbench_imports_nothing_else():
    """The names are imported when they are used: the command's start waits for none of them."""
    code = "import sys; before = {*sys.modules}; import clipbench; print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["clipbench"]

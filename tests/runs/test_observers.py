"""Observers: switched on by a suite or by hand, written beside the results, never in the way of a run."""

import ast
import json
import os
import re
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest

from clipbench.api import ObserverSpec, events, hookimpl
from clipbench.api.registry import load_registry
from clipbench.clip import vocabularies
from clipbench.errors import UsageError
from clipbench.files.bundled import bundled
from clipbench.results.result import build_result
from clipbench.runs.observers import Observers, add_observers, check_observers
from clipbench.suites.loading import load_suite
from tests.support.empty_record import EMPTY_RECORD

ENGINE = Path(__file__).parents[1] / "support" / "numpy_engine"
VOCABULARY = Path(vocabularies.__path__[0]) / "clip-tiny.txt.gz"
STEP = events.StepsTrained(epoch=1, step=2, steps_done=2, loss=0.5, learning_rate=1e-3, throughput=None)
TRAINING = events.TrainingStarted(())


@pytest.fixture
def suite_file(tmp_path):
    path = tmp_path / "flat.yaml"
    train = {"epochs": 2, "batch_size": 8, "lr": 0.2, "augment": "none"}
    data = {
        "name": "flat",
        "engine": "numpy",
        "model": {"name": "linear", "vocabulary": str(VOCABULARY)},
        "dataset": {"name": "shapes", "options": {"train_images": 40, "val_images": 12}},
        "train": {**train, "schedule": {"peak_limits": None, "floor_limits": None}},
        "timing": {"warmup_steps": 2, "window_steps": 2},
        "observers": ["jsonl"],
    }
    path.write_text(json.dumps(data))  # JSON is YAML
    return path


def clipbench(*words, cwd, path=(), **more):
    places = os.pathsep.join([str(ENGINE), *map(str, path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": places, "CI": "true", "XDG_CACHE_HOME": str(cwd / "cache"), **more}
    command = [sys.executable, "-m", "clipbench", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False)


# --- through the command line -------------------------------------------------------------------------------------


def test_a_run_is_written_down_by_all_that_were_asked_for(suite_file, tmp_path):
    done = clipbench("run", suite_file, "--observe", "tensorboard", "--observe", "tcap", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    (path,) = (tmp_path / "results").glob("*.json")
    result = json.loads(path.read_text())
    assert result["config"]["observers"] == ["jsonl", "tensorboard", "tcap"]
    folder = path.with_suffix("")
    check_json_lines(folder / "events.jsonl", result)
    check_tcap_log(folder / "tcap.log", result)
    check_event_file(folder, result)
    # What lies beside a result is no result.
    assert "1 no reference" in clipbench("compare", "results", cwd=tmp_path).stdout


def check_json_lines(path, result):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["run_id"] for line in lines} == {result["run_id"]}
    assert [line["event"] for line in lines if line["event"] != "step"] == ["case", "epoch", "epoch", "finished"]
    assert [line["record"] for line in lines if line["event"] == "epoch"] == result["epochs"]
    assert lines[0]["config"] == result["config"]
    assert lines[-1]["status"] == "completed" and lines[-1]["metrics"] == result["metrics"]
    steps = [(line["epoch"], line["step"]) for line in lines if line["event"] == "step"]
    assert steps == [(1, 2), (1, 4), (1, 5), (2, 2), (2, 4), (2, 5)]


def check_tcap_log(path, result):
    """As the vendor's scripts read it: strip the prefix, parse, and evaluate the text under ``data``."""
    lines = [json.loads(line.removeprefix("TCAPPDLL ")) for line in path.read_text().splitlines()]
    assert all(re.fullmatch(r"\d+\.\d+", line["timestamp"]) and float(line["elapsedtime"]) >= 0 for line in lines)
    metadata = {line["metric"]: line["metadata"] for line in lines if line["type"] == "METADATA"}
    assert metadata["train.loss"] == {"unit": "", "GOAL": "MINIMIZE", "STAGE": "TRAIN"}
    logged = [line for line in lines if line["type"] == "LOG"]
    data = [ast.literal_eval(line["data"]) for line in logged]
    assert all(isinstance(text, str) for values in data for text in values.values())
    assert [json.loads(line["data"].replace("'", '"')) for line in logged] == data
    steps = [(line["step"], values) for line, values in zip(logged, data, strict=True) if "train.loss" in values]
    assert [step for step, _ in steps] == [[1, 2], [1, 4], [1, 5], [2, 7], [2, 9], [2, 10]]
    assert float(steps[-1][1]["train.loss"]) == pytest.approx(result["epochs"][-1]["train_loss"], rel=1)
    epochs = [values for values in data if "txt_r1" in values]
    assert float(epochs[-1]["txt_r1"]) == result["epochs"][-1]["recall"]["text_recall@1"]
    assert float(epochs[-1]["r_mean"]) == result["epochs"][-1]["recall"]["recall_mean"]
    assert float(epochs[-1]["val.loss"]) == result["epochs"][-1]["val_loss"]
    assert logged[-1]["step"] == [] and data[-1]["summary.epoch"] == "2"
    assert set(epochs[-1]) - {"rank", "train.loss_mean"} <= set(metadata)


def check_event_file(folder, result):
    """As TensorBoard reads it, in a process of its own: its reader warns of its own dependencies."""
    code = (
        "import json, sys\n"
        "from tensorboard.backend.event_processing.event_accumulator import EventAccumulator\n"
        "read = EventAccumulator(sys.argv[1]).Reload()\n"
        "tags = read.Tags()\n"
        "scalars = {tag: [[e.step, e.value] for e in read.Scalars(tag)] for tag in tags['scalars']}\n"
        "texts = {t: read.Tensors(t)[0].tensor_proto.string_val[0].decode() for t in tags['tensors']}\n"
        "print(json.dumps([scalars, texts]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    scalars, texts = json.loads(done.stdout)
    assert [step for step, _ in scalars["train/loss"]] == [2, 4, 5, 7, 9, 10]
    recalls = [[5, result["epochs"][0]["recall"]["recall_mean"]], [10, result["epochs"][1]["recall"]["recall_mean"]]]
    assert scalars["recall/recall_mean"] == [[step, pytest.approx(value, rel=1e-6)] for step, value in recalls]
    assert len(scalars["epoch/val_loss"]) == 2 and "epoch/peak_memory_bytes" not in scalars
    assert texts["status"] == "completed" and '"name": "flat"' in texts["case"]


def test_a_case_that_breaks_is_written_down_to_its_end(suite_file, tmp_path):
    done = clipbench(
        "run", suite_file, "--observe", "tcap", "--observe", "tensorboard", cwd=tmp_path, CLIPBENCH_NUMPY_FAULT="raise"
    )
    assert done.returncode == 4 and "warning" not in done.stderr
    (log,) = (tmp_path / "results").glob("flat-*/events.jsonl")
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["event"], last["status"]) == ("finished", "failed")
    assert "beads are stuck" in last["error"]["message"]
    (tcap,) = (tmp_path / "results").glob("flat-*/tcap.log")
    assert "failed" in tcap.read_text().splitlines()[-1]


@pytest.mark.parametrize("name", ["tcap", "jsonl", "tensorboard"])
def test_a_resumed_run_is_appended(case, tmp_path, name, monkeypatch):
    """Steps are counted over the whole run; a step without a loss and an epoch without recalls are no trouble."""
    registry = load_registry()
    record = replace(EMPTY_RECORD, epoch=1, steps=5)
    ended = build_result(case, "run-1", "2026-01-01T00:00:00.000Z", (), "interrupted", None)
    for attempt, steps in enumerate((5, 42)):
        monkeypatch.setattr("time.time_ns", lambda attempt=attempt: attempt * 10**9)  # TensorBoard takes a file each
        observers = Observers()
        with observers.of_case(registry, replace(case, observers=(name,)), "run-1", tmp_path):
            observers.handle(TRAINING)
            observers.handle(replace(STEP, loss=None, steps_done=steps))
            observers.handle(events.EpochFinished(record))
            observers.handle(events.CaseFinished(ended, tmp_path))
    if name == "tcap":
        lines = [
            json.loads(line.removeprefix("TCAPPDLL ")) for line in (tmp_path / "tcap.log").read_text().splitlines()
        ]
        steps = [line["step"] for line in lines if line["type"] == "LOG"]
        assert steps == [[1, 5], [1], [], [1, 42], [1], []] and "None" not in json.dumps(lines)
    elif name == "jsonl":
        kinds = [json.loads(line)["event"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
        assert kinds == ["case", "step", "epoch", "finished"] * 2
    else:
        assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 2


def test_an_observer_of_no_plugin_is_exit_2_with_the_nearest_name(suite_file, tmp_path):
    for words, hint in (
        (["--observe", "tensorbord"], "did you mean 'tensorboard'?"),
        (["--observe", "x", "--dry-run"], "known: jsonl, tally, tcap, tensorboard"),
    ):
        done = clipbench("run", suite_file, *words, cwd=tmp_path)
        assert done.returncode == 2 and hint in done.stderr
        assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_tensorboard_that_is_not_installed_is_exit_5_before_anything_starts(suite_file, tmp_path, words):
    # Shadows the package, as if it were not there.
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "tensorboard.py").write_text("raise ModuleNotFoundError(\"No module named 'tensorboard'\")")
    done = clipbench("run", suite_file, "--observe", "tensorboard", *words, cwd=tmp_path, path=[tmp_path / "shadow"])
    assert done.returncode == 5
    assert "pip install 'clipbench[tensorboard]'" in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.glob("results/[!.]*")) and not list(tmp_path.glob("results/.work/*"))


def test_listing_observers_imports_none_of_them():
    code = (
        "import sys\nfrom clipbench.cli import main\n"
        "main(['list', 'observers'], standalone_mode=False)\n"
        "print([name for name in sys.modules if name.startswith(('tensorboard', 'clipbench_observers.'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "tensorboard" in done.stdout and done.stdout.splitlines()[-1] == "[]"


# --- the core's part ----------------------------------------------------------------------------------------------


@pytest.fixture
def case():
    return load_suite(bundled("suites") / "quickstart.yaml").cases[0]


@pytest.fixture
def observed(monkeypatch):
    """A registry with one observer that notes every call, and one that breaks at the call of one's choice."""

    def make(breaks_at=None):
        calls = []

        class Note:
            name = "note"

            def __init__(self, case, run_id, folder):
                calls.append((self.name, "made", run_id, folder))
                self._break("made")

            def _break(self, call):
                pass

            def _note(self, call):
                calls.append((self.name, call))
                self._break(call)

            def handle(self, event):
                self._note(type(event).__name__)

            def close(self):
                self._note("close")

        class Breaks(Note):
            name = "breaks"

            def _break(self, call):
                if call == breaks_at:
                    raise RuntimeError("out of ink")

        module = types.ModuleType("noting")
        module.Note, module.Breaks = Note, Breaks
        specs = [ObserverSpec(kind.name, "notes", f"noting:{kind.__name__}") for kind in (Note, Breaks)]
        specs.append(ObserverSpec("gone", "cannot be imported", "no_such_module:Gone"))
        module.clipbench_observers = hookimpl(lambda: specs)
        monkeypatch.setitem(sys.modules, "noting", module)
        point = types.SimpleNamespace(name="noting", load=lambda: module, dist=None)
        return load_registry([point]), calls

    return make


def test_observers_are_made_when_training_starts_and_get_what_came_before(observed, case, tmp_path):
    registry, calls = observed()
    observers = Observers()
    with observers.of_case(registry, replace(case, observers=("note",)), "run-1", tmp_path / "run-1"):
        observers.handle(events.CaseStarted(case, "run-1", tmp_path))
        assert calls == []
        observers.handle(TRAINING)
        made = ("note", "made", "run-1", tmp_path / "run-1")
        assert calls == [made, ("note", "CaseStarted"), ("note", "TrainingStarted")]
    assert calls[-1] == ("note", "close")
    observers.handle(STEP)
    assert calls[-1] == ("note", "close") and not (tmp_path / "run-1").exists()


def test_a_case_that_is_refused_makes_no_observer(observed, case, tmp_path):
    registry, calls = observed()
    observers = Observers()
    with observers.of_case(registry, replace(case, observers=("note",)), "run-1", tmp_path):
        observers.handle(events.CaseStarted(case, "run-1", tmp_path))
        observers.handle(events.ResumeRefused(("suite.seed was 0 and is 1",)))
    assert calls == []


@pytest.mark.parametrize("call", ["made", "TrainingStarted", "StepsTrained", "CaseFinished", "close"])
def test_an_observer_that_raises_is_warned_of_once_and_the_others_continue(observed, case, tmp_path, capsys, call):
    registry, calls = observed(breaks_at=call)
    observers = Observers()
    with observers.of_case(registry, replace(case, observers=("breaks", "note")), "run-1", tmp_path):
        for event in (TRAINING, STEP, events.CaseFinished(None, tmp_path)):
            observers.handle(event)
    printed = capsys.readouterr().err
    assert printed.count("warning: observer 'breaks' raised RuntimeError: out of ink") == printed.count("\n") == 1
    order = ["made", "TrainingStarted", "StepsTrained", "CaseFinished", "close"]
    assert [entry[1] for entry in calls if entry[0] == "note"] == order
    received = [entry[1] for entry in calls if entry[0] == "breaks"]
    assert received[: order.index(call) + 1] == order[: order.index(call) + 1]
    # Closed all the same, unless there was nothing to close.
    assert received[order.index(call) + 1 :] == ([] if call in ("made", "close") else ["close"])


def test_a_display_that_raises_is_warned_of_and_the_others_continue(observed, case, tmp_path, capsys):
    registry, calls = observed()

    class Display:
        def handle(self, event):
            raise RuntimeError("no terminal")

        def close(self):
            calls.append(("display", "close"))

    observers = Observers(Display())
    with observers.of_case(registry, replace(case, observers=("note",)), "run-1", tmp_path):
        observers.handle(TRAINING)
        observers.handle(STEP)
    observers.close()
    assert capsys.readouterr().err.count("warning: the progress display raised RuntimeError: no terminal") == 1
    assert [entry[:2] for entry in calls if entry[0] == "display"] == [("display", "close")]
    assert calls[-2:] == [("note", "StepsTrained"), ("note", "close")]


def test_an_interrupt_is_not_swallowed_and_closes_all(observed, case, tmp_path):
    registry, calls = observed()
    observers = Observers()
    with (
        pytest.raises(KeyboardInterrupt),
        observers.of_case(registry, replace(case, observers=("note",)), "run-1", tmp_path),
    ):
        observers.handle(TRAINING)
        raise KeyboardInterrupt
    assert calls[-1] == ("note", "close")


def test_what_cannot_be_imported_is_missing(observed):
    registry, _ = observed()
    suite = load_suite(bundled("suites") / "quickstart.yaml")
    assert check_observers(registry, add_observers(suite, ["note"])) == []
    (missing,) = check_observers(registry, add_observers(suite, ["note", "gone"]))
    assert "gone" in missing.what and "no_such_module" in missing.what and missing.source
    with pytest.raises(UsageError, match=r"'nota'.*did you mean 'note'"):
        check_observers(registry, add_observers(suite, ["nota"]))


def test_observers_are_added_once_to_every_case():
    suite = load_suite(bundled("suites") / "quickstart.yaml", ["observers=[jsonl]"])
    assert [case.observers for case in add_observers(suite, ["tcap", "jsonl", "tcap"]).cases] == [("jsonl", "tcap")]

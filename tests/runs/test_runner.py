"""`clipbench run` from the shell, on the numpy engine: results, faults, signals, exit codes."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from clipbench.api.result import Metrics, WeightsUsed
from clipbench.results.result import read_result
from tests.support.numpy_runs import clipbench, environment, results, start


def test_a_run_leaves_a_validated_result_that_learnt_something(suite, tmp_path):
    done = clipbench("run", suite(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (result,) = results(tmp_path)
    assert result.completed and result.error is None
    assert [record.epoch for record in result.epochs] == [1, 2, 3]
    assert result.epochs[-1].train_loss < result.epochs[0].train_loss
    assert result.dataset.val.images == 12 and result.dataset.val.captions == 24
    assert len(result.query_ranks.text) == 12 and len(result.query_ranks.image) == 24
    assert result.weights == WeightsUsed("random", None, None)
    device = result.environment["device"]
    assert (device["requested"], device["kind"], device["tuning"]) == ("auto", "abacus", {"beads": "oiled"})
    assert result.environment["extra"] == {"numpy_engine": {"grid": 4}}
    assert result.environment["plugins"]["numpy"] == "1.0"
    # The best checkpoint is what stays of the run beside its result.
    (kept,) = (tmp_path / "results" / ".work").glob("flat-*")
    assert sorted(path.name for path in kept.iterdir()) == ["checkpoints", "run.json"]
    assert len(list((kept / "checkpoints").iterdir())) == 1
    assert "epoch 3 done" in done.stdout and "result: " in done.stdout


def test_the_metrics_are_those_of_the_stored_ranks(suite, tmp_path):
    clipbench("run", suite(), cwd=tmp_path)
    (result,) = results(tmp_path)
    text, image = np.asarray(result.query_ranks.text), np.asarray(result.query_ranks.image)
    assert result.value("text_recall@1") == pytest.approx(100 * np.mean(text < 1))
    assert result.value("image_recall@5") == pytest.approx(100 * np.mean(image < 5))
    mean = result.metric("recall_mean")
    assert (mean.direction, mean.unit) == ("higher", "percent")
    best = max(record.recall["recall_mean"] for record in result.epochs)
    assert result.metrics.best.values["recall_mean"].value == best


def test_two_runs_agree_but_for_time(suite, tmp_path):
    for _ in range(2):
        assert clipbench("run", suite(), cwd=tmp_path).returncode == 0
    first, second = results(tmp_path)
    assert first.query_ranks == second.query_ranks
    assert [r.train_loss for r in first.epochs] == [r.train_loss for r in second.epochs]
    assert first.config_sha256 == second.config_sha256 and first.run_id != second.run_id


def test_another_seed_is_another_run(suite, tmp_path):
    for seed in (1, 2):
        assert clipbench("run", suite(), "--seed", seed, cwd=tmp_path).returncode == 0
    first, second = results(tmp_path)
    assert first.epochs[0].train_loss != second.epochs[0].train_loss


def test_max_steps_ends_early_and_still_evaluates(suite, tmp_path):
    done = clipbench("run", suite(), "--max-steps", 7, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (result,) = results(tmp_path)
    assert [record.steps for record in result.epochs] == [5, 2]
    assert result.epochs[-1].recall is not None


def test_throughput_without_a_timed_step_is_null_with_a_reason(suite, tmp_path):
    clipbench("run", suite(), "--max-steps", 2, cwd=tmp_path)
    (result,) = results(tmp_path)
    throughput = result.metric("throughput")
    assert throughput.value is None and "warm-up" in throughput.reason


def test_evaluation_alone_needs_no_training_data(suite, tmp_path, pictures):
    dataset = {"name": "flickr8k", "root": str(pictures), "train": "datasets/none.json"}
    done = clipbench("run", suite(train={"epochs": 0}, dataset=dataset), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (result,) = results(tmp_path)
    (record,) = result.epochs
    assert record.epoch == 0 and record.steps == 0 and record.recall is not None
    assert result.dataset.train is None


def test_evaluation_follows_its_rhythm_and_the_end(suite, tmp_path):
    done = clipbench("run", suite(eval={"every": 2}), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (result,) = results(tmp_path)
    assert [record.recall is not None for record in result.epochs] == [False, True, True]
    assert "not evaluated" in result.epochs[0].reasons["recall"]


def test_a_matrix_runs_every_case_in_its_own_process(suite, tmp_path):
    done = clipbench("run", suite(matrix={"precision": ["float32", "bfloat16"]}), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {r.precision for r in results(tmp_path)} == {"float32", "bfloat16"}
    chosen = clipbench("run", suite(matrix={"seed": [1, 2]}), "--case", "flat@seed=2", "--out", "one", cwd=tmp_path)
    assert chosen.returncode == 0, chosen.stderr
    assert len(list((tmp_path / "one").glob("*.json"))) == 1


def test_seeds_of_one_call_are_repeats_of_one_another(suite, tmp_path):
    path = suite(matrix={"seed": [1, 2]})
    for out in ("first", "second"):
        assert clipbench("run", path, "--out", out, cwd=tmp_path).returncode == 0
    calls = [{read_result(file).invocation for file in (tmp_path / out).glob("*.json")} for out in ("first", "second")]
    assert [len(call) for call in calls] == [1, 1] and calls[0] != calls[1]
    compared = clipbench("compare", "second", "--baseline", "first", "--format", "json", cwd=tmp_path)
    (together, *_) = json.loads(compared.stdout)["comparisons"]
    assert (len(together["runs"]), len(together["against"]["runs"])) == (2, 2)


@pytest.mark.parametrize(
    ("fault", "kind", "part"),
    [
        ("raise", "RuntimeError", "beads are stuck"),
        ("abort", "ProcessDied", "SIGABRT"),
        ("nan", "CaseFailedError", "epoch 1, step 2"),
    ],
)
def test_a_case_that_fails_keeps_a_result_that_says_why(suite, tmp_path, fault, kind, part):
    done = clipbench("run", suite(), cwd=tmp_path, CLIPBENCH_NUMPY_FAULT=fault)
    assert done.returncode == 4
    (result,) = results(tmp_path)
    assert result.status == "failed"
    assert result.error.type == kind and part in result.error.message
    assert result.environment["variables"]["CLIPBENCH_NUMPY_FAULT"] == fault
    assert result.metrics == Metrics()
    assert "Traceback (most recent call last)" not in done.stderr + done.stdout
    if fault == "raise":
        assert "beads are stuck" in result.error.traceback


def test_a_crash_ends_its_case_alone(suite, tmp_path):
    """The first case's batch is too small for a second step, the second one's is not."""
    path = suite(matrix={"train.batch_size": [8, 40]}, train={"epochs": 1, "augment": "none"})
    done = clipbench("run", path, cwd=tmp_path, CLIPBENCH_NUMPY_FAULT="abort")
    assert done.returncode == 4
    assert sorted(r.status for r in results(tmp_path)) == ["completed", "failed"]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_in_order(suite, tmp_path, sent):
    run = start(suite(), tmp_path, CLIPBENCH_NUMPY_PAUSE="0.3")
    wait_until_started(tmp_path)
    run.send_signal(sent)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 128 + sent, out + err
    (result,) = results(tmp_path)
    assert result.error.exit_code == 128 + sent
    assert result.status == "interrupted" and result.environment is not None
    assert "Traceback" not in out + err
    assert not workers_of(tmp_path)


def test_a_step_that_hangs_is_ended_by_a_second_signal(suite, tmp_path):
    run = start(suite(), tmp_path, CLIPBENCH_NUMPY_FAULT="hang")
    wait_until_started(tmp_path)
    run.send_signal(signal.SIGINT)
    wait_for(lambda: any((tmp_path / "results").glob(".work/*/stop")))
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, out + err
    (result,) = results(tmp_path)
    assert result.status == "interrupted" and "Traceback" not in out + err
    assert not workers_of(tmp_path)


def wait_until_started(folder):
    wait_for(lambda: any((folder / "results").glob(".work/*/events.jsonl")))
    wait_for(lambda: "LearnerBuilt" in next((folder / "results").glob(".work/*/events.jsonl")).read_text())


def test_the_worker_goes_when_its_parent_is_killed(suite, tmp_path):
    run = subprocess.Popen(
        [sys.executable, "-m", "clipbench", "run", str(suite())],
        cwd=tmp_path,
        env=environment(CLIPBENCH_NUMPY_FAULT="hang"),
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: workers_of(tmp_path))
    run.kill()
    run.wait()
    wait_for(lambda: not workers_of(tmp_path))


def wait_for(happened, seconds=30):
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def workers_of(folder):
    """Process ids of the living workers that were started in ``folder``."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            dead = (entry / "stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"
            here = (entry / "cwd").readlink() == folder
        except OSError:
            continue
        if b"clipbench.runs.rank" in words and here and not dead:
            found.append(int(entry.name))
    return found


def test_everything_missing_is_one_message_and_exit_5(tmp_path):
    (tmp_path / "s.yaml").write_text(
        "name: s\nengine: numpy\ndevice: unobtainium\n"
        "model: {name: linear, weights: w.pth, vocabulary: v.txt.gz}\ndataset: {name: flickr8k, root: nowhere}\n"
    )
    for words in (["run", "s.yaml"], ["run", "s.yaml", "--dry-run"]):
        done = clipbench(*words, cwd=tmp_path)
        assert done.returncode == 5
        for part in ("w.pth", "v.txt.gz", "en_train.json", "en_val.json", "unobtainium", "not to be had", "nowhere"):
            assert part in done.stderr, part
        assert not list(tmp_path.glob("results/*.json"))


def test_a_missing_device_alone_is_exit_5_and_leaves_nothing(suite, tmp_path):
    done = clipbench("run", suite(), "--device", "unobtainium", cwd=tmp_path)
    assert done.returncode == 5 and "not to be had on this planet" in done.stderr
    assert not list((tmp_path / "results").glob("*.json"))


def test_dry_run_starts_nothing(suite, tmp_path):
    done = clipbench("run", suite(), "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ready" in done.stdout and "steps per epoch: 5" in done.stdout
    assert not (tmp_path / "results").exists()


def test_a_folder_that_cannot_be_written_to_is_exit_5_before_anything_runs(suite, tmp_path):
    (tmp_path / "file").touch()
    done = clipbench("run", suite(), "--out", "file/inside", cwd=tmp_path)
    assert done.returncode == 5 and "--out file/inside: cannot be written to" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--set", "precision=float16"], "does not compute float16"),
        (["--set", "train.batch_size=64"], "more than the 40 training images"),
        (["--set", "world_size=3"], "cannot be shared by 3 ranks"),
        (["--device", "cpu"], "belongs to engines 'jax' and 'torch', not to 'numpy'"),
        (["--set", "model.name=liner"], "did you mean 'linear'"),
        (["--case", "nothing"], "no such case"),
        (["--progress", "loud"], "loud"),
        (["--max-steps", "ten"], "ten"),
    ],
)
def test_wrong_arguments_are_exit_2(suite, tmp_path, words, part):
    done = clipbench("run", suite(), *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert part in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def tallied(folder):
    (log,) = (folder / "results").glob("flat-*/tally.jsonl")
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_an_observer_gets_every_event_in_order(suite, tmp_path):
    done = clipbench("run", suite(), "--observe", "tally", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    names = [line["event"] for line in tallied(tmp_path) if line["event"] not in ("Progress", "StepsUnderWay")]
    begin = ["CaseStarted", "DevicesChecked", "EnvironmentRead", "DeviceProbed", "InputsRead", "LearnerBuilt"]
    epoch = ["StepsTrained"] * 3 + ["EvaluationStarted", "EpochFinished", "CheckpointSaved"]
    assert names[:7] == [*begin, "TrainingStarted"]
    assert names[7:] == epoch * 3 + ["QueriesRanked", "TrainingFinished", "CaseFinished", "closed"]
    assert [line["epoch"] for line in tallied(tmp_path) if line["epoch"]] == [1, 2, 3]


def test_an_observer_that_raises_is_warned_of_and_the_run_continues(suite, tmp_path):
    done = clipbench("run", suite(), "--observe", "tally", cwd=tmp_path, CLIPBENCH_NUMPY_TALLY="raise")
    assert done.returncode == 0
    warning = "warning: observer 'tally' raised RuntimeError: the observer fell over; it gets no further events"
    assert done.stderr.count(warning) == 1
    assert tallied(tmp_path)[-1]["event"] == "closed"
    assert len(results(tmp_path)) == 1


def test_a_log_says_what_is_done_before_the_first_step(suite, tmp_path):
    done = clipbench("run", suite(), cwd=tmp_path)
    told = [line.partition("] ")[2] for line in done.stdout.splitlines() if line.startswith("[")]
    stages = ["looking at the data of flickr8k", "case flat", "importing numpy", "opening device abacus"]
    stages += ["probing device abacus", "preparing the data of flickr8k", "reading the captions of flickr8k"]
    stages += ["building the model", "linear from random weights on abacus"]
    assert [line for line, stage in zip(told, stages, strict=False) if not line.startswith(stage)] == []
    assert told[len(stages)] == "taking the first step"
    assert told[len(stages) + 1].startswith("epoch 1 step 1/5  loss ")


def test_quiet_progress_still_names_the_result(suite, tmp_path):
    done = clipbench("run", suite(), "--progress", "none", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "result",
        "pictures for `clipbench report` (the terms of the data apply)",
        "checkpoints",
        "to compare later runs with this one",
    ]


def test_a_caption_that_is_too_long_is_counted(suite, tmp_path, pictures):
    entries = json.loads((pictures / "datasets" / "en_val.json").read_text())
    entries[0]["caption"].append("zqx " * 76)
    (pictures / "datasets" / "en_long.json").write_text(json.dumps(entries))
    done = clipbench("run", suite(), "--set", "dataset.val=datasets/en_long.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (result,) = results(tmp_path)
    assert result.text_truncated == 1


def test_what_a_plugin_adds_that_json_cannot_hold_is_left_out_with_a_warning(suite, tmp_path):
    done = clipbench("run", suite(), cwd=tmp_path, CLIPBENCH_NUMPY_ENVIRONMENT="a set")
    (result,) = results(tmp_path)
    assert done.returncode == 0 and result.environment["extra"] == {}
    (warning,) = result.warnings
    assert "clipbench_environment raised TypeError" in warning and warning in done.stderr


def test_a_device_that_fails_a_probe_is_refused_or_not_timed(suite, tmp_path):
    refused = clipbench("run", suite(), cwd=tmp_path, CLIPBENCH_NUMPY_PROBE="matmul")
    (result,) = results(tmp_path)
    assert refused.returncode == 5 and "does not compute correctly; matmul" in result.error.message
    assert not result.epochs
    untimed = clipbench("run", suite(), "--out", "other", cwd=tmp_path, CLIPBENCH_NUMPY_PROBE="synchronize")
    (path,) = (tmp_path / "other").glob("*.json")
    result = read_result(path)
    assert untimed.returncode == 0 and [probe.ok for probe in result.probes].count(False) == 1
    for record in result.epochs:
        assert record.throughput is None and record.windows == ()
        assert "are unreliable" in record.reasons["throughput"]

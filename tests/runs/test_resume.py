"""Runs that were stopped, killed or lost their disk are resumed exactly where they were, from whole checkpoints."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.numpy_runs import clipbench, environment, results, start

VERSION_1 = Path(__file__).parents[1] / "results" / "version_1"
KEPT = {"epochs": 1, "minutes": 1e-9, "keep": "all"}
LONG = {"epochs": 12, "batch_size": 8, "lr": 0.2, "augment": "none",
        "schedule": {"peak_limits": None, "floor_limits": None}}  # fmt: skip


@pytest.fixture
def long(suite):
    """Sixty steps, each saved."""
    return suite(train=LONG, checkpoint=KEPT, timing={"warmup_steps": 0, "window_steps": 1})


def outcome_of(folder):
    """What a completed run must not owe to how often it was stopped: losses to the bit, recalls, pictures, weights."""
    (result,) = results(folder)
    assert result.completed, result.error
    epochs = [(record.train_loss, record.val_loss, record.recall) for record in result.epochs]
    newest = sorted((folder / "results").glob(".work/flat-*/checkpoints/step-*"))[-1]
    assert result.loss_trace.steps == sum(record.steps for record in result.epochs)
    found = (result.loss_trace, result.query_ranks, result.retrieved)
    return epochs, found, (newest / "tensors.safetensors").read_bytes()


@pytest.fixture
def whole(long, tmp_path):
    """What the run comes to when it is not stopped."""
    folder = tmp_path / "whole"
    folder.mkdir()
    assert clipbench("run", long, cwd=folder).returncode == 0
    return outcome_of(folder)


def wait_for_events(folder, text, count, seconds=30):
    until = time.monotonic() + seconds
    while True:
        found = list((folder / "results").glob(".work/*/events.jsonl"))
        if found and found[0].read_text().count(text) >= count:
            return
        assert time.monotonic() < until, "the run did not get there in time"
        time.sleep(0.01)


@pytest.mark.campaign
@pytest.mark.slow
def test_a_run_killed_at_25_random_moments_comes_to_the_very_same(long, whole, tmp_path):
    draws = random.Random(0)
    kills = rounds = 0
    while kills < 25:
        folder = tmp_path / f"round{rounds}"
        folder.mkdir()
        rounds += 1
        while True:
            run = start(long, folder, CLIPBENCH_NUMPY_PAUSE="0.02")
            try:
                _, errors = run.communicate(timeout=draws.uniform(0.1, 3.5) if kills < 25 else 60)
            except subprocess.TimeoutExpired:
                kills += 1
                run.kill()
                run.communicate()
                if any('"completed"' in file.read_text() for file in folder.glob("results/.work/*/run.json")):
                    break  # killed after all was done
                continue
            assert run.returncode == 0, errors
            break
        assert outcome_of(folder) == whole


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_same_command_goes_on(long, whole, tmp_path, sent):
    run = start(long, tmp_path, CLIPBENCH_NUMPY_PAUSE="0.05")
    wait_for_events(tmp_path, '"StepsTrained"', 7)
    run.send_signal(sent)
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 128 + sent, output + errors
    assert "the same command resumes the run from there" in errors and "Traceback" not in errors
    assert re.search(r"stopping: finishing the step under way \(a step takes about 0\.\d s\), then saving", errors), (
        errors
    )
    assert "Ctrl-C again stops at once: " in errors
    (stopped,) = results(tmp_path)
    assert stopped.status == "interrupted" and stopped.error.exit_code == 128 + sent
    again = clipbench("run", long, cwd=tmp_path)
    assert again.returncode == 0 and f"resuming run {stopped.run_id}, started" in again.stderr
    assert outcome_of(tmp_path) == whole
    (done,) = results(tmp_path)
    first, second = done.attempts
    assert (first.epochs, first.steps) == (0, 0) and second.epochs * 5 + second.steps >= 7


def test_a_second_signal_stops_at_once_and_loses_nothing_saved(long, whole, tmp_path):
    run = start(long, tmp_path, CLIPBENCH_NUMPY_PAUSE="0.05")
    wait_for_events(tmp_path, '"CheckpointSaved"', 6)
    run.send_signal(signal.SIGINT)
    time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130 and re.search(r"stopped at once: .* lost", errors), errors
    assert clipbench("run", long, cwd=tmp_path).returncode == 0
    assert outcome_of(tmp_path) == whole


def interrupt(path, cwd):
    run = start(path, cwd, CLIPBENCH_NUMPY_PAUSE="0.05")
    wait_for_events(cwd, '"StepsTrained"', 4)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130


@pytest.mark.parametrize(
    "change, reason",
    [
        (["--set", "train.lr=0.1"], "suite.train.lr was 0.2 and is 0.1"),
        (["--seed", "5"], "suite.seed was 0 and is 5"),
        ("data", "dataset.train.annotation_sha256 was"),
    ],
)
def test_what_differs_is_refused_by_name_and_restart_keeps_the_old_one(long, pictures, tmp_path, change, reason):
    root = tmp_path / "data"
    shutil.copytree(pictures, root)
    where = ["--set", f"dataset.root={root}"]
    run = start(long, tmp_path)  # once, so that the wait below is for the right folder
    run.kill()
    run.communicate()
    shutil.rmtree(tmp_path / "results", ignore_errors=True)
    data = json.loads(long.read_text())
    data["dataset"]["root"] = str(root)
    long.write_text(json.dumps(data))
    interrupt(long, tmp_path)
    words = change
    if change == "data":
        file = root / "datasets" / "en_train.json"
        entries = json.loads(file.read_text())
        entries[0]["caption"][0] = "another picture"
        file.write_text(json.dumps(entries))
        words = where
    refused = clipbench("run", long, *words, cwd=tmp_path)
    assert refused.returncode == 2, refused.stderr
    assert reason in refused.stderr and "--restart" in refused.stderr
    anew = clipbench("run", long, *words, "--restart", cwd=tmp_path)
    assert anew.returncode == 0, anew.stderr
    (aside,) = (tmp_path / "results").glob(".work/*.replaced")
    assert list((aside / "checkpoints").iterdir())
    listed = json.loads(clipbench("runs", "--format", "json", cwd=tmp_path).stdout)["runs"]
    assert sorted(run["status"] for run in listed) == ["completed", "interrupted", "replaced"]


def test_a_run_is_resumed_with_the_tuning_it_began_with(long, tmp_path):
    """The device would be tuned otherwise by another process, and the run then refused."""
    run = start(long, tmp_path, CLIPBENCH_NUMPY_PAUSE="0.05", CLIPBENCH_NUMPY_TUNE="1")
    wait_for_events(tmp_path, '"StepsTrained"', 4)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    (stopped,) = results(tmp_path)
    again = clipbench("run", long, cwd=tmp_path, CLIPBENCH_NUMPY_TUNE="1", CLIPBENCH_CACHE=tmp_path / "empty")
    assert again.returncode == 0, again.stderr
    (done,) = results(tmp_path)
    tuning = done.environment["device"]["tuning"]
    assert tuning == stopped.environment["device"]["tuning"] and "chosen" in tuning


def test_saves_within_an_epoch_do_not_lengthen_it(long, tmp_path):
    """Sixty steps, each saved: the seconds of all epochs together are fewer than those of the command."""
    started = time.monotonic()
    assert clipbench("run", long, cwd=tmp_path).returncode == 0
    (result,) = results(tmp_path)
    assert sum(record.seconds.total for record in result.epochs) < time.monotonic() - started


def test_a_run_of_version_1_is_refused_until_restart(long, tmp_path):
    folder = tmp_path / "results" / ".work" / "flat-20261126T114621Z-484c"
    shutil.copytree(VERSION_1 / "checkpoint", folder / "checkpoints" / "step-00000012")
    shutil.copy(VERSION_1 / "run.json", folder)
    refused = clipbench("run", long, cwd=tmp_path)
    assert refused.returncode == 3 and "Traceback" not in refused.stderr + refused.stdout
    assert "or start it anew with --restart" in refused.stdout
    assert clipbench("runs", cwd=tmp_path).returncode == 0
    assert clipbench("run", long, "--restart", cwd=tmp_path).returncode == 0


def test_runs_lists_what_can_be_resumed(long, tmp_path):
    interrupt(long, tmp_path)
    shown = clipbench("runs", cwd=tmp_path)
    assert shown.returncode == 0 and "interrupted, resumable" in shown.stdout
    (run,) = json.loads(clipbench("runs", "--format", "json", cwd=tmp_path).stdout)["runs"]
    assert run["resumable"] and run["bytes"] > 0
    assert clipbench("runs", "nowhere", cwd=tmp_path).returncode == 2


def test_a_completed_case_of_an_interrupted_suite_is_not_run_again(suite, tmp_path):
    path = suite(
        train={**LONG, "epochs": 3}, checkpoint=KEPT, timing={"warmup_steps": 0, "window_steps": 1},
        matrix={"seed": [0, 1]},
    )  # fmt: skip
    run = start(path, tmp_path, CLIPBENCH_NUMPY_PAUSE="0.05")
    until = time.monotonic() + 60
    while not any(
        '"StepsTrained"' in file.read_text() for file in tmp_path.glob("results/.work/flat@seed=1*/events.jsonl")
    ):
        assert time.monotonic() < until
        time.sleep(0.01)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=60)
    assert run.returncode == 143
    again = clipbench("run", path, cwd=tmp_path)
    assert again.returncode == 0 and "case flat@seed=0 was completed before the interruption" in again.stderr
    assert len(results(tmp_path)) == 2
    assert len({result.invocation for result in results(tmp_path)}) == 1
    # A command that came to its end is repeated in full.
    assert clipbench("run", path, cwd=tmp_path).returncode == 0
    assert len(results(tmp_path)) == 4


def test_a_second_run_in_the_same_folder_is_refused_and_the_lock_dies_with_its_owner(long, tmp_path):
    first = start(long, tmp_path, CLIPBENCH_NUMPY_PAUSE="0.2")
    wait_for_events(tmp_path, '"StepsTrained"', 1)
    second = clipbench("run", long, cwd=tmp_path)
    assert second.returncode == 5 and f"in use by another run (process {first.pid} on" in second.stderr
    first.kill()
    first.communicate()
    assert clipbench("run", long, cwd=tmp_path).returncode == 0


def test_a_full_disk_ends_the_run_and_leaves_the_checkpoint_before_whole(long, whole, tmp_path):
    # Room for the small files, not for another checkpoint: writing beyond it is EFBIG, once the signal is ignored.
    limited = (
        "import os, resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY)); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    interrupt(long, tmp_path)
    before = sorted((tmp_path / "results").glob(".work/*/checkpoints/step-*"))
    run = subprocess.run(
        [sys.executable, "-c", limited, sys.executable, "-m", "clipbench", "run", str(long)], cwd=tmp_path,
        env=environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    output = run.stdout + run.stderr
    assert run.returncode == 5, output
    assert "the checkpoint cannot be written" in output and "free there" in output and "Traceback" not in output
    assert sorted((tmp_path / "results").glob(".work/*/checkpoints/step-*")) == before
    assert clipbench("run", long, cwd=tmp_path).returncode == 0
    assert outcome_of(tmp_path) == whole


def test_a_vanished_folder_ends_the_run_with_its_name(long, tmp_path):
    run = start(long, tmp_path, CLIPBENCH_NUMPY_PAUSE="0.05")
    wait_for_events(tmp_path, '"CheckpointSaved"', 2)
    (folder,) = (tmp_path / "results").glob(".work/flat-*")
    shutil.rmtree(folder, ignore_errors=True)
    output, errors = run.communicate(timeout=60)
    assert run.returncode == 5, output + errors
    assert str(folder.relative_to(tmp_path)) in output + errors and "Traceback" not in output + errors


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_small_file_system_that_fills_up(long, whole, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        (small / "ballast").write_bytes(bytes(40_000))
        full = clipbench("run", long, "--out", small / "results", cwd=tmp_path)
        output = full.stdout + full.stderr
        assert full.returncode == 5, output
        assert "free" in output and "Traceback" not in output
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


@pytest.mark.parametrize(
    "fault, part",
    [
        ("nan", "the training loss is nan at epoch 1, step 2"),
        ("gradient", "the norm of the gradient is inf at epoch 1, step"),
        ("skip", "withheld 4 steps in a row (train.max_skipped_steps) at epoch 1, step"),
        ("parameter", "parameter image_weights is not finite"),
        ("collapse", "the model has collapsed: all 12 images have the same feature"),
    ],
)
def test_numbers_that_are_not_finite_end_the_case(suite, tmp_path, fault, part):
    train = {**LONG, "epochs": 2, "max_skipped_steps": 3}
    path = suite(train=train, checkpoint=KEPT, timing={"warmup_steps": 0, "window_steps": 1})
    done = clipbench("run", path, cwd=tmp_path, CLIPBENCH_NUMPY_FAULT=fault)
    (result,) = results(tmp_path)
    assert done.returncode == 4 and result.status == "failed"
    assert part in result.error.message
    assert "Traceback" not in done.stdout + done.stderr
    if fault in ("nan", "gradient", "skip"):
        details = result.error.details
        assert len(details["indices"]) == 8 and details["learning_rate"] > 0 and details["step"] >= 2
        assert "the last good checkpoint: " in result.error.message
    assert not any(record.recall for record in result.epochs)

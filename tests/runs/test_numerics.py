"""A check of numerics from the shell, on the numpy engine: devices that compute wrongly, and none that pass for it."""

import json
import re
import signal

import pytest

from tests.support.numpy_runs import clipbench, results, start

CHECK = {"steps": 4, "batch_size": 8}
SUITE = {"numerics": CHECK, "reference": None}


def run_and_compare(path, cwd, *words, **more):
    done = clipbench("run", path, *words, cwd=cwd, **more)
    assert "Traceback" not in done.stderr, done.stderr
    (result,) = results(cwd)
    return done, result, clipbench("compare", "results", cwd=cwd)


def test_a_good_device_passes_without_a_reference(suite, tmp_path):
    done, result, compared = run_and_compare(suite(**SUITE), tmp_path)
    assert done.returncode == 0, done.stderr
    numerics = result.numerics
    assert numerics.batch_size == 8 and numerics.learning_rate == pytest.approx(0.0025)
    assert len(numerics.fixed_batch.losses) == 4 and numerics.fixed_batch.losses[-1] < numerics.fixed_batch.losses[0]
    assert numerics.trusted_device == "paper" and not numerics.is_trusted and numerics.problem is None
    assert len(numerics.float32.losses) == 3 and numerics.float32 == numerics.trusted
    assert numerics.features_error == (0, 0) and numerics.repeats is True
    assert "checking numerics, float32 on abacus, step" in done.stdout
    assert "check of numerics: 3 steps in float32 differ from the same on paper by up to 0.0e+00" in done.stdout
    assert "judge the check of numerics: clipbench compare results/flat-" in done.stdout
    assert compared.returncode == 0, compared.stdout
    assert "judged by its check of numerics" in compared.stdout
    assert "gate pass" in compared.stdout and "1 pass: exit code 0" in compared.stdout


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        ("short", {"float32_error": "fail"}),
        ("idle", {"fixed_batch_loss": "fail", "float32_error": "fail"}),
        ("uphill", {"fixed_batch_loss": "fail", "float32_error": "fail"}),
        ("abort", {"float32_error": "missing"}),
        ("untrusted", {"float32_error": "missing"}),
    ],
)
def test_a_device_that_computes_wrongly_fails_the_gate(suite, tmp_path, fault, failing):
    path = suite(**SUITE)
    done = clipbench("run", path, cwd=tmp_path, CLIPBENCH_NUMPY_DEVICE=fault)
    assert done.returncode == 0, done.stderr  # the training itself notices nothing
    compared = clipbench("compare", "results", "--format", "json", cwd=tmp_path)
    assert compared.returncode == 1
    (comparison,) = json.loads(compared.stdout)["comparisons"]
    verdicts = {verdict["metric"]: verdict for verdict in comparison["verdicts"]}
    assert comparison["status"] == "fail"
    assert {name: verdicts[name]["status"] for name in failing} == failing
    assert all(re.search("is allowed|SIGABRT|has no trusted device", reason) for reason in comparison["reasons"])
    (result,) = results(tmp_path)
    assert (result.numerics.problem is not None) == ("missing" in failing.values())
    assert result.numerics.fixed_batch is not None  # what was found before a crash is kept


def test_a_device_that_rounds_otherwise_every_time_is_known_not_to_repeat_its_bits(suite, tmp_path):
    _, result, compared = run_and_compare(suite(**SUITE), tmp_path, CLIPBENCH_NUMPY_DEVICE="noisy")
    assert result.numerics.repeats is False and compared.returncode == 0


def test_losses_that_are_not_finite_are_kept_as_such(suite, tmp_path):
    done, result, compared = run_and_compare(suite(**SUITE), tmp_path, CLIPBENCH_NUMPY_DEVICE="nan")
    assert (done.returncode, compared.returncode) == (4, 4)
    assert result.numerics.fixed_batch.losses == (None,)
    assert "check of numerics: the loss is not finite at step 1" in done.stdout


def test_the_trusted_device_is_not_compared_with_itself(suite, tmp_path):
    done, result, compared = run_and_compare(suite(**SUITE), tmp_path, "--device", "paper")
    assert done.returncode == 0, done.stderr
    assert result.numerics.is_trusted and result.numerics.float32 is None
    assert "float32 is not compared" in done.stdout
    assert (
        compared.returncode == 0
        and "not needed" in clipbench("compare", "results", "--format", "json", cwd=tmp_path).stdout
    )


def test_the_training_is_what_it_is_without_a_check(suite, tmp_path):
    for sections in (SUITE, {"reference": None}):
        assert clipbench("run", suite(**sections), cwd=tmp_path).returncode == 0
    with_check, without = sorted(results(tmp_path), key=lambda result: result.numerics is None)
    assert with_check.numerics is not None and without.numerics is None
    assert with_check.query_ranks == without.query_ranks
    assert [r.train_loss for r in with_check.epochs] == [r.train_loss for r in without.epochs]
    assert with_check.config_sha256 == without.config_sha256


def test_a_check_is_interrupted_like_a_run(suite, tmp_path):
    run = start(suite(**SUITE), tmp_path, CLIPBENCH_NUMPY_PAUSE="0.5")
    lines = iter(run.stdout.readline, "")
    assert any("checking numerics, float32" in line for line in lines)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130, out + err
    (result,) = results(tmp_path)
    assert result.status == "interrupted" and result.epochs == () and "Traceback" not in out + err


def test_the_plan_says_how_many_steps_it_takes(suite, tmp_path):
    shown = clipbench("show", suite(**SUITE), cwd=tmp_path).stdout
    assert (
        "to check the numerics: 4 steps in float32 on one batch of 8, 3 of them twice, then, unless the device is"
        in shown
    )
    assert "3 in float32 on each of both" in shown
    assert "numerics.steps: 4" in shown


def test_a_run_that_only_evaluates_has_nothing_to_check(suite, tmp_path):
    done = clipbench("run", suite(**SUITE), "--set", "train.epochs=0", cwd=tmp_path)
    assert done.returncode == 2 and "numerics: it takes steps of training" in done.stderr

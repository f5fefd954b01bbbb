"""`clipbench soak`: a case again and again on every device, what deviates, what fails, and its end in order."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner

from clipbench.api.result import LossTrace
from clipbench.cli import main
from clipbench.fleet.repetitions import Repetition, of_result, summarise, trace_of
from clipbench.report.fleet.soak import repetition_text, soak_text
from clipbench.results.result import read_result
from tests.support.made_results import changed, failed, made_result
from tests.support.numpy_runs import clipbench, environment

MADE = made_result()


def repetition(device, number, trace="a", speed=100.0, **fields):
    return Repetition(device, number, "completed", 10.0 * number, 0, throughput=speed, trace=trace, **fields)


def soaked(*repetitions, count=1, stopped_by=None):
    return summarise("flat", "abacus", "abacus of wood", 60.0, repetitions, count, stopped_by)


def test_the_repetition_that_computes_something_else_is_named():
    done = soaked(repetition(0, 1), repetition(1, 1), repetition(0, 2, "b"), repetition(1, 2), count=2)
    assert [(one.device, one.number) for one in done.repetitions if one.deviates] == [(0, 2)]
    assert [one.deviating for one in done.devices] == [(2,), ()]
    assert done.exit_code == 1 and done.repeats_its_bits is False
    assert "device 0, repetition 2: computed something else than most" in soak_text(done)
    assert "FAIL: 4 completed (exit code 1)" in soak_text(done)


def test_throughput_temperature_and_throttling_are_followed_over_time():
    hot = {"celsius_peak": 91.0, "throttled_seconds": {"heat": 3.0}}
    done = soaked(
        repetition(0, 1, speed=120.0), repetition(0, 2, speed=90.0, **hot), repetition(0, 3, speed=95.0, **hot)
    )
    (summary,) = done.devices
    assert (summary.first, summary.last, summary.lowest, summary.median) == (120.0, 95.0, 90.0, 95.0)
    assert (summary.celsius_peak, summary.throttled_seconds) == (91.0, {"heat": 6.0})
    assert done.exit_code == 0 and done.repeats_its_bits is True
    assert "first 120.0, last 95.0, median 95.0, lowest 90.0, at most 91 °C, 6 s throttled (heat)" in soak_text(done)
    assert repetition_text(done.repetitions[1]).endswith("completed: 90.0 pairs/s, 91 °C, 3 s throttled (heat)")


def test_a_failure_fails_the_soak_and_a_signal_has_its_own_code():
    broken = Repetition(0, 2, "failed", 20.0, 4, message="beads are stuck")
    assert soaked(repetition(0, 1), broken).exit_code == 1
    assert soaked(repetition(0, 1), stopped_by=signal.SIGINT).exit_code == 130
    assert soaked(repetition(0, 1), broken, stopped_by=signal.SIGINT).exit_code == 1
    assert soaked().exit_code == 1  # nothing was shown
    assert soaked(repetition(0, 1)).repeats_its_bits is None


def test_a_trace_is_of_losses_and_ranks_alone():
    again = replace(MADE, run_id="another", ended="2026-02-02T00:00:00Z")
    assert trace_of(again) == trace_of(MADE)
    assert trace_of(changed(MADE, "epochs.0.val_loss", 0.5000001)) != trace_of(MADE)
    assert trace_of(replace(MADE, loss_trace=LossTrace(20, "0" * 64))) != trace_of(MADE)
    ranks = replace(MADE.query_ranks, text=[*MADE.query_ranks.text[:-1], 7])
    assert trace_of(replace(MADE, query_ranks=ranks)) != trace_of(MADE)
    begun = Repetition(0, 1, "failed", 1.0, 0)
    assert of_result(begun, MADE).trace == trace_of(MADE)
    assert of_result(begun, failed(MADE)).message == "it broke\nbadly"


@pytest.mark.slow
def test_every_device_works_and_each_repetition_leaves_a_result(suite, place):
    done = clipbench(
        "soak", suite(), "--for", "1s", "--out", "soaked", "--format", "json", cwd=place, CLIPBENCH_NUMPY_COUNT="2"
    )
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert [(one["device"], one["number"]) for one in sorted(data["repetitions"], key=lambda one: one["device"])] == [
        (0, 1),
        (1, 1),
    ]
    assert data["repeats_its_bits"] is True and len({one["trace"] for one in data["repetitions"]}) == 1
    for one in data["repetitions"]:
        result = read_result(place / one["result"])
        assert result.completed and one["throughput"] == result.value("throughput")
        assert f"device-{one['device']}/" in one["result"]
    assert done.stderr.count("repetition 1 completed") == 2


@pytest.mark.slow
def test_ctrl_c_ends_it_in_order_with_its_summary(suite, place):
    command = [sys.executable, "-m", "clipbench", "soak", str(suite()), "--for", "2h"]
    variables = environment(CLIPBENCH_NUMPY_PAUSE="0.5")
    process = subprocess.Popen(command, cwd=place, env=variables, stdout=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not any('"StepsTrained"' in file.read_text() for file in place.glob("results/device-0/.work/*/events.jsonl")):
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "repetition 1 stopped" in output and "stopped: 0 completed (exit code 130)" in output
    (result,) = map(read_result, place.glob("results/device-0/*.json"))
    assert result.status == "interrupted"


@pytest.mark.slow
def test_a_device_that_only_fails_is_given_up(suite, place):
    done = clipbench("soak", suite(), "--for", "2h", cwd=place, CLIPBENCH_NUMPY_FAULT="raise")
    assert done.returncode == 1
    assert done.stdout.count("failed: beads are stuck") == 3 and "0 completed, 3 failed" in done.stdout


@pytest.mark.parametrize(
    "words, part",
    [
        (["quickstart", "--for", "soon"], "--for soon: expected hours"),
        (["quickstart", "--for", "0s"], "--for 0s: expected hours"),
        (["quickstart", "--for", "1s", "--nproc", "4"], "a soak runs one process on each device"),
        (["two.yaml", "--for", "1s"], "a soak repeats one case; choose one with --case"),
    ],
)
def test_what_cannot_be_soaked_is_refused(place, words, part):
    (place / "two.yaml").write_text(
        "name: two\nmodel: {name: clip-tiny}\ndataset: {name: shapes}\nmatrix: {seed: [1, 2]}\n"
    )
    done = CliRunner().invoke(main, ["soak", *words])
    assert done.exit_code == 2 and part in done.output

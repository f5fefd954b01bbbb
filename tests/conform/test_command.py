"""`clipbench conform`, as a plugin's author types it; and the same promises as tests of their own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clipbench.conform import promises
from clipbench.conform.conformance import checks_of
from tests.support.numpy_runs import clipbench

PLUGINS = Path(__file__).parents[2] / "docs" / "plugins.md"
STAND_IN = Path(__file__).parents[1] / "support" / "sdaa_stand_in"


def test_each_check_is_a_line_and_the_last_line_counts_them(tmp_path):
    done = clipbench("conform", "observer", "jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, verdict = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("pass")] == [
        ["pass", name] for name in checks_of("observer")
    ]
    assert verdict == "observer jsonl keeps its promises: 9 pass (exit code 0)"


def test_json_has_every_outcome_with_its_promise(tmp_path):
    done = clipbench(
        "conform",
        "dataset",
        "shapes",
        "--option",
        "train_images=64",
        "--option",
        "val_images=16",
        "--format",
        "json",
        cwd=tmp_path,
    )
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["exit_code"]) == (0, 0), done.stdout + done.stderr
    assert [check["check"] for check in answer["checks"]] == list(checks_of("dataset"))
    assert all(check["promise"] and check["status"] == "pass" for check in answer["checks"]), answer


@pytest.mark.slow
@pytest.mark.parametrize(("fault", "reason"), [("abort", "SIGABRT"), ("hang", "no answer within 8 s")])
def test_a_check_that_crashes_or_hangs_fails_and_the_rest_is_made(tmp_path, fault, reason):
    done = clipbench(
        "conform", "device", "abacus", "--timeout", "8", "--format", "json", cwd=tmp_path, CLIPBENCH_NUMPY_PROBE=fault
    )
    found = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1 and list(found) == list(checks_of("device"))
    for name in ("precision", "synchronize"):
        assert found[name]["status"] == "fail" and reason in found[name]["detail"]
    assert found["info"]["status"] == found["tune"]["status"] == "pass"


def test_a_device_that_is_not_there_is_said_once(tmp_path):
    done = clipbench("conform", "device", "unobtainium", cwd=tmp_path)
    assert done.stdout.count("not to be had on this planet") == 2  # `unavailable` passes with it; nothing else is asked
    assert "\nnot ready  name " in done.stdout


def test_an_unknown_name_is_a_usage_error(tmp_path):
    done = clipbench("conform", "device", "abacu", cwd=tmp_path)
    assert done.returncode == 2 and "'abacu'" in done.stderr and "abacus" in done.stderr


def test_promises_are_tests_for_an_authors_own_ci(tmp_path):
    (tmp_path / "test_mine.py").write_text(
        "import pytest\n"
        "from clipbench.conform import promises\n"
        "@pytest.mark.parametrize('kept', promises('observer', 'tcap'), ids=str)\n"
        "def test_tcap(kept):\n"
        "    kept()\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "9 passed" in done.stdout, done.stdout
    assert [str(promise) for promise in promises("observer", "tcap")] == list(checks_of("observer"))


@pytest.mark.parametrize("kind", ["device", "engine", "dataset", "model", "observer"])
def test_every_promise_stands_in_the_docs_in_the_same_words(kind):
    text = PLUGINS.read_text(encoding="utf-8")
    for check in checks_of(kind).values():
        assert f"| `{check.name}` | {check.promise} |" in text


# --- what ships keeps its promises ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [*promises("dataset", "shapes"), *promises("observer", "tensorboard")], ids=str)
def test_what_ships_keeps_its_promises(kept):
    kept()


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("device", "cpu", "--engine", "torch"),
        ("engine", "torch", "--device", "cpu"),
        ("model", "clip-tiny", "--engine", "torch"),
        pytest.param(("engine", "jax", "--device", "cpu"), marks=pytest.mark.campaign),
    ],
)
def test_the_engines_keep_their_promises(tmp_path, words):
    # Programs that are used a few times need not be fast.
    done = clipbench("conform", *words, cwd=tmp_path, XLA_FLAGS="--xla_backend_optimization_level=0")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_a_device_of_a_vendor_keeps_its_promises(tmp_path):
    done = clipbench("conform", "device", "sdaa", cwd=tmp_path, PYTHONPATH=str(STAND_IN))
    assert done.returncode == 0, done.stdout + done.stderr

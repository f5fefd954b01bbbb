"""`clipbench run` with several ranks, as people start them: by itself, by torchrun on two machines, by srun."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from clipbench.results.result import read_result
from clipbench.training.sampling import epoch_batches
from tests.support.numpy_runs import write_pictures

pytestmark = pytest.mark.slow

STAND_IN = Path(__file__).parents[2] / "support" / "sdaa_stand_in"
BATCH = 8


@pytest.fixture
def suite(tmp_path):
    """clip-tiny on forty flat pictures, of which this test has its own copy."""
    root = write_pictures(tmp_path / "data")

    def write(epochs, **more):
        data = {
            "name": "ranks",
            "device": "cpu",
            "model": {"name": "clip-tiny", "vocabulary": "words.txt.gz"},
            "dataset": {"name": "flickr8k", "root": str(root)},
            "train": {"epochs": epochs, "batch_size": BATCH, "augment": "none", "workers": 1},
            "eval": {"every": 0},
            "timing": {"warmup_steps": 0, "window_steps": 1},
            "checkpoint": {"keep": "all"},
            **more,
        }
        path = tmp_path / "ranks.yaml"
        path.write_text(json.dumps(data))
        return path

    write.root = root
    return write


def environment(**more):
    return {**os.environ, "CI": "true", "OMP_NUM_THREADS": "1", **more}


def start(*command, cwd, **more):
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process, seconds=180):
    (done,) = finish_all([process], seconds)
    return done


def finish_all(processes, seconds=180):
    """Exit codes and outputs; where one takes longer, none of them is left."""
    try:
        outputs = [process.communicate(timeout=seconds)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
            process.stdout.close()
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]


def only_result(folder):
    (path,) = (folder / "results").glob("*.json")
    return read_result(path)


def come_to(folder):
    result = only_result(folder)
    assert result.completed, result.error
    newest = sorted((folder / "results").glob(".work/*/checkpoints/step-*"))[-1]
    losses = [(record.train_loss, record.val_loss, record.recall) for record in result.epochs]
    return losses, result.loss_trace, result.query_ranks, (newest / "tensors.safetensors").read_bytes()


def rank_process(folder, rank):
    """Process id of one rank's worker that was started in ``folder``."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            variables = (process / "environ").read_bytes().split(b"\0")
            here = (process / "cwd").resolve() == folder.resolve()
            if here and b"clipbench.runs.rank" in words and f"RANK={rank}".encode() in variables:
                return int(process.name)
    return None


def left_behind(folder):
    """Command lines of all that still runs in ``folder``: ranks, launchers, loader processes and their servers."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "cwd").resolve() == folder.resolve():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ")[:200])
    return found


def children(process):
    found = [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return found + [grandchild for child in found for grandchild in children(child)]


def wait_for_epochs(folder, count, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        files = list((folder / "results").glob(".work/*/events.jsonl"))
        if files and files[0].read_text().count('["EpochFinished"') >= count:
            return
        time.sleep(0.02)
    raise AssertionError("the run did not get there in time")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    ("end", "code", "report"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", 4, {"rank": 1, "signal": "SIGKILL"}),
        ("sys.exit(5)", 5, None),
        ("sys.exit(0)", 0, None),
    ],
)
def test_the_launcher_runs_a_module_on_every_rank_and_reports_a_signal(tmp_path, end, code, report):
    lines = ["import os, signal, sys, time", f"if os.environ['RANK'] == '1': {end}"]
    if code:
        lines.append("time.sleep(60)")
    (tmp_path / "ends.py").write_text("\n".join(lines))
    done, output = finish(start("clipbench_torch.launch", 2, "killed.json", "ends", "job.json", cwd=tmp_path), 60)
    assert done == code, output
    path = tmp_path / "killed.json"
    written = json.loads(path.read_text()) if path.exists() else None
    assert written == (report and {**report, "pid": written["pid"]})


def test_a_killed_rank_ends_the_run_and_it_goes_on_bit_for_bit(suite, tmp_path):
    path = suite(epochs=5)
    whole = tmp_path / "whole"
    whole.mkdir()
    code, output = finish(start("clipbench", "run", path, "--nproc", 2, cwd=whole))
    assert code == 0, output
    run = start("clipbench", "run", path, "--nproc", 2, cwd=tmp_path)
    wait_for_epochs(tmp_path, 1)
    os.kill(rank_process(tmp_path, 1), signal.SIGKILL)
    killed = time.monotonic()
    code, output = finish(run, 60)
    if code == 0:
        pytest.fail("the run was over before its rank was killed")
    assert time.monotonic() - killed < 30
    failed = only_result(tmp_path)
    assert code == 4 and failed.status == "failed", output
    assert failed.error.rank == 1 and "rank 1 was killed by SIGKILL" in failed.error.message
    assert (tmp_path / failed.error.checkpoint).is_dir()
    until = time.monotonic() + 20
    while left_behind(tmp_path):
        assert time.monotonic() < until, left_behind(tmp_path)
        time.sleep(0.1)
    code, output = finish(start("clipbench", "run", path, "--nproc", 2, cwd=tmp_path))
    assert code == 0 and "resuming run" in output, output
    assert come_to(tmp_path) == come_to(whole)
    assert len(only_result(tmp_path).attempts) == 2


def test_a_rank_that_raises_is_named_with_its_traceback(suite, tmp_path):
    path = suite(epochs=2)
    index = 17
    picture = suite.root / "datasets" / "flickr8k-images" / f"train-{index}.jpg"
    with io.BytesIO() as drawn:
        Image.new("RGB", (48, 40), "red").save(drawn, "PNG")
        data = bytearray(drawn.getvalue())
    data[data.index(b"IDAT") + 8] ^= 0xFF  # the header is whole, the picture is not
    picture.write_bytes(data)
    (row_of_batch,) = [row.tolist().index(index) for row in epoch_batches(0, 0, 40, BATCH) if index in row]
    code, output = finish(start("clipbench", "run", path, "--nproc", 2, cwd=tmp_path))
    error = only_result(tmp_path).error
    assert code == 4 and error.exit_code == 4, output
    assert error.rank == row_of_batch // (BATCH // 2), error
    assert picture.name in error.message and "Traceback" in error.traceback
    assert "Traceback" not in output


def test_a_rank_that_hangs_is_found_by_the_timeout(suite, tmp_path):
    path = suite(epochs=500, ranks_timeout=5)
    run = start("clipbench", "run", path, "--nproc", 2, cwd=tmp_path)
    wait_for_epochs(tmp_path, 2)
    # Its loader stands still: the rank itself is alive, and waits.
    stopped = children(rank_process(tmp_path, 1))
    assert stopped
    for child in stopped:
        os.kill(child, signal.SIGSTOP)
    try:
        code, output = finish(run, 90)
    finally:
        for child in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    error = only_result(tmp_path).error
    assert code == 4, output
    assert error.rank == 1 and "rank 1 has come no further than epoch" in error.message, error
    assert (tmp_path / error.checkpoint).is_dir()


def agents(path, cwd, per_machine, *words, **more):
    """Two launchers that meet at a port of this machine, as two machines would."""
    meeting = [
        "torch.distributed.run", "--nnodes", 2, "--nproc-per-node", per_machine, "--rdzv-backend", "c10d",
        "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--rdzv-id", "test", "--local-addr", "127.0.0.1",
        "-m", "clipbench", "run", path, *words,
    ]  # fmt: skip
    return finish_all([start(*meeting, cwd=cwd, **more) for _ in range(2)])


def test_two_machines_with_two_ranks_each_write_one_result(suite, tmp_path):
    (first, one), (second, other) = agents(suite(epochs=2), tmp_path, 2)
    assert (first, second) == (0, 0), one + other
    result = only_result(tmp_path)
    last = result.epochs[-1]
    assert result.world_size == 4 and [entry.rank for entry in last.per_rank] == [0, 1, 2, 3]
    assert all(entry.seconds > 0 for entry in last.per_rank) and last.slowest_rank in range(4)
    # Of each window, the rank that took longest: no rank's own sum can be more.
    assert sum(window.seconds for window in last.windows) >= max(entry.seconds for entry in last.per_rank) - 1e-9
    assert last.throughput_per_device == pytest.approx(last.throughput / 4)


def test_two_machines_over_the_stand_ins_tccl(suite, tmp_path):
    path = os.pathsep.join([str(STAND_IN), os.environ.get("PYTHONPATH", "")])
    (first, one), (second, other) = agents(suite(epochs=1), tmp_path, 1, "--device", "sdaa", PYTHONPATH=path)
    assert (first, second) == (0, 0), one + other
    result = only_result(tmp_path)
    assert result.environment["device"]["kind"] == "sdaa"
    last = result.epochs[-1]
    # Two of a card's four devices: one card.
    assert last.throughput_per_card == pytest.approx(last.throughput)
    assert last.peak_memory_bytes > 0


def test_srun_tells_the_ranks_by_its_own_variables(suite, tmp_path):
    path = suite(epochs=1)
    common = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost", "MASTER_PORT": str(free_port())}
    tasks = [
        start("clipbench", "run", path, cwd=tmp_path, SLURM_PROCID=str(n), SLURM_LOCALID=str(n), **common)
        for n in range(2)
    ]
    for code, output in finish_all(tasks):
        assert code == 0, output
    assert only_result(tmp_path).world_size == 2


def test_a_batch_that_ranks_cannot_share_is_refused_with_the_sizes_that_would_do(suite, tmp_path):
    code, output = finish(start("clipbench", "run", suite(epochs=1), "--nproc", 3, cwd=tmp_path))
    assert code == 2 and "a batch of 8 cannot be shared by 3 ranks; it can be shared by 1, 2, 4, 8" in output
    assert not (tmp_path / "results").exists()

"""The loader: batches in order whatever the processes, errors as they were raised, processes that end."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from clipbench.api import ProcessLoader
from clipbench.errors import CaseFailedError, NotReadyError

KEYS = [[3, 1, 4], [1, 5, 9, 2, 6], [5, 3, 5], [8], [9, 7], [9, 3, 2], [3, 8]]


class Unsendable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def fetch(key):
    if key == "missing":
        raise NotReadyError("dog.jpg: no such file")
    if key == "broken":
        raise ZeroDivisionError("in fetch")
    if key == "unsendable":
        raise Unsendable("this", "that")
    rng = np.random.default_rng(key)
    return rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), np.array([key, 0], np.int32)


def fetch_of_any_size(key):
    return (np.full(key, key),)


def fetch_process(key):
    return (np.array([os.getpid()]),)


def fetch_modules(key):
    return (np.array([name in sys.modules for name in ("torch", "clipbench.cli", "clipbench.runs")]),)


def fetch_variables(key):
    return (np.array([int(os.environ[name]) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")]),)


@pytest.fixture
def loader_of():
    with contextlib.ExitStack() as stack:

        def build(fetch, workers):
            return stack.enter_context(contextlib.closing(ProcessLoader(fetch, workers)))

        yield build


def alive(process):
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_for_end(processes):
    deadline = time.monotonic() + 10
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, processes))


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
def test_batches_are_the_stacked_samples_in_order(loader_of, workers):
    loader = loader_of(fetch, workers)
    for _ in range(2):
        batches = list(loader.batches(KEYS))  # kept: no later batch is written over an earlier one
        for keys, (pixels, numbers) in zip(KEYS, batches, strict=True):
            np.testing.assert_array_equal(pixels, np.stack([fetch(key)[0] for key in keys]), strict=True)
            np.testing.assert_array_equal(numbers, np.stack([fetch(key)[1] for key in keys]), strict=True)


def test_samples_that_do_not_fit_into_shared_memory_arrive_all_the_same(loader_of):
    keys = [[2, 2], [3, 3, 3], [2, 2, 2, 2], [0, 0], [5]]
    batches = [batch.tolist() for (batch,) in loader_of(fetch_of_any_size, 2).batches(keys)]
    assert batches == [[[key] * key for key in batch] for batch in keys]


def test_there_may_be_nothing_to_fetch(loader_of):
    assert list(loader_of(fetch, 2).batches([])) == []


@pytest.mark.parametrize("taken", [1, 3])
def test_an_unfinished_iteration_does_not_leak_into_the_next(loader_of, taken):
    loader = loader_of(fetch, 2)
    unfinished = loader.batches(KEYS)
    for _ in range(taken):
        next(unfinished)
    later = [[7], [8, 9, 10, 11, 12, 13]]
    assert [numbers[:, 0].tolist() for _, numbers in loader.batches(later)] == later


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_errors_arrive_as_they_were_raised(loader_of, workers):
    loader = loader_of(fetch, workers)
    with pytest.raises(NotReadyError) as refusal:
        list(loader.batches([[1], ["missing"], [2]]))
    assert str(refusal.value) == "dog.jpg: no such file"
    with pytest.raises(ZeroDivisionError, match="in fetch"):
        list(loader.batches([["broken"]]))
    assert len(list(loader.batches(KEYS))) == len(KEYS)


def test_an_error_that_cannot_be_sent_arrives_as_text_with_its_trace(loader_of):
    with pytest.raises(RuntimeError, match="Unsendable: this and that") as failure:
        list(loader_of(fetch, 1).batches([["unsendable"]]))
    assert "test_loader.py" in str(failure.value.__cause__)


def test_what_cannot_be_read_in_a_process_is_an_error_that_says_so(loader_of, tmp_path, monkeypatch):
    (tmp_path / "passing.py").write_text("import numpy\ndef fetch(key):\n    return (numpy.zeros(1),)\n")
    monkeypatch.syspath_prepend(tmp_path)
    import passing

    (tmp_path / "passing.py").unlink()
    with pytest.raises(ModuleNotFoundError, match="passing"):
        list(loader_of(passing.fetch, 2).batches([[1]]))


def test_processes_stay_between_calls_ignore_interrupts_and_end_with_the_loader(loader_of):
    loader = loader_of(fetch_process, 2)
    workers = set(next(loader.batches([[0, 0]]))[0].ravel().tolist())
    assert len(workers) == 2 and os.getpid() not in workers
    for worker in workers:
        os.kill(worker, signal.SIGINT)
        os.kill(worker, signal.SIGTERM)
    assert {int(pid) for (batch,) in loader.batches([[0, 0], [0, 0]]) for pid in batch.ravel()} == workers
    loader.close()
    assert wait_for_end(workers)


def test_a_process_that_was_killed_is_an_error_that_says_what_to_do(loader_of):
    loader = loader_of(fetch_process, 2)
    (workers,) = next(loader.batches([[0, 0]]))
    os.kill(int(workers[1, 0]), signal.SIGKILL)
    with pytest.raises(CaseFailedError, match=r"--set train\.workers=N"):
        list(loader.batches([[0, 0]] * 3))


def test_processes_end_when_their_owner_is_killed():
    script = (
        "import tests.api.test_loader as t; from clipbench.api import ProcessLoader; import os, signal\n"
        "(workers,) = next(ProcessLoader(t.fetch_process, 2).batches([[0, 0]]))\n"
        "print(*workers.ravel(), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=False)
    workers = ended.stdout.split()
    assert len(workers) == 2
    assert wait_for_end(workers)


def test_processes_compute_on_one_thread_and_import_no_framework(loader_of):
    assert next(loader_of(fetch_variables, 1).batches([[0]]))[0].tolist() == [[1, 1]]
    assert next(loader_of(fetch_modules, 1).batches([[0]]))[0].tolist() == [[False, False, False]]

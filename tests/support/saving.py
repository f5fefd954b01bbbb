"""Processes that save checkpoints, and are killed or refused room while they do: ``python saving.py WHAT FOLDER``."""

import json
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np

from clipbench.api import LearnerState, TensorRef
from clipbench.errors import ClipbenchError
from clipbench.training import checkpoints

MOST = 200  # fits all of these
KINDS = ("float32", "float16", "int64", "uint8")
# What leaves a trace on the disk: the process is killed before each of them in turn.
CALLS = ("mkdir", "open", "write", "fsync", "close", "rename", "unlink", "rmdir")


def state_of(step, size=2000):
    """A state in which every number tells its step, so that a mixture of two would be noticed."""
    arrays = {f"of.{kind}": np.full((size, 3), step % MOST, kind) for kind in KINDS}
    return LearnerState(
        {name: TensorRef(array.dtype, array.shape, lambda array=array: array) for name, array in arrays.items()},
        {"step": step},
    )


def save(root, step, size=2000):
    return checkpoints.save(root, f"step-{step:08d}", state_of(step, size), {"step": step}, step % 5 / 10)


def step_of(found):
    """The step at which a checkpoint was saved, of which every number has to tell the same."""
    step = found.progress["step"]
    assert found.state.values == {"step": step}
    assert len(found.state.tensors) == len(KINDS)
    for ref in found.state.tensors.values():
        assert (ref.read() == step % MOST).all()
    return step


def forked(work):
    """Fork a child that does ``work`` and leaves; its process id."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def killed_at_random(root, moments=20):
    """Steps found before and after each of so many children was killed while it saved in a loop."""
    save(root, 1)
    found = [1]

    def loop():
        for step in range(found[-1] + 1, found[-1] + 1000):
            save(root, step)
            save(root, step)  # in place of the one before

    for _ in range(moments):
        child = forked(loop)
        time.sleep(random.uniform(0.02, 0.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        latest = checkpoints.latest(root)
        assert not latest.problems, latest.problems
        found.append(step_of(latest))
    return found


def killed_at_every_call(root):
    """What is found after a child was killed before its first, second, ... call that the disk sees; until one ends."""
    save(root, 1)
    found = []
    while True:
        old, number = step_of(checkpoints.latest(root)), len(found)

        def work(number=number, old=old):
            kill_before(number)
            # In place of one of the same name, with one more: both ways of becoming the newest.
            checkpoints.save(root, f"step-{old:08d}", state_of(old), {"step": old}, 0.1)
            save(root, old + 1)

        child = forked(work)
        _, status = os.waitpid(child, 0)
        latest = checkpoints.latest(root)
        for folder in checkpoints.folders(root):  # the older ones as well
            step_of(checkpoints.load(folder))
        found.append(step_of(latest) - old)
        if not os.WIFSIGNALED(status):
            return found


def kill_before(number):
    """Have this process killed before so many calls of those that the disk sees have been made."""
    left = [number]

    def counted(call):
        def instead(*words, **named):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return call(*words, **named)

        return instead

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def refused(root, limit):
    """The error of a save that the disk refuses, one being there; ``limit`` the largest file in bytes, or 0."""
    if checkpoints.latest(root) is None:
        save(root, 1)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        save(root, 2, size=100_000)
    except ClipbenchError as error:
        assert [path.name for path in root.iterdir()] == ["step-00000001"], list(root.iterdir())
        return {"message": str(error), "exit_code": error.exit_code, "latest": step_of(checkpoints.latest(root))}
    return {"message": "saved", "exit_code": 0, "latest": step_of(checkpoints.latest(root))}


if __name__ == "__main__":
    what, root, *rest = sys.argv[1:]
    print(json.dumps(globals()[what](Path(root), *map(int, rest))))

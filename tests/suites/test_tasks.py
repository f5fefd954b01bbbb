"""Ids of tasks: a pure function of what is run, and the way back from an id to its case."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from clipbench.errors import UsageError
from clipbench.suites.loading import find_suite, load_suite
from clipbench.suites.tasks import Task, find_task, hash_of_id, is_task_id, node_of_id

CASE = load_suite(find_suite("quickstart")).cases[0]


def test_an_id_is_short_readable_and_safe_as_a_file_name():
    task_id = Task(CASE, repeat=2).id
    assert re.fullmatch(r"quickstart-auto-s0-r2-[0-9a-f]{10}", task_id)
    assert Task(replace(CASE, device="pjrt:sdaa"), node="node07").id.endswith("@node07")
    assert re.fullmatch(r"[A-Za-z0-9_.@=,+-]+", Task(replace(CASE, device="pjrt:sdaa"), node="node-07.rack_3").id)


def test_an_id_is_the_same_in_every_process_and_changes_with_all_that_is_computed():
    code = (
        "from clipbench.suites.loading import find_suite, load_suite\nfrom clipbench.suites.tasks import Task\n"
        "print(Task(load_suite(find_suite('quickstart')).cases[0]).id)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == Task(CASE).id
    changed = [
        replace(CASE, seed=1),
        replace(CASE, device="cpu"),
        replace(CASE, precision="bfloat16"),
        replace(CASE, train=replace(CASE.train, batch_size=25)),
    ]
    ids = [Task(CASE).id, Task(CASE, 2).id, Task(CASE, node="a").id, *(Task(case).id for case in changed)]
    assert len(set(ids)) == len(ids)
    # What changes nothing about the work changes nothing about the id.
    assert Task(replace(CASE, reference=None, ranks_timeout=1.0)).id == Task(CASE).id


@pytest.mark.parametrize(
    "task",
    [
        Task(CASE),
        Task(replace(CASE, seed=4294967295), 31),
        Task(replace(CASE, device="pjrt:sdaa")),
        Task(CASE, node="rack-3.node_07"),
    ],
    ids=lambda task: task.id,
)
def test_an_id_leads_back_to_its_task(task):
    assert is_task_id(task.id)
    assert find_task(task.id, [replace(CASE, precision="bfloat16"), CASE]) == task
    assert hash_of_id(task.id) == task.case.sha256()[:10] and node_of_id(task.id) == task.node


@pytest.mark.parametrize("text", ["quickstart", "flat@seed=1", "a-s0-r1-", "a-s0-r1-XYZ4567890", "-s0-r1-0123456789"])
def test_a_name_of_a_case_is_no_id(text):
    assert not is_task_id(text) and hash_of_id(text) is None and find_task(text, [CASE]) is None


def test_a_suite_is_reduced_to_one_task():
    suite, task = load_suite(find_suite("quickstart")), Task(replace(CASE, seed=3), 2)
    reduced = suite.select([task.id])
    assert (reduced.cases, reduced.task) == ((task.case,), task.id)
    with pytest.raises(UsageError, match=r"no task of .* has this id"):
        load_suite(find_suite("quickstart"), ["train.lr=0.5"]).select([task.id])
    with pytest.raises(UsageError, match="run alone"):
        suite.select([task.id, "quickstart"])

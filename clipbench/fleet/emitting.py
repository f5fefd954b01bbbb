"""A plan as the file of an engine that runs it: GitHub's matrix, GitLab's pipeline, Kubernetes' job, or a shell's."""

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from clipbench import __version__
from clipbench.errors import ExitCode, UsageError
from clipbench.fleet.planning import PlannedTask

# What the engines take: https://docs.github.com/en/actions/reference/limits, jobs of a matrix;
# https://kubernetes.io/docs/concepts/configuration/configmap/, bytes of a ConfigMap, of which some are left for names.
GITHUB_JOBS = 256
CONFIG_MAP_BYTES = 1_000_000
# Kubernetes stops a pod by SIGTERM, and kills it so many seconds later: a checkpoint has to fit.
GRACE_SECONDS = 120
RETRIES = 3
COLLECT, INTO = ("jobs", "collect"), ("--into", "collected")
NEXT_TASK = 'eval "exec $(sed -n "$((JOB_COMPLETION_INDEX + 1))p" /plan/commands)"'


def github(tasks: Sequence[PlannedTask], out: Path) -> str:
    """Return the JSON for ``strategy.matrix`` of a workflow, on one line: id, folder and command of each job."""
    if len(tasks) > GITHUB_JOBS:
        raise UsageError(
            f"--emit github: {len(tasks):,} tasks; a matrix of GitHub has at most {GITHUB_JOBS} jobs: "
            f"plan shards, such as --shard 1/{-(-len(tasks) // GITHUB_JOBS)}"
        )
    jobs = [{"id": task.id, "folder": str(out / task.id), "command": task.line(out)} for task in tasks]
    return json.dumps({"include": jobs}, separators=(",", ":"))


def gitlab(tasks: Sequence[PlannedTask], out: Path) -> str:
    """Return a child pipeline: a job for each task, and a last one that collects, on runners with ``CLIPBENCH_TAG``."""
    jobs: dict[str, Any] = {
        task.id: {
            "stage": "tasks",
            "tags": ["$CLIPBENCH_TAG"],
            "script": [task.line(out)],
            "artifacts": {"when": "always", "paths": [str(out / task.id)]},
        }
        for task in tasks
    }
    collect = {
        "stage": "collect",
        "tags": ["$CLIPBENCH_TAG"],
        "when": "always",
        # The artifacts of all jobs before it; where nothing was left to run, there may be none.
        "script": [shlex.join(["mkdir", "-p", str(out)]), shlex.join(["clipbench", *COLLECT, str(out), *INTO])],
        "artifacts": {"when": "always", "paths": [INTO[-1]]},
    }
    head = {"stages": ["tasks", "collect"], "variables": {"CLIPBENCH_TAG": "clipbench"}}
    return _yaml({**head, **jobs, "collect": collect})


def kubernetes(tasks: Sequence[PlannedTask], out: Path, image: str = f"clipbench:{__version__}") -> str:
    """Return a ConfigMap with a command for each index, and the Indexed Job that runs them.

    They run in the claim ``clipbench``, which has the suites and gets the results. A pod that was evicted starts again,
    and goes on from its checkpoint; a command that was given wrongly is not tried again.
    """
    if not tasks:
        raise UsageError("--emit kubernetes: every task has a result, so there is nothing to run; --all plans them all")
    commands = "".join(f"{task.line(out)}\n" for task in tasks)
    if len(commands.encode()) > CONFIG_MAP_BYTES:
        parts = -(-len(commands.encode()) // CONFIG_MAP_BYTES)
        raise UsageError(
            f"--emit kubernetes: the commands of {len(tasks):,} tasks do not fit into a ConfigMap of 1 MB: "
            f"plan shards, such as --shard 1/{parts + 1}"
        )
    name = f"clipbench-{hashlib.sha256(commands.encode()).hexdigest()[:10]}"
    metadata = {"name": name, "labels": {"app": "clipbench"}}
    plan = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "immutable": True,
        "data": {"commands": commands},
    }
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": _indexed_job(len(tasks), name, image)}
    return f"{_yaml(plan)}---\n{_yaml(job)}"


def _indexed_job(count: int, plan: str, image: str) -> dict[str, Any]:
    """Return what Kubernetes is asked for: a pod for each of ``count`` lines of the ConfigMap ``plan``."""
    container = {
        "name": "clipbench",
        "image": image,
        "command": ["/bin/sh", "-c", NEXT_TASK],
        "workingDir": "/work",
        "env": [{"name": "CLIPBENCH_HOST", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "volumeMounts": [
            {"name": "plan", "mountPath": "/plan", "readOnly": True},
            {"name": "work", "mountPath": "/work"},
        ],
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "containers": [container],
        "volumes": [
            {"name": "plan", "configMap": {"name": plan}},
            {"name": "work", "persistentVolumeClaim": {"claimName": "clipbench"}},
        ],
    }
    never_again = {"operator": "In", "values": [int(ExitCode.USAGE), int(ExitCode.NOT_COMPARABLE)]}
    rules = [
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        {"action": "FailIndex", "onExitCodes": never_again},
    ]
    return {
        "completionMode": "Indexed",
        "completions": count,
        "parallelism": count,
        "backoffLimitPerIndex": RETRIES,
        "maxFailedIndexes": count,
        "podFailurePolicy": {"rules": rules},
        "template": {"spec": pod},
    }


def shell(tasks: Sequence[PlannedTask], out: Path) -> str:
    """Return a line for each task."""
    return "\n".join(task.line(out) for task in tasks)


EMITTERS: Mapping[str, Callable[[Sequence[PlannedTask], Path], str]] = {
    "github": github,
    "gitlab": gitlab,
    "kubernetes": kubernetes,
    "shell": shell,
}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _yaml(data: object) -> str:
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=1000, allow_unicode=True)

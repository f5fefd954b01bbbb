"""Tasks given to an engine, through submitit: Slurm, or processes of this machine."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clipbench.errors import NotReadyError, UsageError
from clipbench.files.yaml_file import parse_value, read_yaml
from clipbench.fleet import slurm
from clipbench.fleet.jobs import UNDER_WAY, Jobs
from clipbench.fleet.planning import PlannedTask
from clipbench.fleet.records import Engine, Submission, Submitted, new_folder
from clipbench.fleet.worker import Worker
from clipbench.results.result import utc_now

LOGGING = "SUBMITIT_LOG_LEVEL"
# Requeues for which submitit's own limit is never reached: each goes on from the checkpoint.
MOST_REQUEUES = 1_000_000
# Of local jobs, which have no limit: a year.
NO_LIMIT_MINUTES = 525_600
MakeWorker = Callable[[Path, Path, tuple[Submitted, ...], bool, str | None], Callable[[], int]]


@dataclass(frozen=True)
class Order:
    """How an engine is to run tasks: what each job gets, as options of sbatch, and how many run ``at_once``."""

    on: Engine
    resources: Mapping[str, Any] = field(default_factory=dict)
    at_once: int | None = None


def read_resources(file: Path | None, given: Sequence[str]) -> dict[str, Any]:
    """Return the options of sbatch in a YAML file, and those given as ``key=value``, which go before."""
    resources: dict[str, Any] = {}
    if file is not None:
        data = read_yaml(file).data
        if not isinstance(data, dict) or any(isinstance(value, (dict, list)) for value in data.values()):
            raise UsageError(f"{file}: expected options of sbatch with one value each, such as gres: gpu:1")
        resources |= data
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--resource {text}: expected an option of sbatch, such as --resource gres=gpu:1")
        # A time such as 1:30:00 is a text here, and so is whatever else sbatch has a form for.
        resources[key.strip()] = value if ":" in value else parse_value(value, f"--resource {text}")
    return {str(key).removeprefix("--").replace("_", "-"): value for key, value in resources.items()}


def left_to_run(tasks: Sequence[PlannedTask], jobs: Jobs, everything: bool) -> list[PlannedTask]:
    """Return the tasks that neither wait nor run, and have no valid result unless ``everything`` is asked for."""
    under_way = {task.id for task in jobs.tasks if task.state in UNDER_WAY}
    return [task for task in tasks if task.id not in under_way and (everything or task.result is None)]


def submit(
    tasks: Sequence[PlannedTask], order: Order, out: Path, make_worker: MakeWorker = Worker
) -> tuple[Submission, list[str]]:
    """Give ``tasks`` to the engine; return what was given, and a sentence for each job that it has refused.

    Nothing that was given is lost: it is recorded under ``out`` before the next is given.
    """
    submitit = _submitit()
    _check(order)
    out = out.absolute()
    folder = new_folder(out)
    submission, refused = Submission(folder, order.on, socket.gethostname(), utc_now(), ()), list[str]()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    for options, works in _arrays(tasks, order, out):
        workers = [make_worker(folder, Path.cwd(), work, order.on == "local", visible) for work in works]
        try:
            jobs = _give(submitit, folder, order.on, options, workers)
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            which = f"for node {options['nodelist']}: " if "nodelist" in options else ""
            refused.append(f"{which}sbatch refused the job: {str(error).strip().splitlines()[-1]}")
            continue
        submitted = [replace(task, job=job) for job, work in zip(jobs, works, strict=True) for task in work]
        submission = replace(submission, tasks=(*submission.tasks, *submitted))
        submission.write()
    return submission, refused


def _check(order: Order) -> None:
    """Raise for an engine that is not here, and for resources that it needs or cannot give."""
    if order.on == "local" and order.resources:
        raise UsageError("--resource: jobs of this machine get what it has; leave resources out with --on local")
    if order.on == "slurm" and shutil.which("sbatch") is None:
        raise NotReadyError("--on slurm: sbatch was not found on this machine; submit from a login node, or --on local")
    if order.on == "slurm" and "time" not in order.resources:
        raise UsageError(
            "--resource time=MINUTES is needed: how long a job may take; one that needs more is requeued, and goes on"
        )


def _arrays(
    tasks: Sequence[PlannedTask], order: Order, out: Path
) -> Iterator[tuple[dict[str, Any], Sequence[tuple[Submitted, ...]]]]:
    """Yield options of sbatch, and the tasks of each job of an array; tasks of one node are one job."""
    given = [Submitted(planned.id, tuple(planned.command(out))) for planned in tasks]
    if order.on == "local":
        count = min(order.at_once or 1, len(given))
        yield {}, [tuple(given[start::count]) for start in range(count)]
        return
    of_node: dict[str | None, list[Submitted]] = {}
    for planned, task in zip(tasks, given, strict=True):
        of_node.setdefault(planned.task.node, []).append(task)
    anywhere = of_node.pop(None, [])
    options = {**order.resources, "requeue": True, "time": slurm.minutes(str(order.resources["time"]))}
    for node, own in of_node.items():
        yield {**options, "nodelist": node}, [tuple(own)]
    most = slurm.array_tasks()
    for start in range(0, len(anywhere), most):
        array = [(task,) for task in anywhere[start : start + most]]
        yield {**options, "array_parallelism": order.at_once or most}, array


def _give(
    submitit: Any,  # noqa: ANN401
    folder: Path,
    on: Engine,
    options: Mapping[str, Any],
    workers: Sequence[Callable[[], int]],
) -> list[str]:
    """Return the ids of the jobs that run ``workers``."""
    if on == "local":
        executor = submitit.LocalExecutor(folder)
        executor.update_parameters(timeout_min=NO_LIMIT_MINUTES, stderr_to_stdout=True)
        with _silent():
            return [str(executor.submit(worker).job_id) for worker in workers]
    own = {key: options[key] for key in ("time", "array_parallelism") if key in options}
    executor = submitit.SlurmExecutor(folder, max_num_timeout=MOST_REQUEUES)
    executor.update_parameters(
        job_name="clipbench",
        stderr_to_stdout=True,
        additional_parameters={key: value for key, value in options.items() if key not in own},
        **own,
    )
    with executor.batch():
        jobs = [executor.submit(worker) for worker in workers]
    return [str(job.job_id) for job in jobs]


@contextmanager
def _silent() -> Iterator[None]:
    """Start processes in the block with no output: they outlive this one, whose reader would wait for them."""
    kept = os.dup(1), os.dup(2)
    with Path(os.devnull).open("w") as nothing:
        for number in (1, 2):
            os.dup2(nothing.fileno(), number)
    try:
        yield
    finally:
        for number, handle in enumerate(kept, 1):
            os.dup2(handle, number)
            os.close(handle)


def _submitit() -> Any:  # noqa: ANN401
    """Return the module submitit, imported without its logging, which would close the log handlers of this process."""
    configured = os.environ.get(LOGGING)
    os.environ[LOGGING] = "NOCONFIG"
    try:
        import submitit
    except ImportError as error:
        raise NotReadyError(
            f"submitit is not installed ({error}); install it with: pip install 'clipbench[slurm]'"
        ) from None
    finally:
        del os.environ[LOGGING]
        if configured is not None:
            os.environ[LOGGING] = configured
    return submitit

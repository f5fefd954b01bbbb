"""Tasks given to an engine, through submitit: Slurm, or processes of this machine."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from clipbench.errors import NotReadyError, UsageError
from clipbench.files.yaml_file import parse_value, read_yaml
from clipbench.fleet import slurm
from clipbench.fleet.planning import PlannedTask
from clipbench.fleet.records import Engine, Submission, Submitted, new_folder, shares
from clipbench.fleet.worker import Worker
from clipbench.results.result import utc_now

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


def submit(
    tasks: Sequence[PlannedTask], order: Order, out: Path, make_worker: MakeWorker = Worker
) -> tuple[Submission, list[str]]:
    """Give ``tasks`` to the engine; return what was given, and a sentence for each job that it has refused.

    Nothing that was given is lost: it is recorded under ``out`` before the next is given.
    """
    submitit = _submitit()
    if order.on == "slurm" and shutil.which("sbatch") is None:
        raise NotReadyError("--on slurm: sbatch was not found on this machine; submit from a login node, or --on local")
    if order.on == "local" and order.resources:
        raise UsageError("--resource: jobs of this machine get what it has; leave resources out with --on local")
    out = out.absolute()
    folder = new_folder(out)
    given = [Submitted(planned.id, tuple(planned.command(out))) for planned in tasks]
    nodes = [planned.task.node for planned in tasks]
    submission = Submission(folder, order.on, socket.gethostname(), utc_now(), ())
    refused = list[str]()
    for options, works in _batches(given, nodes, order):
        workers = [
            make_worker(folder, Path.cwd(), work, order.on == "local", os.environ.get("CUDA_VISIBLE_DEVICES"))
            for work in works
        ]
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


def _batches(
    tasks: Sequence[Submitted], nodes: Sequence[str | None], order: Order
) -> Iterator[tuple[dict[str, Any], list[tuple[Submitted, ...]]]]:
    """Yield options of sbatch, and the tasks of each job of one array."""
    if order.on == "local":
        yield {}, shares(tasks, order.at_once or 1)
        return
    options = {**order.resources, "requeue": True}
    if "time" not in options:
        raise UsageError(
            "--resource time=MINUTES: how long a job may take is needed; it is requeued where it needs more"
        )
    options["time"] = slurm.minutes(str(options["time"]))
    if any(nodes):
        for node, pairs in groupby(
            sorted(zip(nodes, tasks, strict=True), key=lambda pair: pair[0] or ""), lambda p: p[0]
        ):
            yield {**options, "nodelist": node}, [tuple(task for _, task in pairs)]
        return
    most = slurm.array_tasks()
    parallel = {"array_parallelism": order.at_once or most}
    for start in range(0, len(tasks), most):
        yield {**options, **parallel}, [(task,) for task in tasks[start : start + most]]


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
    try:
        import submitit
    except ImportError as error:
        raise NotReadyError(
            f"submitit is not installed ({error}); install it with: pip install 'clipbench[slurm]'"
        ) from None
    return submitit

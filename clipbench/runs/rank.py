"""One rank of one case, in a process of its own: ``python -m clipbench.runs.rank JOB``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from clipbench.api import Missing, events, exit_with_parent
from clipbench.api.registry import load_registry
from clipbench.errors import ExitCode
from clipbench.results.events import EventWriter
from clipbench.runs.build import run_case
from clipbench.runs.devices import find_device
from clipbench.runs.fitting import unfitting
from clipbench.runs.job import EVENTS, STOP, Job
from clipbench.runs.launch import world_of
from clipbench.runs.reporter import Reporter
from clipbench.training.stop import Stopped, StopRequest


def main(arguments: Sequence[str]) -> int:
    """Do the job in the file that ``arguments`` name; return the exit code."""
    job = Job.read(Path(arguments[0]))
    exit_with_parent(job.parent)
    stop = StopRequest(job.folder / STOP)
    stop.on_signals()
    reporter = Reporter(world_of(), EventWriter(job.folder / EVENTS))
    try:
        registry = load_registry()
        reporter.tell("framework", " and ".join(dict.fromkeys(engine for engine, _ in job.checks.devices)))
        devices = [find_device(registry, engine, device) for engine, device in job.checks.devices]
        if job.checks.weights:
            reporter.tell("weights")
        weights = [unfitting(registry, check) for check in job.checks.weights]
        missing = tuple(item for item in (*devices, *weights) if isinstance(item, Missing))
        reporter.emit(events.DevicesChecked(missing))
        if missing:
            return ExitCode.NOT_READY
        if job.case is not None:
            run_case(job, job.case, registry, reporter, stop)
        return ExitCode.PASS
    except Stopped as stopped:
        reporter.emit(events.TrainingStopped(str(stopped.checkpoint) if stopped.checkpoint else None))
        return ExitCode.INTERRUPTED
    except Exception as error:
        return reporter.failed(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

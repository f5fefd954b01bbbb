"""One rank of one case, in a process of its own: ``python -m clipbench.runs.rank JOB``."""

import atexit
import faulthandler
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from clipbench.api import Missing, events, exit_with_parent
from clipbench.api.processes import no_collections
from clipbench.api.registry import load_registry
from clipbench.errors import ExitCode
from clipbench.results.events import EventWriter
from clipbench.runs.build import run_case
from clipbench.runs.devices.opening import find_device
from clipbench.runs.fitting import unfitting
from clipbench.runs.job import EVENTS, STOP, Job
from clipbench.runs.launch import world_of
from clipbench.runs.numerics import check_numerics
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
        with no_collections():
            devices = [find_device(registry, engine, device) for engine, device in job.checks.devices]
        if job.checks.weights:
            reporter.tell("weights")
        weights = [unfitting(registry, check) for check in job.checks.weights]
        missing = tuple(item for item in (*devices, *weights) if isinstance(item, Missing))
        reporter.emit(events.DevicesChecked(missing))
        if missing:
            return ExitCode.NOT_READY
        if job.case is not None:
            do = run_case if job.task == "run" else check_numerics
            do(job, job.case, registry, reporter, stop)
        return ExitCode.PASS
    except Stopped as stopped:
        reporter.emit(events.TrainingStopped(str(stopped.checkpoint) if stopped.checkpoint else None))
        return ExitCode.INTERRUPTED
    except BaseException as error:  # of a plugin that calls sys.exit, too
        return reporter.failed(error)


def end(exit_code: int) -> NoReturn:
    """End this process with all that it registered for its end, but without what an interpreter does after that.

    Everything has been written and closed by then. Threads of frameworks and drivers that are still in native code have
    been seen to abort a process while its interpreter shuts down, which made a good run a failed one.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    faulthandler.enable()  # a driver that crashes: the log then says where this process was
    end(main(sys.argv[1:]))

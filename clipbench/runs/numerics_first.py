"""Run the check of numerics of a case, where it has one, before its training."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from clipbench.api import events
from clipbench.api.result import Numerics
from clipbench.runs.job import Job
from clipbench.runs.launch import Launch
from clipbench.runs.outcome import verdict_of_run
from clipbench.runs.process import ProcessEnd, run_job

# What is shown of the check's process; the rest is only of interest here.
SHOWN = (events.Progress, events.Notice, events.StopRequested)


@dataclass(frozen=True)
class Checked:
    """What a check has reported; ``end`` is that of its process where the case ends with it, stopped or not ready."""

    reported: tuple[events.Event, ...] = ()
    end: ProcessEnd | None = None


def check_numerics_first(
    job: Job, launch: Launch | None = None, receive: Callable[[events.Event], None] = lambda _event: None
) -> Checked:
    """Check the numerics of the job's case in a process of its own, handing on the check's events as they come.

    ``launch`` is the place of this process among the ranks that an outer launcher has started.

    A check that fails or crashes does not end the case: what it has not found stays None, with the reason.
    """
    if job.case is None or job.case.numerics is None:
        return Checked()
    found = [Numerics(job.case.numerics)]

    def take(event: events.Event) -> None:
        if isinstance(event, events.NumericsChecked):
            found.append(event.numerics)
        elif isinstance(event, SHOWN):
            receive(event)

    with tempfile.TemporaryDirectory(prefix="clipbench-") as folder:
        check = replace(job, folder=Path(folder), checkpoints=None, task="check numerics")
        end = run_job(check, variables=launch.variables if launch else {}, receive=take)
    if end.signals or end.of(events.TrainingStopped) or any(one.missing for one in end.of(events.DevicesChecked)):
        return Checked(end=end)
    _, error = verdict_of_run(end)
    numerics = found[-1] if end.returncode == 0 or error is None else replace(found[-1], problem=error.message)
    checked = events.NumericsChecked(numerics)
    receive(checked)
    return Checked((checked,))

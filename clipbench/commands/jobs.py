"""``clipbench jobs``: status, collect, cancel."""

import time
from pathlib import Path

import click

from clipbench.commands.options import FOLDER, FORMAT, as_json, warn
from clipbench.errors import ExitCode, UsageError

WAIT_SECONDS = 2.0
FOLDER_OF_JOBS = click.argument("out", type=click.Path(path_type=Path), default=Path("results"))


@click.group()
def jobs() -> None:
    """Follow, collect and cancel what was submitted.

    \b
    Example: clipbench jobs status results
    """


@jobs.command("status")
@FOLDER_OF_JOBS
@click.option("--wait", is_flag=True, help="Until no task waits or runs.")
@FORMAT
def jobs_status(out: Path, wait: bool, form: str) -> int:
    """Show how far the tasks are that were submitted.

    OUT is the folder that was given to `clipbench submit` as --out. Exit code 4 says that a task has failed, or will
    not end by itself.

    \b
    Example: clipbench jobs status results --wait
    """
    from clipbench.api.text import printable_data
    from clipbench.fleet.jobs import are_under_way, look_at
    from clipbench.report.fleet.jobs import jobs_data, jobs_text
    from clipbench.report.reading import tell_of_reading

    _check(out)
    while wait and are_under_way(out):
        time.sleep(WAIT_SECONDS)
    state = look_at(out, tell_of_reading)
    warn(state.notes)
    data = jobs_data(state)
    click.echo(
        as_json(data) if form == "json" else jobs_text(*printable_data((state.tasks, state.problems), lines=True))
    )
    return ExitCode.CASE_FAILED if state.count("failed", "lost", "interrupted", "not run") else ExitCode.PASS


@jobs.command("collect")
@FOLDER_OF_JOBS
@click.option("--into", type=FOLDER, required=True, help="The folder that gets each result, as one file.")
@FORMAT
def jobs_collect(out: Path, into: Path, form: str) -> int:
    """Copy the results of all tasks into one folder.

    OUT is any folder with results somewhere below it: that of `clipbench submit`, or what was downloaded from runners.
    Exit code 3 says that a file was refused, 4 that a submitted task has no result; all others are collected.

    \b
    Example: clipbench jobs collect results --into collected
    """
    from clipbench.api.text import printable_data
    from clipbench.fleet.collecting import collect_into
    from clipbench.fleet.found import odd
    from clipbench.fleet.jobs import look_at
    from clipbench.report.fleet.jobs import collected_text, jobs_data
    from clipbench.report.reading import tell_of_reading

    _check(out)
    state = look_at(out, tell_of_reading)
    warn(state.notes)
    collected = collect_into(state.findings, into)
    problems = (*state.problems, *collected.problems)
    doubts, missing = odd(state.findings), [task for task in state.tasks if task.result is None]
    if form == "json":
        data = {
            **vars(collected),
            "problems": problems,
            "doubts": doubts,
            "missing": jobs_data(state, missing)["tasks"],
        }
        click.echo(as_json(data))
    else:
        click.echo(collected_text(collected, into, *printable_data((problems, doubts, missing), lines=True)))
    if problems:
        return ExitCode.NOT_COMPARABLE
    return ExitCode.CASE_FAILED if missing else ExitCode.PASS


@jobs.command("cancel")
@FOLDER_OF_JOBS
def jobs_cancel(out: Path) -> None:
    """End the tasks that wait or run.

    Those under way are saved first. `clipbench submit` goes on with them.

    \b
    Example: clipbench jobs cancel results
    """
    from clipbench.fleet.jobs import cancel

    _check(out)
    count = cancel(out)
    click.echo(f"{count} job{'' if count == 1 else 's'} cancelled; what was trained is saved in a few seconds")


def _check(out: Path) -> None:
    if not out.is_dir():
        raise UsageError(f"{out}: no such folder; expected one that tasks have written to")

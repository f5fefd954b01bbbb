"""The plan of a fleet, and how far its tasks are, as text and as plain data."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from clipbench.fleet.collecting import Collected
from clipbench.fleet.jobs import Jobs, State, TaskState
from clipbench.fleet.planning import PlannedTask
from clipbench.fleet.records import Submission
from clipbench.report.running.doing import duration

STATES: tuple[State, ...] = get_args(State)


def plan_data(tasks: Sequence[PlannedTask], out: Path, problems: Sequence[str]) -> dict[str, Any]:
    """Return what ``clipbench plan --format json`` prints."""
    rows = [
        {
            "id": planned.id,
            "suite": planned.suite,
            "case": planned.task.case.name,
            "device": planned.task.case.device,
            "seed": planned.task.case.seed,
            "repeat": planned.task.repeat,
            "steps": planned.steps,
            "seconds": planned.seconds,
            "seconds_of": planned.seconds_of,
            "result": planned.result,
            "command": planned.command(out),
        }
        for planned in tasks
    ]
    return {"tasks": rows, "problems": list(problems)}


def plan_text(tasks: Sequence[PlannedTask]) -> str:
    """Return a line for each task, then how many are to be run, and about how long that takes one after another."""
    width = max((len(planned.id) for planned in tasks), default=0)
    lines = [f"{planned.id:<{width}}  {_length(planned)}  {_state(planned)}".rstrip() for planned in tasks]
    left = [planned for planned in tasks if planned.result is None]
    known = [planned.seconds for planned in left if planned.seconds is not None]
    time = f"; one after another they take about {duration(sum(known))}" if known else ""
    unknown = len(left) - len(known)
    more = f"{' and' if known else ';'} {unknown} for an unknown time" if unknown else ""
    return "\n".join(
        [*lines, f"{_count(tasks)}, {len(tasks) - len(left)} with a result, {len(left)} to run{time}{more}"]
    )


def submitted_text(submission: Submission, left_out: int, out: Path) -> str:
    """Return what was submitted, where its records are, and the commands that follow it."""
    given = len({task.job for task in submission.tasks})
    rest = f"; {left_out} under way or done were left out" if left_out else ""
    lines = [f"{_count(submission.tasks)} in {given} job{'' if given == 1 else 's'} on {submission.on}{rest}"]
    lines.append(f"records and logs: {submission.folder}")
    lines += [
        f"{verb}: clipbench jobs {word} {out}" for verb, word in (("follow them", "status"), ("end them", "cancel"))
    ]
    return "\n".join(lines)


def jobs_data(jobs: Jobs, tasks: Sequence[TaskState] | None = None) -> dict[str, Any]:
    """Return what ``clipbench jobs status --format json`` prints; of ``tasks`` alone, where they are given."""
    shown = jobs.tasks if tasks is None else tasks
    counts = {state: jobs.count(state) for state in STATES}
    return {"counts": counts, "tasks": [vars(task) for task in shown], "problems": jobs.problems}


def jobs_text(tasks: Sequence[TaskState], problems: Sequence[str]) -> str:
    """Return a line for each task that is neither completed nor queued, then how many there are of each state."""
    lines = [line for task in tasks if task.state not in ("completed", "queued") for line in _task_lines(task)]
    lines += [f"refused file: {problem}" for problem in problems]
    return "\n".join([*lines, f"{_count(tasks)}{_counts(tasks)}"])


def collected_text(
    collected: Collected,
    into: Path,
    problems: Sequence[str],
    doubts: Sequence[str],
    missing: Sequence[TaskState],
) -> str:
    """Return what stands in the way of results, what is missing, and how many were collected."""
    lines = [f"refused: {problem}" for problem in problems]
    lines += [f"warning: {doubt}" for doubt in doubts]
    lines += [line for task in missing for line in _task_lines(task)]
    count = collected.copied
    there = f", {collected.present} were there already" if collected.present else ""
    return "\n".join(
        [*lines, f"{count} result{'' if count == 1 else 's'} copied to {into}{there}; {len(missing)} missing"]
    )


def _task_lines(task: TaskState) -> list[str]:
    where = f" on {task.host}" if task.host else ""
    code = f", exit code {task.exit_code}" if task.exit_code else ""
    again = f", attempt {task.attempts}" if task.attempts > 1 else ""
    lines = [f"{task.id}: {task.state}{where}, job {task.job}{again}{code}"]
    lines += [f"  {line}" for line in (task.message or "").splitlines()]
    return [*lines, f"  log: {task.log}"] if task.log and task.state != "running" else lines


def _counts(tasks: Sequence[TaskState]) -> str:
    counts = [(state, sum(task.state == state for task in tasks)) for state in STATES]
    return "".join(f", {count} {state}" for state, count in counts if count)


def _count(tasks: Sequence[object]) -> str:
    return f"{len(tasks)} task{'' if len(tasks) == 1 else 's'}"


def _length(planned: PlannedTask) -> str:
    steps = "steps unknown" if planned.steps is None else f"{planned.steps:,} steps"
    return f"{steps}, time unknown" if planned.seconds is None else f"{steps}, about {duration(planned.seconds)}"


def _state(planned: PlannedTask) -> str:
    if planned.result is not None:
        return f"result: {planned.result}"
    return f"({planned.seconds_of})" if planned.seconds_of else ""

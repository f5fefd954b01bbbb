"""``clipbench submit``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import (
    COUNT,
    FORMAT,
    OUT,
    as_json,
    fleet_options,
    open_registry,
    repeatable,
    request_of,
    warn,
)
from clipbench.errors import ExitCode, UsageError


@click.command()
@fleet_options
@OUT
@click.option("--on", type=click.Choice(["slurm", "local"]), required=True, help="The engine: local is this machine.")
@click.option("--every-node", metavar="PARTITION", help="Every task once on each node of this partition of Slurm.")
@repeatable("--resource", "given", metavar="KEY=VALUE", help="An option of sbatch: time=60, gres=gpu:1. Repeatable.")
@click.option("--resources", type=click.Path(dir_okay=False, path_type=Path), help="YAML file of such options.")
@click.option("--at-once", type=COUNT, help="At most so many tasks at a time.  [default: on local 1]")
@click.option("--all", "everything", is_flag=True, help="Submit the tasks that have a result, too.")
@FORMAT
def submit(
    suites: Sequence[str],
    out: Path,
    on: str,
    every_node: str | None,
    given: Sequence[str],
    resources: Path | None,
    at_once: int | None,
    everything: bool,
    form: str,
    **chosen: Any,  # noqa: ANN401
) -> int:
    """Have Slurm, or this machine, run the tasks of a plan.

    Tasks that have a valid result under --out, or wait or run already, are left out. Each writes into a folder of its
    own there. One that is preempted or requeued goes on from its checkpoint. `clipbench jobs` shows how far they are.

    \b
    Example: clipbench submit quickstart --on local --repeats 3
    """
    from clipbench.api.text import printable_data
    from clipbench.fleet import slurm
    from clipbench.fleet.jobs import look_at
    from clipbench.fleet.planning import complete, make_tasks
    from clipbench.fleet.submitting import Order, left_to_run, read_resources
    from clipbench.fleet.submitting import submit as give
    from clipbench.report.fleet.jobs import submitted_text
    from clipbench.report.reading import tell_of_reading

    if every_node is not None and on != "slurm":
        raise UsageError("--every-node: only Slurm has partitions; use it with --on slurm")
    options = read_resources(resources, given)
    nodes: Sequence[str] = ()
    if every_node is not None:
        nodes = slurm.partition_nodes(every_node)
        options.setdefault("partition", every_node)
    order = Order(on, options, at_once)  # type: ignore[arg-type]  # one of the choices
    jobs = look_at(out, tell_of_reading)
    warn((*jobs.problems, *jobs.notes))
    tasks = complete(make_tasks(request_of(suites, **chosen, nodes=nodes)), open_registry(), jobs.findings)
    left = left_to_run(tasks, jobs, everything)
    if not left:
        click.echo(
            as_json({"tasks": []}) if form == "json" else f"nothing to submit: {len(tasks)} tasks under way or done"
        )
        return ExitCode.PASS
    submission, refused = give(left, order, out)
    warn(refused)
    if form == "json":
        click.echo(as_json({**vars(submission), "refused": refused}))
    else:
        click.echo(submitted_text(printable_data(submission), len(tasks) - len(left), out))
    return ExitCode.NOT_READY if refused else ExitCode.PASS

"""``clipbench run``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import OUT, load_chosen, open_registry, repeatable, suite_options
from clipbench.errors import ExitCode


@click.command()
@suite_options
@OUT
@click.option("--restart", is_flag=True, help="Do not resume an unfinished run; set it aside and start anew.")
@click.option("--dry-run", is_flag=True, help="Check that everything is there, show the plan, run nothing.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "none"]),
    default="auto",
    help="auto: live on a terminal, plain lines elsewhere.",
)
@repeatable(
    "--observe", metavar="NAME", help="Add an observer, such as tensorboard (see clipbench list observers). Repeatable."
)
def run(out: Path, restart: bool, dry_run: bool, progress: str, observe: Sequence[str], **chosen: Any) -> int:  # noqa: ANN401
    """Train and evaluate a suite; write its results.

    SUITE is a YAML file, or the name of a suite that ships with clipbench (clipbench list suites).

    Each case runs in its own process, and its result is written when it ends. The same command given again
    resumes a run that was not finished. Under torchrun or srun, each process is one rank.

    \b
    Example: clipbench run quickstart --device cpu --set train.batch_size=16
    """
    from clipbench.api.text import printable_data
    from clipbench.report.plan import plans_text
    from clipbench.report.running.progress import make_progress
    from clipbench.runs.launch import outer_launch
    from clipbench.runs.observers import add_observers
    from clipbench.runs.runner import check_suite, exit_code, run_rank, run_suite, unknown_references

    registry = open_registry()
    suite = add_observers(load_chosen(**chosen), observe)
    if dry_run:
        plans = printable_data(check_suite(suite, registry))
        click.echo(plans_text(plans))
        for warning in unknown_references(plans):
            click.echo(f"warning: {warning}", err=True)
        click.echo("ready: everything needed is there; nothing was run")
        return ExitCode.PASS
    launch = outer_launch()
    if launch is not None and launch.world.rank > 0:
        return run_rank(suite, registry, launch)
    outcomes = run_suite(suite, registry, out, make_progress(progress), restart)
    # Not before: while a case runs, this process needs none of what compares.
    from clipbench.report.running.ending import ending

    click.echo(ending(printable_data(outcomes)))
    return exit_code(outcomes)

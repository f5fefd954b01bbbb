"""Commands around a run: run, runs, show, doctor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import FORMAT, OUT, load_chosen, open_registry, print_plans, suite_options


@click.command()
@suite_options
@OUT
@click.option("--restart", is_flag=True, help="Begin anew where a run was not finished; the old one is set aside.")
@click.option("--dry-run", is_flag=True, help="Check that everything is there, show the plan, run nothing.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "none"]),
    default="auto",
    show_default=True,
    help="auto: live on a terminal, plain lines elsewhere.",
)
@click.option(
    "--observe",
    multiple=True,
    metavar="NAME",
    help="Write the run down with this observer too (clipbench list observers). Repeatable.",
)
def run(out: Path, restart: bool, dry_run: bool, progress: str, observe: Sequence[str], **chosen: Any) -> None:  # noqa: ANN401
    """Train and evaluate a suite; write its results.

    SUITE is a YAML file, or the name of a suite that ships (clipbench list suites). Each case runs in a
    process of its own, and its result is written when it ends. A run that was not finished goes on where it
    was when the same command is given again. Under torchrun or srun, each process is one rank.
    """
    from clipbench.report.ending import ending
    from clipbench.report.progress import make_progress
    from clipbench.runs.launch import outer_launch
    from clipbench.runs.observers import add_observers
    from clipbench.runs.runner import check_suite, exit_code, run_rank, run_suite

    registry = open_registry()
    suite = add_observers(load_chosen(**chosen), observe)
    if dry_run:
        check_suite(suite, registry)
        print_plans(suite, registry, "table")
        click.echo("ready: everything needed is there; nothing was run")
        return
    launch = outer_launch()
    if launch is not None and launch.world.rank > 0:
        sys.exit(run_rank(suite, registry, launch))
    outcomes = run_suite(suite, registry, out, make_progress(progress), restart)
    click.echo(ending(outcomes))
    sys.exit(exit_code(outcomes))


@click.command()
@click.argument("out", type=click.Path(path_type=Path), default=Path("results"))
@FORMAT
def runs(out: Path, form: str) -> None:
    """List runs: finished, failed, interrupted, resumable.

    OUT is the folder that results are written to (default: results).
    """
    from clipbench.report.runs import print_runs

    sys.exit(print_runs(out, form))


@click.command()
@suite_options
@FORMAT
def show(form: str, **chosen: Any) -> None:  # noqa: ANN401
    """Show what a suite comes to on this machine.

    Every value, the steps, the learning rate of every epoch, and where data and weights are looked for.
    SUITE is a YAML file, or the name of a suite that ships.
    """
    print_plans(load_chosen(**chosen), open_registry(), form)


@click.command()
@click.argument("suite", default="quickstart")
@click.option("--device", help="Device plugin, or auto. Short for --set device=...")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a key of the suite. Repeatable.")
@OUT
@FORMAT
def doctor(suite: str, device: str | None, overrides: Sequence[str], out: Path, form: str) -> None:
    """Look whether this machine is ready for a suite, and fit to be timed.

    SUITE is a YAML file, or the name of a suite that ships. Software, devices and their probes, data, disk, memory,
    other work, clocks: one line each, with the next thing to do where something is not well. Nothing is run.
    """
    import shutil

    from clipbench.api.registry import load_registry
    from clipbench.doctor.checkup import look_over
    from clipbench.report.doctor import doctor_text
    from clipbench.suites.loading import find_suite, load_suite

    changes = [*overrides, *([f"device={device}"] if device else [])]
    report = look_over(load_suite(find_suite(suite), changes), load_registry(), out)
    if form == "json":
        click.echo(json.dumps(report.to_dict(), indent=1, ensure_ascii=False))
    else:
        plain = False if os.environ.get("NO_COLOR") else None
        click.echo(doctor_text(report, shutil.get_terminal_size().columns), color=plain)
    sys.exit(report.exit_code)

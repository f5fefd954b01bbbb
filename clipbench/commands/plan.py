"""``clipbench plan``."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import FORMAT, OUT, as_json, fleet_options, open_registry, request_of, warn
from clipbench.errors import UsageError

ENGINES = ("github", "gitlab", "kubernetes", "shell")


@click.command()
@fleet_options
@OUT
@click.option("--shard", metavar="K/N", help="Only part K of N parts, which together are the plan.")
@click.option("--all", "everything", is_flag=True, help="Emit the tasks that have a result, too.")
@click.option("--emit", type=click.Choice(ENGINES), help="Print the file of an engine that runs the tasks left.")
@click.option("--image", metavar="NAME", help="Container image of --emit kubernetes.  [default: clipbench:VERSION]")
@FORMAT
def plan(
    suites: Sequence[str],
    out: Path,
    shard: str | None,
    everything: bool,
    emit: str | None,
    image: str | None,
    form: str,
    **chosen: Any,  # noqa: ANN401
) -> None:
    """Plan the tasks of many machines.

    A task is a case with a seed, a device and the number of its repeat. Its id is the same on every machine;
    `clipbench run SUITE --case ID` runs it. Tasks that have a valid result under --out are left out of what --emit
    prints.

    \b
    Example: clipbench plan quickstart --repeats 3 --emit shell
    """
    from clipbench.api.text import printable_data
    from clipbench.fleet import emitting
    from clipbench.fleet.found import find_results, odd
    from clipbench.fleet.planning import complete, make_tasks
    from clipbench.fleet.planning import shard as part_of
    from clipbench.report.fleet.jobs import plan_data, plan_text
    from clipbench.report.reading import tell_of_reading

    if image is not None and emit != "kubernetes":
        raise UsageError("--image: only --emit kubernetes has an image; leave it out")
    findings = find_results(out, tell_of_reading)
    problems = [*findings.problems, *odd(findings)]
    warn(problems)
    tasks = part_of(make_tasks(request_of(suites, **chosen)), *_shard(shard))
    tasks = complete(tasks, open_registry(), findings)
    left = [planned for planned in tasks if everything or planned.result is None]
    if emit is not None:
        emitted = emitting.kubernetes(left, out, image) if image else emitting.EMITTERS[emit](left, out)
        click.echo(emitted.rstrip("\n"))
    else:
        click.echo(as_json(plan_data(tasks, out, problems)) if form == "json" else plan_text(printable_data(tasks)))


def _shard(text: str | None) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text or "1/1")
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise UsageError(f"--shard {text}: expected K/N, such as 2/4 for the second of four parts")
    return int(match[1]), int(match[2])

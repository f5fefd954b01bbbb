"""``clipbench diagnose``."""

from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import PATHS, as_json

FORMS = ("table", "json", "pass", "fail", "unknown")


@click.command()
@PATHS
@click.option(
    "--least-speed",
    type=click.FloatRange(0, 100, min_open=True, max_open=True),
    default=3.0,
    metavar="PERCENT",
    help="Smallest loss of throughput for which a node is called slow.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="table",
    help="pass, fail and unknown print the host names of such nodes, one a line.",
)
def diagnose(paths: tuple[Path, ...], least_speed: float, form: Any) -> int:  # noqa: ANN401
    """Find the sick nodes of a fleet.

    A node is sick if it is slow, if its case fails, or if it computes other bits than nodes with the same case, device
    and software. PATHS are result files of many nodes, or folders that are searched for them.

    Exit code 0: no node is sick; 1: one is slow or computes other bits; 3: a file was refused; 4: a case failed on a
    node, or there is none.

    \b
    Examples:
      clipbench diagnose results
      clipbench diagnose results --format fail
    """
    from clipbench.api.text import printable, printable_data
    from clipbench.compare.nodes.diagnosis import diagnose, diagnosis_data
    from clipbench.report.fleet.diagnosis import diagnosis_text, hosts_text
    from clipbench.report.reading import tell_of_reading
    from clipbench.results.collecting.collect import survey

    diagnosis = diagnose(survey(paths, tell_of_reading), least_speed / 100)
    if form == "json":
        click.echo(as_json(diagnosis_data(diagnosis)))
    elif form == "table":
        click.echo(diagnosis_text(printable_data(diagnosis, lines=True)))
    else:
        click.echo(printable(hosts_text(diagnosis, form), lines=True), nl=False)
        for problem in diagnosis.problems:
            click.echo(printable(f"refused file: {problem}", lines=True), err=True)
    return diagnosis.exit_code

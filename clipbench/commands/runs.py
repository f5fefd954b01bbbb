"""``clipbench runs``."""

from pathlib import Path

import click

from clipbench.commands.options import FORMAT, as_json
from clipbench.errors import ExitCode, UsageError


@click.command()
@click.argument("out", type=click.Path(path_type=Path), default=Path("results"))
@FORMAT
def runs(out: Path, form: str) -> int:
    """List runs: finished, failed, interrupted, resumable.

    OUT is the folder that results are written to (default: results).

    \b
    Example: clipbench runs results
    """
    from clipbench.report.reading import tell_of_reading
    from clipbench.report.runs import runs_text
    from clipbench.runs.listing import find_runs

    if not out.is_dir():
        raise UsageError(f"{out}: no such folder; expected one that `clipbench run --out` has written to")
    found, problems = find_runs(out, tell_of_reading)
    click.echo(as_json({"runs": found, "problems": problems}) if form == "json" else runs_text(found, problems))
    return ExitCode.NOT_COMPARABLE if problems else ExitCode.PASS

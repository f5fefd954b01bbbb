"""``clipbench validate``."""

from pathlib import Path

import click

from clipbench.commands.options import FORMAT, PATHS, as_json, open_registry


@click.command()
@PATHS
@click.option("--deep", is_flag=True, help="Decode every image of a data root completely, not only its header.")
@FORMAT
def validate(paths: tuple[Path, ...], deep: bool, form: str) -> int:
    """Check suites, results, references, baselines and data.

    PATHS are files, or folders that are searched for .yaml, .yml and .json files. A folder in a layout of a dataset is
    a data root: its splits are checked, and its images must exist and have valid headers. Other files in a data root
    are not checked.

    \b
    Example: clipbench validate data --deep
    """
    from clipbench.api.text import printable_data
    from clipbench.doctor.validate import validate_paths
    from clipbench.report.validate import verdict_data, verdicts_text

    verdicts = validate_paths(paths, open_registry(), deep)
    if form == "json":
        click.echo(as_json([verdict_data(verdict) for verdict in verdicts]))
    else:
        click.echo(verdicts_text(printable_data(verdicts, lines=True)))
    # 5 where data is refused, else 3 for a result or reference, else 2 for a suite
    return max(verdict.exit_code for verdict in verdicts)

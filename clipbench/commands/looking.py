"""Commands that look around: list, validate."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from clipbench.commands.options import FORMAT, open_registry

KINDS = ("engines", "devices", "datasets", "models", "observers", "suites", "references")


@click.command("list")
@click.argument(
    "kinds", type=click.Choice(KINDS), nargs=-1, metavar="[engines|devices|datasets|models|observers|suites|references]"
)
@FORMAT
def list_(kinds: tuple[str, ...], form: str) -> None:
    """List engines, devices, datasets, models, observers, suites, references."""
    from clipbench.report.listing import listing, listing_text

    data = listing(open_registry(), kinds or KINDS)
    click.echo(json.dumps(data, indent=1, ensure_ascii=False) if form == "json" else listing_text(data))


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--deep", is_flag=True, help="Decode every picture of a data root, not its header alone.")
@FORMAT
def validate(paths: Sequence[Path], deep: bool, form: str) -> None:
    """Check suites, results, references and data.

    PATHS are files, or folders that are searched for .yaml, .yml and .json files. A folder with annotation files in
    datasets/ is a data root: its pictures must be there and have headers that parse. Nothing else in it is looked at.
    """
    from clipbench.doctor.validate import validate_paths, worst_code

    verdicts = validate_paths(paths, open_registry(), deep)
    if form == "json":
        click.echo(json.dumps([verdict.to_dict() for verdict in verdicts], indent=1, ensure_ascii=False))
    else:
        for verdict in verdicts:
            what = f"{verdict.kind}: {verdict.detail}" if verdict.detail else verdict.kind
            click.echo(f"ok       {verdict.path} ({what})" if verdict.ok else f"refused  {verdict.problem}")
            for warning in verdict.warnings:
                click.echo(f"warning  {warning}")
    sys.exit(worst_code(verdicts))

"""``clipbench export``."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from clipbench.commands.options import PATHS
from clipbench.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from clipbench.files.rows_file import TableForm
    from clipbench.results.rows import RowKind

FORMS: "tuple[TableForm, ...]" = ("csv", "jsonl", "parquet")


@click.command()
@PATHS
@click.option(
    "--as", "form", type=click.Choice(FORMS), help="Form of the table.  [default: as FILE is called, else csv]"
)
@click.option(
    "--rows", "kind", type=click.Choice(["case", "epoch", "query"]), default="case", help="What a row stands for."
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="File.  [default: standard output]"
)
def export(paths: tuple[Path, ...], form: "TableForm | None", kind: "RowKind", out: Path | None) -> int:
    """Write results as a table: a row for each case, epoch or query.

    PATHS are result files, or folders that are searched for them. Parquet needs pyarrow: pip install
    'clipbench[export]'.

    \b
    Examples:
      clipbench export results --out results.csv
      clipbench export results --rows query --as parquet --out ranks.parquet
    """
    from clipbench.api.text import printable
    from clipbench.files.disk import writing
    from clipbench.files.replacing import check_replaceable
    from clipbench.files.rows_file import Row, write_rows
    from clipbench.files.whole import whole_file
    from clipbench.report.quantity import counted
    from clipbench.report.reading import tell_of_reading
    from clipbench.results.collecting.collect import survey
    from clipbench.results.rows import CaseRows, parts_of

    form = form or _form_of(out)
    if out is None and form == "parquet":
        raise UsageError("--as parquet: is no text; name a file: --out FILE")
    found = survey(paths, tell_of_reading)
    # In full one at a time: all of them may not fit into memory.
    whole = (found.in_full([result])[0] for result in found.results)
    rows: Iterable[Row] = CaseRows(found.entries.values()) if kind == "case" else parts_of(whole, kind)
    if out is None:
        write_rows(rows, form, sys.stdout.buffer)
    else:
        check_replaceable(out, "run_id", found.files, f"--out {out}")
        with writing("the table", out, 0), whole_file(out) as file:
            count = write_rows(rows, form, file)
        click.echo(f"{out}: {counted(count, 'row')} of {counted(len(found.results), 'result')}", err=True)
    for problem in found.problems:
        click.echo(printable(f"refused file: {problem}", lines=True), err=True)
    return ExitCode.NOT_COMPARABLE if found.problems else ExitCode.PASS


def _form_of(out: Path | None) -> "TableForm":
    """Return the form that a file's name says; raise UsageError for another name."""
    for form in FORMS:
        if out is None or out.suffix.lower() == f".{form}":
            return form
    raise UsageError(f"--out {out}: its name does not say in which form to write it; add --as {' or '.join(FORMS)}")

"""``clipbench fetch``."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from clipbench.commands.options import open_registry
from clipbench.errors import NotReadyError, UsageError


@click.command()
@click.argument("what", nargs=-1, metavar="WHAT...")
@click.option("--list", "listing", is_flag=True, help="List what can be fetched: size, licence, origin, hash.")
@click.option("--accept-terms", is_flag=True, help="Accept the terms of use; they are shown in any case.")
@click.option(
    "--mirror",
    envvar="CLIPBENCH_MIRROR",
    metavar="URL|FOLDER",
    help="Take the files from there, under their own names.  [env: CLIPBENCH_MIRROR]",
)
@click.option(
    "--print", "printing", is_flag=True, help="Print address, size and hash of each file (for aria2c); fetch nothing."
)
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Data root.  [default: the suite's, CLIPBENCH_DATA, or ./data]",
)
def fetch(
    what: Sequence[str], listing: bool, accept_terms: bool, mirror: str | None, printing: bool, root: Path | None
) -> None:
    """Download data and weights, checked by hash.

    WHAT is a suite (everything that it needs and that is not there), or a name that --list shows. A download that was
    cut is continued; files that are there already are checked and used.

    \b
    Example: clipbench fetch flickr8k_amp --accept-terms
    """
    from clipbench.api.text import printable_data
    from clipbench.fetch import fetching, needs
    from clipbench.fetch.catalogue import load_catalogue
    from clipbench.fetch.session import Session
    from clipbench.report.fetch import addresses_text, catalogue_text, make_fetch_progress, missing_text, terms_text

    catalogue = load_catalogue()
    if listing:
        click.echo(catalogue_text(catalogue))
        return
    if not what:
        raise UsageError("WHAT: missing; expected a suite or a name that `clipbench fetch --list` shows")
    registry = open_registry()
    items, plans = needs.find_wanted(what, root, registry, catalogue)
    jobs = fetching.make_jobs(items, mirror)
    to_download = [job for job in jobs if job.to_download()]
    if printing:
        click.echo(addresses_text(printable_data(to_download)) or "# nothing to download: everything is there")
        return
    if to_download:
        click.echo(terms_text(printable_data(to_download)))
        _require_consent(accept_terms)
    with make_fetch_progress() as progress:
        fetching.fetch(jobs, Session(progress))
    if missing := needs.still_missing(plans, registry):
        raise NotReadyError(missing_text(missing))
    click.echo("everything is there" if jobs else "nothing to fetch: everything that is needed is there")


def _require_consent(accept_terms: bool) -> None:
    """Raise NotReadyError unless the user accepts the terms, by the option or at the terminal."""
    if accept_terms:
        return
    if not _at_terminal():
        raise NotReadyError("the terms above are not accepted: add --accept-terms if you accept them")
    if not click.confirm("Do you accept these terms?"):
        raise NotReadyError("the terms were not accepted; nothing was fetched")


def _at_terminal() -> bool:
    return sys.stdin.isatty()

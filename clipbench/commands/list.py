"""``clipbench list``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from clipbench.commands.options import FORMAT, as_json, open_registry

if TYPE_CHECKING:
    from clipbench.api.registry import Offers
    from clipbench.report.listing import Rows

# Of plugins, with the fields of a spec that JSON has beside its name and summary; then what ships.
SPECS = {
    "engines": (),
    "devices": ("engine", "priority", "argument", "tried"),
    "datasets": (),
    "models": ("engine",),
    "observers": (),
    "meters": ("devices",),
    "evaluations": ("metrics",),
}
KINDS = (*SPECS, "suites", "references")


@click.command("list")
@click.argument("kinds", type=click.Choice(KINDS), nargs=-1, metavar="[KIND]...")
@FORMAT
def list(kinds: tuple[str, ...], form: str) -> None:
    """List plugins, suites and references.

    KIND is engines, devices, datasets, models, observers, meters, evaluations, suites or references (default: all of
    them).

    \b
    Example: clipbench list devices suites
    """
    from clipbench.api.text import printable_data
    from clipbench.report.listing import listing_text

    registry = open_registry()
    rows = {kind: _specs(getattr(registry, kind), *fields) for kind, fields in SPECS.items()}
    rows |= {"suites": _suites(in_full=form == "json"), "references": _references()}
    chosen = {kind: rows[kind] for kind in kinds or KINDS}
    click.echo(as_json(chosen) if form == "json" else listing_text(printable_data(chosen)))


def _specs(offers: Offers[Any], *fields: str) -> Rows:
    rows = []
    for spec in offers.specs:
        row, plugin = _fields(spec, "name", "summary", *fields), offers.origin[spec]
        rows.append({**row, "plugin": plugin.name, "distribution": plugin.distribution, "version": plugin.version})
    return rows


def _fields(source: object, *names: str) -> dict[str, Any]:
    return {name: getattr(source, name) for name in names}


def _suites(in_full: bool) -> Rows:
    from clipbench.files.bundled import shipped_suites, shipped_summary

    if not in_full:
        return [{"name": path.stem, "summary": shipped_summary(path)} for path in shipped_suites()]
    from clipbench.suites.loading import load_suite

    suites = map(load_suite, shipped_suites())
    shown = ("name", "summary", "path", "reference")
    return [{**_fields(suite, *shown), "cases": [case.name for case in suite.cases]} for suite in suites]


def _references() -> Rows:
    """Return those that ship, not checked by their schema: tests do that, and here it would take most of the time."""
    from clipbench.files.bundled import bundled
    from clipbench.files.json_file import read_json

    documents = map(read_json, bundled("reference").glob("*.json"))
    rows = [{key: document[key] for key in ("name", "summary", "source")} for document in documents]
    return sorted(rows, key=lambda row: str(row["name"]))

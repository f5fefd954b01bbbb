"""``clipbench conform``."""

from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import FORMAT, as_json, repeatable
from clipbench.errors import UsageError

KINDS = ("device", "engine", "dataset", "model", "evaluation", "observer")


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option("--engine", help="Engine of a device or a model, where several have one of that name.")
@click.option("--device", default="auto", help="Device to check an engine or a model on.")
@click.option("--root", type=click.Path(path_type=Path), help="Data root of a dataset (default: as for run).")
@click.option("--train", default="en_train", help="Training split of a dataset.")
@click.option("--val", default="en_val", help="Validation split of a dataset.")
@repeatable(
    "--option", "options", metavar="KEY=VALUE", help="An option of a dataset, as under dataset.options. Repeatable."
)
@click.option("--timeout", default=120.0, metavar="SECONDS", help="A check that takes longer fails.")
@FORMAT
def conform(
    kind: str, name: str, engine: str | None, device: str, root: Path | None, train: str, val: str,
    options: tuple[str, ...], timeout: float, form: str,
) -> int:  # fmt: skip
    """Check whether a plugin keeps its promises, one by one.

    KIND is device, engine, dataset, model, evaluation or observer, NAME what `clipbench list` shows. A check that
    crashes or hangs fails, and the rest are made all the same. The promises stand in docs/plugins.md.

    Exit code 0: all promises are kept; 1: one is broken; 5: the device, the framework or the data is not there.

    \b
    Examples:
      clipbench conform device sdaa
      clipbench conform dataset flickr8k --root data
    """
    from clipbench.api.text import printable_data
    from clipbench.conform.conformance import Request, conform, exit_code
    from clipbench.report.conformance import outcome_text, verdict_text
    from clipbench.suites.plan import default_root

    chosen = dict(map(_parse_option, options))
    request = Request(kind, name, device, str(root or default_root()), (train, val), chosen, engine)
    outcomes = []
    for outcome in conform(request, timeout):
        outcomes.append(outcome)
        if form == "table":
            click.echo(outcome_text(printable_data(outcome)))
    code = exit_code(outcomes)
    if form == "json":
        click.echo(as_json({"kind": kind, "name": name, "exit_code": int(code), "checks": outcomes}))
    else:
        click.echo(verdict_text(f"{kind} {name}", outcomes, code))
    return code


def _parse_option(text: str) -> tuple[str, Any]:
    from clipbench.files.yaml_file import parse_value

    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--option {text}: expected KEY=VALUE")
    return key, parse_value(value, f"--option {text}")

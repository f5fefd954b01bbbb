"""What several commands take, and what they do with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from clipbench.api.registry import Registry
    from clipbench.suites.loading import Suite


FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Output for people or for programs.",
)

BASELINES = click.option(
    "--baselines",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of adopted baselines.  [default: results/baseline]",
)

REFERENCES = click.option(
    "--references",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of further references. Repeatable.",
)

OUT = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder that results are written to.",
)


def suite_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose and change what a suite runs."""
    options = (
        click.argument("suite"),
        click.option("--device", help="Device plugin, or auto. Short for --set device=..."),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set a key of the suite, such as train.batch_size=16. Repeatable.",
        ),
        click.option(
            "--case", "cases", multiple=True, metavar="NAME", help="This case alone; shell wildcards. Repeatable."
        ),
        click.option("--nproc", metavar="N", help="Ranks on this machine, one device each. Short for --set ranks=..."),
        click.option("--seed", metavar="N", help="Short for --set seed=..."),
        click.option("--max-steps", metavar="N", help="Stop training after so many steps, then evaluate."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def open_registry() -> Registry:
    """Every plugin, with a warning for each that is broken."""
    from clipbench.api.registry import load_registry

    registry = load_registry()
    for plugin in registry.broken:
        click.echo(f"warning: {plugin} could not be loaded and is left out: {plugin.problem}", err=True)
    return registry


def load_chosen(
    suite: str,
    device: str | None,
    overrides: Sequence[str],
    cases: Sequence[str],
    nproc: str | None,
    seed: str | None,
    max_steps: str | None,
) -> Suite:
    from clipbench.runs.launch import outer_ranks
    from clipbench.suites.loading import find_suite, load_suite

    short = {"device": device, "ranks": outer_ranks(nproc), "seed": seed, "train.max_steps": max_steps}
    changes = [*overrides, *(f"{key}={value}" for key, value in short.items() if value is not None)]
    return load_suite(find_suite(suite), changes).select(cases)


def print_plans(suite: Suite, registry: Registry, form: str) -> None:
    from clipbench.report.plan import plan_text
    from clipbench.suites.plan import describe_plan, make_plan

    plans = [describe_plan(make_plan(case, registry)) for case in suite.cases]
    if form == "json":
        data = {"suite": suite.name, "summary": suite.summary, "path": str(suite.path), "cases": plans}
        click.echo(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        click.echo("\n\n".join(plan_text(plan) for plan in plans))

"""The command line: parse, call, print. What is heavy is imported inside the commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clipbench import __version__
from clipbench.errors import ClipbenchError, ExitCode

if TYPE_CHECKING:
    from clipbench.plugins import Registry
    from clipbench.suite import Suite

KINDS = ("engines", "devices", "datasets", "models", "observers", "suites", "references")
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Output for people or for programs.",
)


class Main(click.Group):
    """The one place where an error becomes a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except ClipbenchError as error:
            click.echo(f"clipbench: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("clipbench: interrupted", err=True)
            ctx.exit(ExitCode.INTERRUPTED)


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="clipbench")
def main() -> None:
    """Does this device train CLIP correctly, and how fast?

    \b
    Exit codes: 0 pass, 1 a gate failed, 2 usage or configuration,
    3 not comparable or a refused file, 4 a case failed or is missing,
    5 the machine is not ready, 130 interrupted.
    """


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
        click.option("--seed", metavar="N", help="Short for --set seed=..."),
        click.option("--max-steps", metavar="N", help="Stop training after so many steps, then evaluate."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@suite_options
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder that results are written to.",
)
@click.option("--dry-run", is_flag=True, help="Check that everything is there, show the plan, run nothing.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "none"]),
    default="auto",
    show_default=True,
    help="auto: live on a terminal, plain lines elsewhere.",
)
def run(out: Path, dry_run: bool, progress: str, **chosen: Any) -> None:  # noqa: ANN401
    """Train and evaluate a suite; write its results.

    SUITE is a YAML file, or the name of a suite that ships (clipbench list suites). Each case runs in a
    process of its own, and its result is written when it ends.
    """
    from clipbench.progress import make_progress
    from clipbench.runner import check_suite, exit_code, run_suite

    registry = _registry()
    suite = _load(**chosen)
    if dry_run:
        check_suite(suite, registry)
        _print_plans(suite, registry, "table")
        click.echo("ready: everything needed is there; nothing was run")
        return
    outcomes = run_suite(suite, registry, out, make_progress(progress))
    for outcome in outcomes:
        click.echo(f"result: {outcome.path}")
        if outcome.log is not None:
            click.echo(f"log of its process: {outcome.log}")
    click.echo("hold against the reference: clipbench compare " + " ".join(str(outcome.path) for outcome in outcomes))
    sys.exit(exit_code(outcomes))


@main.command()
@suite_options
@FORMAT
def show(form: str, **chosen: Any) -> None:  # noqa: ANN401
    """Show what a suite comes to on this machine.

    Every value, the steps, the learning rate of every epoch, and where data and weights are looked for.
    SUITE is a YAML file, or the name of a suite that ships.
    """
    _print_plans(_load(**chosen), _registry(), form)


@main.command("list")
@click.argument(
    "kinds", type=click.Choice(KINDS), nargs=-1, metavar="[engines|devices|datasets|models|observers|suites|references]"
)
@FORMAT
def list_(kinds: tuple[str, ...], form: str) -> None:
    """List engines, devices, datasets, models, observers, suites, references."""
    from clipbench.report.listing import listing, listing_text

    data = listing(_registry(), kinds or KINDS)
    click.echo(json.dumps(data, indent=1, ensure_ascii=False) if form == "json" else listing_text(data))


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@FORMAT
def validate(paths: Sequence[Path], form: str) -> None:
    """Check suites, results and references.

    PATHS are files, or folders that are searched for .yaml, .yml and .json files.
    """
    from clipbench.validation import validate_paths, worst_code

    verdicts = validate_paths(paths)
    if form == "json":
        click.echo(json.dumps([verdict.to_dict() for verdict in verdicts], indent=1, ensure_ascii=False))
    else:
        for verdict in verdicts:
            click.echo(f"ok       {verdict.path} ({verdict.kind})" if verdict.ok else f"refused  {verdict.problem}")
    sys.exit(worst_code(verdicts))


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--references",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of further references. Repeatable.",
)
@FORMAT
def compare(paths: Sequence[Path], folders: Sequence[Path], form: str) -> None:
    """Hold results against their references: the verdict.

    PATHS are result files, or folders that are searched for them.
    """
    from clipbench.report.comparing import run_compare

    sys.exit(run_compare(paths, folders, form))


# --- what the commands share --------------------------------------------------------------------------------------


def _registry() -> Registry:
    from clipbench.plugins import load_registry

    registry = load_registry()
    for plugin in registry.broken:
        click.echo(f"warning: {plugin} could not be loaded and is left out: {plugin.problem}", err=True)
    return registry


def _load(
    suite: str,
    device: str | None,
    overrides: Sequence[str],
    cases: Sequence[str],
    seed: str | None,
    max_steps: str | None,
) -> Suite:
    from clipbench.suite import find_suite, load_suite

    short = {"device": device, "seed": seed, "train.max_steps": max_steps}
    changes = [*overrides, *(f"{key}={value}" for key, value in short.items() if value is not None)]
    return load_suite(find_suite(suite), changes).select(cases)


def _print_plans(suite: Suite, registry: Registry, form: str) -> None:
    from clipbench.plan import describe_plan, make_plan
    from clipbench.report.plan import plan_text

    plans = [describe_plan(make_plan(case, registry)) for case in suite.cases]
    if form == "json":
        data = {"suite": suite.name, "summary": suite.summary, "path": str(suite.path), "cases": plans}
        click.echo(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        click.echo("\n\n".join(plan_text(plan) for plan in plans))

"""What several commands share: options, the plugins, the chosen suite, output as JSON."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from clipbench.errors import UsageError

if TYPE_CHECKING:
    from clipbench.api.registry import Registry
    from clipbench.fleet.planning import Request
    from clipbench.suites.loading import Suite

FOLDER = click.Path(file_okay=False, path_type=Path)
EXISTING = click.Path(exists=True, file_okay=False, path_type=Path)
repeatable = partial(click.option, multiple=True)

PATHS = click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
FORMAT = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="Output format.")
BASELINES = click.option("--baselines", type=FOLDER, default=Path("results/baseline"), help="Folder of baselines.")
REFERENCES = repeatable("--references", "folders", type=EXISTING, help="Folder with more references. Repeatable.")
OUT = click.option("--out", type=FOLDER, default=Path("results"), help="Folder that results are written to.")
CASES = repeatable(
    "--case",
    "cases",
    metavar="NAME",
    help="Only this case: shell wildcards work, or the id of a task (clipbench plan). Repeatable.",
)
ENGINE = click.option("--engine", help="Engine plugin (framework). Short for --set engine=...")
DEVICE = click.option("--device", help="Device plugin, or auto. Short for --set device=...")
SET = repeatable("--set", "overrides", metavar="KEY=VALUE", help="Set a key: train.batch_size=16. Repeatable.")


def suite_names(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return what a shell offers for a suite: the names of those that ship, else files."""
    from clipbench.files.bundled import shipped_suites

    names = (path.stem for path in shipped_suites())
    return [CompletionItem(begun, type="file"), *(CompletionItem(name) for name in names if name.startswith(begun))]


SUITE_OPTIONS = (
    click.argument("suite", shell_complete=suite_names),
    ENGINE,
    DEVICE,
    SET,
    CASES,
    click.option("--nproc", metavar="N", help="Ranks on this machine, one device each. Short for --set world_size=..."),
    click.option("--seed", metavar="N", help="Short for --set seed=..."),
    click.option("--max-steps", metavar="N", help="Stop training after this many steps, then evaluate."),
)


def suite_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose and change what a suite runs, which ``load_chosen`` takes."""
    for option in reversed(SUITE_OPTIONS):
        command = option(command)
    return command


COUNT = click.IntRange(1, 100_000)
FLEET_OPTIONS = (
    click.argument("suites", metavar="SUITE...", nargs=-1, required=True, shell_complete=suite_names),
    ENGINE,
    SET,
    CASES,
    click.option("--devices", metavar="NAMES", help="Each case on each of these devices; commas between them."),
    click.option("--seeds", type=COUNT, default=1, help="Each case with as many seeds, from its own on."),
    click.option("--repeats", type=COUNT, default=1, help="Each seed of a case so many times."),
    click.option("--max-steps", metavar="N", help="Stop training after this many steps, then evaluate."),
)


def fleet_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose the tasks of a fleet, which ``request_of`` takes."""
    for option in reversed(FLEET_OPTIONS):
        command = option(command)
    return command


def request_of(
    suites: Sequence[str],
    engine: str | None,
    overrides: Sequence[str],
    cases: Sequence[str],
    devices: str | None,
    seeds: int,
    repeats: int,
    max_steps: str | None,
    nodes: Sequence[str] = (),
) -> "Request":
    """Return what the options ask a fleet to run."""
    from clipbench.fleet.planning import Request

    changes = changes_of(overrides, {"engine": engine, "train.max_steps": max_steps})
    names = list(filter(None, map(str.strip, (devices or "").split(","))))
    return Request(suites, changes, cases, names, seeds, repeats, nodes)


def open_registry() -> "Registry":
    """Return every plugin, and warn of each that is broken."""
    from clipbench.api.registry import load_registry
    from clipbench.api.text import printable

    registry = load_registry()
    for plugin in registry.broken:
        problem = f"warning: {plugin} could not be loaded and is left out: {plugin.problem}"
        click.echo(printable(problem, lines=True), err=True)
    return registry


def load_chosen(suite: str, overrides: Sequence[str] = (), cases: Sequence[str] = (), **short: str | None) -> "Suite":
    """Return the suite of that name or file, changed by the options and reduced to the chosen cases.

    ``short`` has the options that are short for ``--set``.
    """
    from clipbench.runs.launch import outer_world_size
    from clipbench.suites.loading import find_suite, load_suite

    world_size, max_steps = outer_world_size(short.pop("nproc", None)), short.pop("max_steps", None)
    short |= {"world_size": world_size, "train.max_steps": max_steps}
    chosen = load_suite(find_suite(suite), changes_of(overrides, short)).select(cases)
    if chosen.task is not None:
        for key in ("seed", "device"):
            if (value := short.get(key)) is not None and value != str(getattr(chosen.cases[0], key)):
                raise UsageError(f"--{key} {value}: the task {chosen.task} has its own {key}; leave --{key} out")
    return chosen


def changes_of(overrides: Sequence[str], short: Mapping[str, str | None]) -> list[str]:
    """Return what is to be set, with the options that are short for ``--set``."""
    return [*overrides, *(f"{key}={value}" for key, value in short.items() if value is not None)]


def warn(sentences: Iterable[str]) -> None:
    """Print warnings on standard error, a line each."""
    from clipbench.api.text import printable

    for sentence in sentences:
        click.echo(printable(f"warning: {sentence}"), err=True)


def as_json(data: object) -> str:
    """Return plain data or dataclasses as the JSON that ``--format json`` prints."""
    from clipbench.files.json_file import json_text

    return json_text(data)

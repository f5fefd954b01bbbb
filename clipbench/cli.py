"""The command line: parse, call, print. What is heavy is imported inside the commands."""

from __future__ import annotations

import errno
import json
import os
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
BASELINES = click.option(
    "--baselines",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of adopted baselines.  [default: results/baseline]",
)
# What --allow takes: clipbench.comparability.ALLOWED, which a test holds against this.
ALLOWED = ("device", "ranks", "precision", "batch", "recipe", "data", "weights", "evaluation", "engine", "settings")


class Main(click.Group):
    """The one place where an error becomes a message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        try:
            return super().invoke(ctx)
        except ClipbenchError as error:
            click.echo(f"clipbench: {error}", err=True)
            ctx.exit(error.exit_code)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever read the output has left, which click ends quietly
                raise
            where = f"{str(error.filename)[:200]}: " if error.filename else ""
            click.echo(f"clipbench: {where}{error.strerror or error}", err=True)
            ctx.exit(ExitCode.USAGE if error.errno == errno.ENAMETOOLONG else ExitCode.NOT_READY)
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
        click.option("--nproc", metavar="N", help="Ranks on this machine, one device each. Short for --set ranks=..."),
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
@click.option("--restart", is_flag=True, help="Begin anew where a run was not finished; the old one is set aside.")
@click.option("--dry-run", is_flag=True, help="Check that everything is there, show the plan, run nothing.")
@click.option(
    "--progress",
    type=click.Choice(["auto", "plain", "none"]),
    default="auto",
    show_default=True,
    help="auto: live on a terminal, plain lines elsewhere.",
)
@click.option(
    "--observe",
    multiple=True,
    metavar="NAME",
    help="Write the run down with this observer too (clipbench list observers). Repeatable.",
)
def run(out: Path, restart: bool, dry_run: bool, progress: str, observe: Sequence[str], **chosen: Any) -> None:  # noqa: ANN401
    """Train and evaluate a suite; write its results.

    SUITE is a YAML file, or the name of a suite that ships (clipbench list suites). Each case runs in a
    process of its own, and its result is written when it ends. A run that was not finished goes on where it
    was when the same command is given again. Under torchrun or srun, each process is one rank.
    """
    from clipbench.observers import add_observers
    from clipbench.progress import make_progress
    from clipbench.report.ending import ending
    from clipbench.runner import check_suite, exit_code, run_rank, run_suite
    from clipbench.world import outer_launch

    registry = _registry()
    suite = add_observers(_load(**chosen), observe)
    if dry_run:
        check_suite(suite, registry)
        _print_plans(suite, registry, "table")
        click.echo("ready: everything needed is there; nothing was run")
        return
    launch = outer_launch()
    if launch is not None and launch.world.rank > 0:
        sys.exit(run_rank(suite, registry, launch))
    outcomes = run_suite(suite, registry, out, make_progress(progress), restart)
    click.echo(ending(outcomes))
    sys.exit(exit_code(outcomes))


@main.command()
@click.argument("out", type=click.Path(path_type=Path), default=Path("results"))
@FORMAT
def runs(out: Path, form: str) -> None:
    """List runs: finished, failed, interrupted, resumable.

    OUT is the folder that results are written to (default: results).
    """
    from clipbench.report.runs import print_runs

    sys.exit(print_runs(out, form))


@main.command()
@suite_options
@FORMAT
def show(form: str, **chosen: Any) -> None:  # noqa: ANN401
    """Show what a suite comes to on this machine.

    Every value, the steps, the learning rate of every epoch, and where data and weights are looked for.
    SUITE is a YAML file, or the name of a suite that ships.
    """
    _print_plans(_load(**chosen), _registry(), form)


@main.command()
@click.argument("suite", default="quickstart")
@click.option("--device", help="Device plugin, or auto. Short for --set device=...")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a key of the suite. Repeatable.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder that results would be written to.",
)
@FORMAT
def doctor(suite: str, device: str | None, overrides: Sequence[str], out: Path, form: str) -> None:
    """Look whether this machine is ready for a suite, and fit to be timed.

    SUITE is a YAML file, or the name of a suite that ships. Software, devices and their probes, data, disk, memory,
    other work, clocks: one line each, with the next thing to do where something is not well. Nothing is run.
    """
    import shutil

    from clipbench.doctor import look_over
    from clipbench.plugins import load_registry
    from clipbench.report.doctor import doctor_text
    from clipbench.suite import find_suite, load_suite

    changes = [*overrides, *([f"device={device}"] if device else [])]
    report = look_over(load_suite(find_suite(suite), changes), load_registry(), out)
    if form == "json":
        click.echo(json.dumps(report.to_dict(), indent=1, ensure_ascii=False))
    else:
        plain = False if os.environ.get("NO_COLOR") else None
        click.echo(doctor_text(report, shutil.get_terminal_size().columns), color=plain)
    sys.exit(report.exit_code)


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
@click.option("--deep", is_flag=True, help="Decode every picture of a data root, not its header alone.")
@FORMAT
def validate(paths: Sequence[Path], deep: bool, form: str) -> None:
    """Check suites, results, references and data.

    PATHS are files, or folders that are searched for .yaml, .yml and .json files. A folder with annotation files in
    datasets/ is a data root: its pictures must be there and have headers that parse. Nothing else in it is looked at.
    """
    from clipbench.validation import validate_paths, worst_code

    verdicts = validate_paths(paths, _registry(), deep)
    if form == "json":
        click.echo(json.dumps([verdict.to_dict() for verdict in verdicts], indent=1, ensure_ascii=False))
    else:
        for verdict in verdicts:
            what = f"{verdict.kind}: {verdict.detail}" if verdict.detail else verdict.kind
            click.echo(f"ok       {verdict.path} ({what})" if verdict.ok else f"refused  {verdict.problem}")
            for warning in verdict.warnings:
                click.echo(f"warning  {warning}")
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
@click.option("--reference", metavar="NAME", help="This reference; 'own' is the one that a result names itself.")
@click.option(
    "--baseline",
    metavar="WHICH",
    help="Hold against earlier runs: a file, a folder, a run id, the name of an adopted baseline, or 'adopted'. "
    "References are then left out unless --reference is given.",
)
@BASELINES
@click.option(
    "--allow", multiple=True, type=click.Choice(ALLOWED), metavar="DIFF", help=f"Let differ: {', '.join(ALLOWED)}."
)
@click.option("--target", type=float, metavar="PERCENT", help="Overall recall mean that time to quality is taken to.")
@click.option(
    "--least-recall",
    type=click.FloatRange(min=0, min_open=True),
    default=0.5,
    show_default=True,
    metavar="POINTS",
    help="Against a baseline: least loss of a recall mean that counts; of one R@K twice that.",
)
@click.option(
    "--least-speed",
    type=click.FloatRange(min=0, min_open=True),
    default=3.0,
    show_default=True,
    metavar="PERCENT",
    help="Against a baseline: least loss of throughput that counts.",
)
@click.option("--strict", is_flag=True, help="A warning, 'better' or 'inconclusive' fails too (exit 1).")
@click.option(
    "--format",
    "forms",
    multiple=True,
    metavar="FORM[=FILE]",
    help="table, json, markdown, junit or github; to a file where one is named. Repeatable.  [default: table]",
)
def compare(forms: Sequence[str], **asked: Any) -> None:  # noqa: ANN401
    """Hold results against references or earlier runs: the verdict.

    PATHS are result files, or folders that are searched for them. Forms that go to files leave the table on the
    screen; what GITHUB_STEP_SUMMARY names is added to, any other file replaced.
    """
    from clipbench.gate import request_of
    from clipbench.report.comparing import run_compare
    from clipbench.report.formats import parse_outputs

    sys.exit(run_compare(request_of(**asked), parse_outputs(forms)))


@main.group()
def baseline() -> None:
    """Adopt results that later ones are held against."""


@baseline.command("set")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", required=True, help="Why; kept in the file.")
@click.option("--name", help="Default: case and device.")
@click.option("--by", metavar="WHO", help="Who adopts it; kept in the file.")
@BASELINES
def baseline_set(
    paths: Sequence[Path], reason: str, name: str | None, by: str | None, baselines: Path | None
) -> None:
    """Adopt a result; of one case, several repeats or seeds.

    Writes one file, to be committed. A baseline moves by this command alone, and keeps what it was before.
    """
    from clipbench.baselines import FOLDER, adopt
    from clipbench.report.baselines import adopted_text
    from clipbench.result import read_result

    click.echo(adopted_text(adopt([read_result(path) for path in paths], baselines or FOLDER, reason, name, by)))


@baseline.command("list")
@BASELINES
@FORMAT
def baseline_list(baselines: Path | None, form: str) -> None:
    """List the adopted baselines."""
    from clipbench.baselines import FOLDER, load_baselines
    from clipbench.report.baselines import baseline_summary, list_text

    found = load_baselines(baselines or FOLDER)
    data = [baseline_summary(one) for one in found]
    click.echo(json.dumps(data, indent=1, ensure_ascii=False) if form == "json" else list_text(found))


@baseline.command("show")
@click.argument("name")
@BASELINES
@FORMAT
def baseline_show(name: str, baselines: Path | None, form: str) -> None:
    """Show a baseline: why, since when, what it has, what it was before."""
    from clipbench.baselines import FOLDER, baseline_called
    from clipbench.report.baselines import baseline_summary, show_text

    found = baseline_called(name, baselines or FOLDER)
    data = baseline_summary(found)
    click.echo(json.dumps(data, indent=1, ensure_ascii=False) if form == "json" else show_text(found))


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--metric", default="recall_mean", show_default=True, help="Which metric.")
@click.option("--case", "cases", multiple=True, metavar="NAME", help="This case alone; shell wildcards. Repeatable.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="The newest N results of each case and device.")
@FORMAT
def trend(paths: Sequence[Path], metric: str, cases: Sequence[str], last: int | None, form: str) -> None:
    """Show one metric over time, for each case and device.

    PATHS are result files, or folders that are searched for them.
    """
    from clipbench.report.trend import run_trend

    sys.exit(run_trend(paths, metric, cases, last, form))


@main.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for index.html and a picture of each chart."
)
@click.option("--title", default="CLIP training benchmark", show_default=True, help="Heading of the page.")
@click.option(
    "--run", "runs", multiple=True, metavar="RUN_ID", help="Show this run in full, not the newest six. Repeatable."
)
@click.option(
    "--references",
    "folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of further references. Repeatable.",
)
@click.option(
    "--baseline",
    metavar="WHICH",
    help="Hold the newest results against earlier runs too; as for compare.",
)
@BASELINES
def report(**asked: Any) -> None:  # noqa: ANN401
    """Write a page of results for people.

    PATHS are result files, or folders that are searched for them. The page needs nothing but a browser.
    """
    from clipbench.report.page.writing import run_report

    sys.exit(run_report(**asked))


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
    nproc: str | None,
    seed: str | None,
    max_steps: str | None,
) -> Suite:
    from clipbench.suite import find_suite, load_suite
    from clipbench.world import outer_ranks

    short = {"device": device, "ranks": outer_ranks(nproc), "seed": seed, "train.max_steps": max_steps}
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

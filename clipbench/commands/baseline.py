"""``clipbench baseline``: set, list, show."""

from pathlib import Path

import click

from clipbench.commands.options import BASELINES, FORMAT, as_json


@click.group()
def baseline() -> None:
    """Adopt results that later ones are compared with.

    \b
    Example: clipbench baseline list
    """


@baseline.command("set")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", required=True, help="Why it is adopted; kept in the file.")
@click.option("--name", help="Name of the baseline.  [default: case and device]")
@click.option("--by", metavar="WHO", help="Who adopts it; kept in the file.")
@click.option("--force", is_flag=True, help="Adopt it although it fails its reference, or the baseline it replaces.")
@BASELINES
def baseline_set(
    paths: tuple[Path, ...], reason: str, name: str | None, by: str | None, force: bool, baselines: Path
) -> None:
    """Adopt a result, or several repeats or seeds of one case.

    Writes one file, which you commit. Only this command changes a baseline, and the file keeps its earlier runs. What
    it replaces, and how the figures change, is shown. A run that fails is refused (exit 1) without --force.

    \b
    Example: clipbench baseline set results/RUN.json --reason "new driver"
    """
    from clipbench.api.text import printable_data
    from clipbench.compare.adoption import adopt, propose
    from clipbench.report.baselines import adopted_text, check_passes
    from clipbench.results.references import shipped_references
    from clipbench.results.result import read_result

    results = [read_result(path) for path in paths]
    inputs = [str(path.resolve()) for path in paths]
    proposal = propose(results, baselines, reason, name, by, shipped_references(), inputs)
    if not force:
        check_passes(proposal)
    adopt(proposal)
    click.echo(adopted_text(printable_data(proposal)))


@baseline.command("list")
@BASELINES
@FORMAT
def baseline_list(baselines: Path, form: str) -> None:
    """List the adopted baselines.

    \b
    Example: clipbench baseline list --baselines results/baseline
    """
    from clipbench.api.text import printable_data
    from clipbench.report.baselines import baseline_summary, list_text
    from clipbench.results.baselines import load_baselines

    adopted = load_baselines(baselines)
    click.echo(as_json(list(map(baseline_summary, adopted))) if form == "json" else list_text(printable_data(adopted)))


@baseline.command("show")
@click.argument("name")
@BASELINES
@FORMAT
def baseline_show(name: str, baselines: Path, form: str) -> None:
    """Show a baseline: reason, date, runs, figures and its earlier runs.

    NAME is what clipbench baseline list shows.

    \b
    Example: clipbench baseline show adopted --format json
    """
    from clipbench.api.text import printable_data
    from clipbench.report.baselines import baseline_summary, show_text
    from clipbench.results.baselines import baseline_called

    chosen = baseline_called(name, baselines)
    click.echo(as_json(baseline_summary(chosen)) if form == "json" else show_text(printable_data(chosen)))

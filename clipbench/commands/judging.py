"""Commands on results: compare, baseline, trend, report."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import BASELINES, FORMAT, REFERENCES

# What --allow takes: clipbench.comparability.ALLOWED, which a test holds against this.
ALLOWED = ("device", "ranks", "precision", "batch", "recipe", "data", "weights", "evaluation", "engine", "settings")


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@REFERENCES
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
    from clipbench.compare.gate import request_of
    from clipbench.report.comparing import run_compare
    from clipbench.report.formats import parse_outputs

    sys.exit(run_compare(request_of(**asked), parse_outputs(forms)))


@click.group()
def baseline() -> None:
    """Adopt results that later ones are held against."""


@baseline.command("set")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", required=True, help="Why; kept in the file.")
@click.option("--name", help="Default: case and device.")
@click.option("--by", metavar="WHO", help="Who adopts it; kept in the file.")
@BASELINES
def baseline_set(paths: Sequence[Path], reason: str, name: str | None, by: str | None, baselines: Path | None) -> None:
    """Adopt a result; of one case, several repeats or seeds.

    Writes one file, to be committed. A baseline moves by this command alone, and keeps what it was before.
    """
    from clipbench.report.baselines import adopted_text
    from clipbench.results.baselines import FOLDER, adopt
    from clipbench.results.result import read_result

    click.echo(adopted_text(adopt([read_result(path) for path in paths], baselines or FOLDER, reason, name, by)))


@baseline.command("list")
@BASELINES
@FORMAT
def baseline_list(baselines: Path | None, form: str) -> None:
    """List the adopted baselines."""
    from clipbench.report.baselines import baseline_summary, list_text
    from clipbench.results.baselines import FOLDER, load_baselines

    found = load_baselines(baselines or FOLDER)
    data = [baseline_summary(one) for one in found]
    click.echo(json.dumps(data, indent=1, ensure_ascii=False) if form == "json" else list_text(found))


@baseline.command("show")
@click.argument("name")
@BASELINES
@FORMAT
def baseline_show(name: str, baselines: Path | None, form: str) -> None:
    """Show a baseline: why, since when, what it has, what it was before."""
    from clipbench.report.baselines import baseline_summary, show_text
    from clipbench.results.baselines import FOLDER, baseline_called

    found = baseline_called(name, baselines or FOLDER)
    data = baseline_summary(found)
    click.echo(json.dumps(data, indent=1, ensure_ascii=False) if form == "json" else show_text(found))


@click.command()
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


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for index.html and a picture of each chart."
)
@click.option("--title", default="CLIP training benchmark", show_default=True, help="Heading of the page.")
@click.option(
    "--run", "runs", multiple=True, metavar="RUN_ID", help="Show this run in full, not the newest six. Repeatable."
)
@REFERENCES
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

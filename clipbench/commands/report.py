"""``clipbench report``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from clipbench.commands.options import BASELINES, PATHS, REFERENCES


@click.command()
@PATHS
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for index.html and an image of each chart."
)
@click.option("--title", default="CLIP training benchmark", show_default=True, help="Heading of the page.")
@click.option(
    "--run", "runs", multiple=True, metavar="RUN_ID", help="Show this run in full, not the newest six. Repeatable."
)
@REFERENCES
@click.option(
    "--baseline", metavar="WHICH", help="Compare the newest results with earlier runs too; takes what compare takes."
)
@BASELINES
def report(
    paths: tuple[Path, ...],
    out: Path,
    title: str,
    runs: tuple[str, ...],
    folders: tuple[Path, ...],
    baseline: str | None,
    baselines: Path | None,
) -> None:
    """Write an HTML page of results, with charts.

    PATHS are result files, or folders that are searched for them. The page opens in any browser, also offline.

    \b
    Example: clipbench report results --out page
    """
    from clipbench.compare.gate import Request
    from clipbench.report.page.writing import run_report

    sys.exit(run_report(Request(paths, folders, baseline=baseline, baselines=baselines), out, title, runs))

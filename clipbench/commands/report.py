"""``clipbench report``."""

from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import BASELINES, PATHS, REFERENCES, repeatable


@click.command()
@PATHS
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder for index.html and an image of each chart."
)
@click.option("--title", default="CLIP training benchmark", help="Heading of the page.")
@repeatable("--run", "runs", metavar="RUN_ID", help="Show this run in full, not the newest six. Repeatable.")
@REFERENCES
@click.option(
    "--baseline", metavar="WHICH", help="Compare the newest results with earlier runs too; takes what compare takes."
)
@BASELINES
def report(out: Path, title: str, runs: tuple[str, ...], **asked: Any) -> int:  # noqa: ANN401
    """Write an HTML page of results, with charts.

    PATHS are result files, or folders that are searched for them. The page opens in any browser, also offline.

    \b
    Example: clipbench report results --out page
    """
    from clipbench.compare.gate import Request
    from clipbench.report.page.writing import run_report

    return run_report(Request(**asked), out, title, runs)

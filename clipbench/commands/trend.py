"""``clipbench trend``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from clipbench.commands.options import CASES, FORMAT, PATHS


@click.command()
@PATHS
@click.option("--metric", default="recall_mean", show_default=True, help="Name of the metric.")
@CASES
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="The newest N results of each case and device.")
@FORMAT
def trend(paths: Sequence[Path], metric: str, cases: Sequence[str], last: int | None, form: str) -> None:
    """Show one metric over time, for each case and device.

    PATHS are result files, or folders that are searched for them.

    \b
    Example: clipbench trend results --metric samples_per_second --last 10
    """
    from clipbench.report.trend import run_trend

    sys.exit(run_trend(paths, metric, cases, last, form))

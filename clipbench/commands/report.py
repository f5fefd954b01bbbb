"""``clipbench report``."""

from pathlib import Path
from typing import Any

import click

from clipbench.commands.options import BASELINES, PATHS, REFERENCES, repeatable
from clipbench.errors import UsageError


@click.command()
@PATHS
@click.option("--out", type=click.Path(path_type=Path), help="Folder for index.html.")
@click.option(
    "--png",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for pictures (PNG): of each chart, and of the losses and recalls of each run; alone, or with --out.",
)
@click.option("--title", default="CLIP training benchmark", help="Heading of the page.")
@repeatable("--run", "runs", metavar="RUN_ID", help="Show this run in full; else the page chooses six. Repeatable.")
@click.option(
    "--last", type=click.IntRange(min=1), default=200, help="Draw the newest N results of each case and device."
)
@REFERENCES
@click.option(
    "--baseline", metavar="WHICH", help="Compare the newest results with earlier runs too; takes what compare takes."
)
@BASELINES
@click.option("--no-pictures", is_flag=True, help="Leave out the pictures and captions that results have kept.")
@click.option("--leaderboard", is_flag=True, help="Rank devices on each case instead; the page links to its results.")
@repeatable("--price", "prices", metavar="DEVICE=PRICE", help="Shown in the leaderboard, as it is given. Repeatable.")
def report(
    out: Path | None,
    png: Path | None,
    title: str,
    runs: tuple[str, ...],
    last: int,
    leaderboard: bool,
    prices: tuple[str, ...],
    no_pictures: bool,
    **asked: Any,  # noqa: ANN401
) -> int:
    """Write an HTML page of results, with charts.

    PATHS are result files, or folders that are searched for them. The page opens in any browser, also offline.

    \b
    Examples:
      clipbench report results --out page
      clipbench report results --out page --png page
      clipbench report results --out board --leaderboard
    """
    from clipbench.compare.gate import Request
    from clipbench.report.page.writing import run_report

    if out is None and (leaderboard or png is None):
        raise UsageError("--out: is missing; expected the folder to write to (or --png, for pictures alone)")
    if leaderboard and out:
        from clipbench.report.leaderboard.writing import run_leaderboard

        if runs or asked["baseline"]:
            raise UsageError("--leaderboard: takes no --run and no --baseline; runs are compared with their reference")
        if png or no_pictures:
            raise UsageError("--leaderboard: takes no --png and no --no-pictures; it shows neither")
        return run_leaderboard(Request(**asked, all_runs=True), out, title, dict(map(_parse_price, prices)))
    if prices:
        raise UsageError("--price: is shown in a leaderboard; add --leaderboard")
    return run_report(Request(**asked), out, title, last, runs, retrieved=not no_pictures, png=png)


def _parse_price(text: str) -> tuple[str, str]:
    device, equals, price = text.rpartition("=")
    if not equals or not device or not price:
        raise UsageError(f"--price {text}: expected DEVICE=PRICE, the device as results name it")
    return device, price

"""``clipbench trend``."""

from pathlib import Path

import click

from clipbench.commands.options import CASES, FORMAT, PATHS, as_json


@click.command()
@PATHS
@click.option("--metric", default="recall_mean", help="Name of the metric: throughput, text_recall@1, val_loss ...")
@CASES
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="The newest N results of each case and device.")
@FORMAT
def trend(paths: tuple[Path, ...], metric: str, cases: tuple[str, ...], last: int | None, form: str) -> int:
    """Show one metric over time, for each case and device.

    PATHS are result files, or folders that are searched for them.

    \b
    Example: clipbench trend results --metric throughput --last 10
    """
    from clipbench.compare.trend import exit_code, select_cases, trend_data, trends_of
    from clipbench.report.reading import tell_of_reading
    from clipbench.report.trend import print_trends
    from clipbench.results.collecting.collect import survey

    found = survey(paths, tell_of_reading)
    trends = trends_of(select_cases(found.results, cases), metric)
    if last:
        trends = [trend.newest(last) for trend in trends]
    if form == "json":
        click.echo(as_json(trend_data(trends, found.problems)))
    else:
        print_trends(trends, found.problems, last)
    return exit_code(trends, found.problems)

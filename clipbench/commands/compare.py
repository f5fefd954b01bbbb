"""``clipbench compare``."""

from collections.abc import Sequence
from typing import Any

import click

from clipbench.commands.options import BASELINES, PATHS, REFERENCES, repeatable

POSITIVE = click.FloatRange(min=0, min_open=True)


def parse_fail_on(_context: click.Context, _option: click.Parameter, texts: Sequence[str]) -> frozenset[str]:
    """Return the values of --fail-on, each a word or several with commas."""
    return frozenset(word.strip() for text in texts for word in text.split(","))


@click.command()
@PATHS
@REFERENCES
@click.option(
    "--reference",
    metavar="NAME",
    help="Compare with this reference, or with one in a file; 'own' is the one that a result names.",
)
@click.option(
    "--baseline",
    metavar="WHICH",
    help="Compare with earlier runs: a file, a folder, a run id, the name of an adopted baseline, or 'adopted'. "
    "No reference is compared with then, unless --reference is given.",
)
@BASELINES
@repeatable(
    "--allow",
    metavar="DIFF",
    help="Compare although this differs: device, world_size, precision, batch, recipe, data, weights, evaluation, "
    "engine or settings. Repeatable.",
)
@click.option("--target", type=float, metavar="PERCENT", help="Overall recall mean for the time to quality.")
@click.option(
    "--least-recall",
    type=POSITIVE,
    default=0.5,
    metavar="POINTS",
    help="Against a baseline: smallest loss of a recall mean that counts; twice that for a single R@K.",
)
@click.option(
    "--least-speed",
    type=POSITIVE,
    default=3.0,
    metavar="PERCENT",
    help="Against a baseline: smallest loss of throughput that counts.",
)
@click.option("--all-runs", is_flag=True, help="Judge older runs of a case on a device too, not the newest alone.")
@click.option(
    "--repeats", is_flag=True, help="All runs of a case are repeats or seeds of one configuration: judge them together."
)
@repeatable(
    "--fail-on",
    callback=parse_fail_on,
    metavar="WHAT",
    help="What is exit 1 beside a gate that fails: warn, inconclusive, better; several with commas, or repeated. "
    "fail always is.  [default: fail]",
)
@click.option("--strict", is_flag=True, help="Short for --fail-on warn,inconclusive,better.")
@repeatable(
    "--format",
    "forms",
    metavar="FORM[=FILE]",
    help="table, json, markdown, junit or github; with =FILE, written to that file. Repeatable.  [default: table]",
)
@click.option("--verbose", is_flag=True, help="In the table, also how it was decided and what the words mean.")
def compare(forms: Sequence[str], verbose: bool, strict: bool, fail_on: frozenset[Any], **asked: Any) -> int:  # noqa: ANN401
    """Compare results with references or earlier runs.

    PATHS are result files, or folders that are searched for them. If every --format goes to a file, the table is still
    printed. The file that GITHUB_STEP_SUMMARY names is appended to; a file of an earlier comparison is replaced, and
    any other is refused.

    Of every case on a device the newest run is judged, and every file that is named itself. Older runs are history.

    \b
    Examples:
      clipbench compare results
      clipbench compare results --baseline adopted --format junit=verdict.xml
      clipbench compare results --baseline adopted --fail-on inconclusive
    """
    from clipbench.compare.gate import Request, judge, load
    from clipbench.compare.verdicts import FAIL_ON
    from clipbench.report.judgement.formats import check_outputs, parse_outputs, write_outputs
    from clipbench.report.reading import tell_of_reading

    outputs = parse_outputs(forms)
    request = Request(**asked, fail_on=frozenset(FAIL_ON) if strict else fail_on)
    inputs = load(request, tell_of_reading)
    check_outputs(outputs, inputs.files)
    return write_outputs(judge(request, inputs), outputs, verbose)

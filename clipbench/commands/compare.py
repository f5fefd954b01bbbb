"""``clipbench compare``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from clipbench.commands.options import BASELINES, PATHS, REFERENCES
from clipbench.errors import UsageError, did_you_mean

POSITIVE = click.FloatRange(min=0, min_open=True)


def check_allowed(_context: click.Context, _option: click.Parameter, names: Sequence[str]) -> Sequence[str]:
    """Return the values of --allow; raise UsageError for one that is not known."""
    from clipbench.compare.comparability import ALLOWED

    for name in names:
        if name not in ALLOWED:
            raise UsageError(f"--allow {name}: not known; {did_you_mean(name, ALLOWED)}")
    return names


@click.command()
@PATHS
@REFERENCES
@click.option("--reference", metavar="NAME", help="Compare with this reference; 'own' is the one that a result names.")
@click.option(
    "--baseline",
    metavar="WHICH",
    help="Compare with earlier runs: a file, a folder, a run id, the name of an adopted baseline, or 'adopted'. "
    "No reference is compared with then, unless --reference is given.",
)
@BASELINES
@click.option(
    "--allow",
    multiple=True,
    callback=check_allowed,
    metavar="DIFF",
    help="Compare although this differs: device, world_size, precision, batch, recipe, data, weights, evaluation, "
    "engine or settings. Repeatable.",
)
@click.option("--target", type=float, metavar="PERCENT", help="Overall recall mean for the time to quality.")
@click.option(
    "--least-recall",
    type=POSITIVE,
    default=0.5,
    show_default=True,
    metavar="POINTS",
    help="Against a baseline: smallest loss of a recall mean that counts; twice that for a single R@K.",
)
@click.option(
    "--least-speed",
    type=POSITIVE,
    default=3.0,
    show_default=True,
    metavar="PERCENT",
    help="Against a baseline: smallest loss of throughput that counts.",
)
@click.option("--strict", is_flag=True, help="A warning, 'better' or 'inconclusive' fails too (exit 1).")
@click.option(
    "--format",
    "forms",
    multiple=True,
    metavar="FORM[=FILE]",
    help="table, json, markdown, junit or github; with =FILE, written to that file. Repeatable.  [default: table]",
)
def compare(forms: Sequence[str], **asked: Any) -> None:  # noqa: ANN401
    """Compare results with references or earlier runs.

    PATHS are result files, or folders that are searched for them. If every --format goes to a file, the table is still
    printed. The file that GITHUB_STEP_SUMMARY names is appended to; any other file is replaced.

    \b
    Examples:
      clipbench compare results
      clipbench compare results --baseline adopted --format junit=verdict.xml
    """
    from clipbench.compare.gate import judge, request_of
    from clipbench.report.formats import parse_outputs, write_outputs

    outputs = parse_outputs(forms)
    sys.exit(write_outputs(judge(request_of(**asked)), outputs))

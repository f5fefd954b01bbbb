"""``clipbench compare``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from clipbench.commands.options import BASELINES, PATHS, REFERENCES

# What --allow takes: clipbench.compare.comparability.ALLOWED, without importing it for --help; a test compares the two.
ALLOWED = (
    "device",
    "world_size",
    "precision",
    "batch",
    "recipe",
    "data",
    "weights",
    "evaluation",
    "engine",
    "settings",
)
POSITIVE = click.FloatRange(min=0, min_open=True)


@click.command()
@PATHS
@REFERENCES
@click.option("--reference", metavar="NAME", help="Compare with this reference; 'own' is the one that a result names.")
@click.option(
    "--baseline",
    metavar="WHICH",
    help="Compare with earlier runs: a file, a folder, a run id, the name of an adopted baseline, or 'adopted'. "
    "Without --reference, no reference is compared with then.",
)
@BASELINES
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(ALLOWED),
    metavar="DIFF",
    help=f"Compare although this differs: {', '.join(ALLOWED)}. Repeatable.",
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

"""``clipbench compare``, from what was asked to the exit code."""

from __future__ import annotations

from collections.abc import Sequence

from clipbench.compare.gate import Request, judge
from clipbench.errors import ExitCode
from clipbench.report.formats import Output, write_outputs


def run_compare(request: Request, outputs: Sequence[Output]) -> ExitCode:
    """Put the judgement out in every form asked for; the verdict as an exit code."""
    return write_outputs(judge(request), outputs)

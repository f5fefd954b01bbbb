"""``clipbench compare``, from paths to the exit code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from clipbench.compare import collect, compare_all, comparison_data, exit_code
from clipbench.errors import ExitCode
from clipbench.references import load_references, shipped_references
from clipbench.report.terminal import comparison_report


def run_compare(paths: Sequence[Path], folders: Sequence[Path], form: str) -> ExitCode:
    """Print every result in ``paths`` against its reference, as ``table`` or ``json``; the verdict as an exit code.

    References are looked for among the paths, then in ``folders``, then among those that ship.
    """
    found = collect(paths)
    references = {**shipped_references(), **load_references(folders), **found.references}
    comparisons = compare_all(found.results, references)
    if form == "json":
        print(json.dumps(comparison_data(comparisons, found.problems), indent=1, ensure_ascii=False))
    else:
        from rich.console import Console

        Console(highlight=False).print(comparison_report(comparisons, found.problems))
    return exit_code(comparisons, found.problems)

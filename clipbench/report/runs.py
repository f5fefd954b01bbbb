"""`clipbench runs`: the runs of an output folder as a table or as JSON."""

from __future__ import annotations

import json
from pathlib import Path

from clipbench.errors import ExitCode, UsageError
from clipbench.files.disk import size_text
from clipbench.runs.listing import Run, find_runs


def print_runs(out: Path, form: str) -> ExitCode:
    """Print every run under ``out``; exit 3 where a file there was refused."""
    if not out.is_dir():
        raise UsageError(f"{out}: no such folder; expected one that `clipbench run --out` has written to")
    runs, problems = find_runs(out)
    if form == "json":
        data = {"runs": [vars(run) for run in runs], "problems": list(problems)}
        print(json.dumps(data, indent=1, ensure_ascii=False))
    else:
        print("\n".join(_lines(runs, problems)))
    return ExitCode.NOT_COMPARABLE if problems else ExitCode.PASS


def _lines(runs: list[Run], problems: tuple[str, ...]) -> list[str]:
    lines = [line for run in runs for line in _of(run)] or ["no runs"]
    if any(run.resumable for run in runs):
        lines.append("resumable: give the command that began it again, and it goes on (--restart begins anew)")
    return lines + [f"refused file: {problem}" for problem in problems]


def _of(run: Run) -> list[str]:
    """Two to four short lines: what it is and came to, then what lies where."""
    status = f"{run.status}, resumable" if run.resumable else run.status
    after = f"after epoch {run.epochs}" + (f" and {run.steps} steps" if run.steps else "")
    recall = "" if run.recall_mean is None else f", recall mean {run.recall_mean:.2f}"
    lines = [f"{run.run_id}", f"  {status} {after}{recall}"]
    if run.message:
        lines.append(f"  {run.message.splitlines()[0]}")
    if run.result:
        lines.append(f"  result: {run.result}")
    if run.checkpoints:
        lines.append(f"  checkpoints: {run.checkpoints} ({size_text(run.bytes)})")
    return lines

"""The runs of an output folder as text, for ``clipbench runs``."""

from collections.abc import Sequence

from clipbench.api.text import printable
from clipbench.files.disk import size_text
from clipbench.runs.listing import Run


def runs_text(runs: Sequence[Run], problems: Sequence[str]) -> str:
    """Return a few lines for each run, then the files that were refused."""
    lines = [printable(line) for run in runs for line in _run_lines(run)] or ["no runs"]
    if any(run.resumable for run in runs):
        lines.append("resumable: run the same command again (with --restart it starts from the beginning)")
    return "\n".join([*lines, *(printable(f"refused file: {problem}", lines=True) for problem in problems)])


def _run_lines(run: Run) -> list[str]:
    """Return what it is and how far it got, then where its files are."""
    status = f"{run.status}, resumable" if run.resumable else run.status
    progress = f"after epoch {run.epochs}" + (f" and {run.steps} steps" if run.steps else "")
    recall = "" if run.recall_mean is None else f", recall mean {run.recall_mean:.2f}"
    lines = [f"{run.run_id}", f"  {status} {progress}{recall}"]
    if run.message:
        lines.append(f"  {run.message.splitlines()[0]}")
    if run.result:
        lines.append(f"  result: {run.result}")
    if run.checkpoints:
        lines.append(f"  checkpoints: {run.checkpoints} ({size_text(run.bytes)})")
    return lines

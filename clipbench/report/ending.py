"""What `clipbench run` prints last: where everything lies, and what to do next."""

from collections.abc import Sequence

from clipbench.runs.job import LOG
from clipbench.runs.runner import Outcome


def ending(outcomes: Sequence[Outcome]) -> str:
    """Return a line for each thing that a run has left, then the command that compares it with its reference."""
    lines = []
    for outcome in outcomes:
        lines.append(f"result: {outcome.path}")
        error, folder = outcome.result.error, outcome.folder
        if folder is not None and (folder / "checkpoints").is_dir():
            lines.append(f"checkpoints: {folder / 'checkpoints'}")
        if error is not None and folder is not None:
            lines.append(f"log of its process: {folder / LOG}")
            if error.checkpoint:
                lines.append("the same command resumes the run from the last checkpoint; --restart starts it anew")
    paths = " ".join(str(outcome.path) for outcome in outcomes)
    return "\n".join([*lines, f"compare with the reference: clipbench compare {paths}"])

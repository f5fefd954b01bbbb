"""What `clipbench run` says last: where everything lies, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clipbench.runs.runner import Outcome


def ending(outcomes: Sequence[Outcome]) -> str:
    """One line for each thing that a run has left behind, then the command that holds it against its reference."""
    lines = []
    for outcome in outcomes:
        lines.append(f"result: {outcome.path}")
        error = outcome.result["error"]
        folder = outcome.folder
        if folder is not None and (folder / "checkpoints").is_dir():
            lines.append(f"checkpoints: {folder / 'checkpoints'}")
        if error is not None and folder is not None:
            lines.append(f"log of its process: {folder / 'worker.log'}")
            if error.get("checkpoint"):
                lines.append("the same command goes on from the last checkpoint; --restart begins anew")
    paths = " ".join(str(outcome.path) for outcome in outcomes)
    return "\n".join([*lines, f"hold against the reference: clipbench compare {paths}"])

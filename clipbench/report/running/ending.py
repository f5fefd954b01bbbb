"""What `clipbench run` prints last: where everything lies, and what to do next."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from clipbench.compare.matching import Match, match_reference
from clipbench.results.references import shipped_references
from clipbench.results.result import retrieved_path
from clipbench.runs.job import LOG
from clipbench.runs.runner import Outcome


def ending(outcomes: Sequence[Outcome]) -> str:
    """Return a line for each thing that a run has left, then what can be done with its results, if anything."""
    lines = []
    for outcome in outcomes:
        lines.append(f"result: {outcome.path}")
        if outcome.result.retrieved is not None:
            pictures = retrieved_path(outcome.path, outcome.result.run_id)
            lines.append(f"pictures for `clipbench report` (the terms of the data apply): {pictures}")
        error, folder = outcome.result.error, outcome.folder
        if folder is not None and (folder / "checkpoints").is_dir():
            lines.append(f"checkpoints: {folder / 'checkpoints'}")
        if error is not None and folder is not None:
            lines.append(f"log of its process: {folder / LOG}")
            if error.checkpoint:
                lines.append("the same command resumes the run from the last checkpoint; --restart starts it anew")
    return "\n".join([*lines, *_advice([outcome for outcome in outcomes if outcome.result.completed])])


def _advice(completed: Sequence[Outcome]) -> list[str]:
    """Return the commands that work with these results: to compare them with a reference, else with later runs."""
    references = shipped_references()
    matches = {outcome.path: match_reference(outcome.result, references) for outcome in completed}
    comparable = [path for path, match in matches.items() if match.other and not match.refused]
    lines = [f"compare with the reference: clipbench compare {_words(comparable)}"] if comparable else []
    checked = [path for path, match in matches.items() if match.other is None and match.results[0].numerics is not None]
    lines += [f"judge the check of numerics: clipbench compare {_words(checked)}"] if checked else []
    for path, match in matches.items():
        if match.other and match.refused:
            lines.append(f"{path} cannot be compared with the reference {match.other.name}: {_refusal(match)}")
    others = [path for path, match in matches.items() if path not in comparable and not match.bad_images]
    if others:
        adopt = f"clipbench baseline set {_words(others[:1])} --reason TEXT"
        lines.append(f"to compare later runs with this one: {adopt}")
    return lines


def _refusal(match: Match) -> str:
    differing = next((one for one in match.differences if one.blocks == "all" and not one.allowed), None)
    return f"{differing.path} is {differing.ours}, not {differing.theirs}" if differing else "images were left out"


def _words(paths: Sequence[Path]) -> str:
    return shlex.join(map(str, paths))

"""What lies under some paths: results, references and baselines, and what was refused."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clipbench.errors import InvalidFileError, UsageError
from clipbench.results.baselines import KIND as BASELINE_KIND
from clipbench.results.baselines import Baseline, parse_baseline
from clipbench.results.references import Reference, add_reference, parse_reference
from clipbench.results.result import KIND, Result, read_document


@dataclass(frozen=True)
class Collection:
    """What was found under some paths; ``problems`` name each file that was refused, and why."""

    results: tuple[Result, ...]
    references: Mapping[str, Reference]
    problems: tuple[str, ...]
    baselines: tuple[Baseline, ...] = ()


def collect(paths: Sequence[Path]) -> Collection:
    """Results, references and baselines in files and, through all their folders, in every ``*.json``.

    Hidden files and folders (such as a run's ``.work``) are left out; nothing else is skipped: what is none of the
    three is a problem. A path that does not exist is a UsageError. The ranks of results are arrays, not lists: many
    results then fit into memory.
    """
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder; expected results")
    results: list[Result] = []
    references: dict[str, Reference] = {}
    baselines: list[Baseline] = []
    problems: list[str] = []
    seen: set[Path] = set()
    for file in (file for path in paths for file in _files(path, problems)):
        if file.resolve() in seen:
            continue
        seen.add(file.resolve())
        try:
            document = read_document(file)
            if document["kind"] == KIND:
                results.append(compact(document))
            elif document["kind"] == BASELINE_KIND:
                baselines.append(parse_baseline(document, file))
            else:
                add_reference(references, parse_reference(document, file))
        except InvalidFileError as error:
            problems.append(str(error))
    return Collection(tuple(results), references, tuple(problems), tuple(baselines))


def compact(result: Result) -> Result:
    """``result`` with its ranks as arrays of four bytes a number; ranks beyond that stay as they are."""
    ranks = result["ranks"]
    if ranks is None:
        return result
    try:
        arrays = {key: array("i", value) if isinstance(value, list) else value for key, value in ranks.items()}
    except OverflowError:
        return result
    return {**result, "ranks": arrays}


def _files(path: Path, problems: list[str]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return

    def refuse(error: OSError) -> None:
        problems.append(f"{error.filename}: cannot be read: {error.strerror}")

    for folder, inner, names in os.walk(path, onerror=refuse):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".json") and not name.startswith("."):
                yield Path(folder, name)

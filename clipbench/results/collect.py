"""What lies under some paths: results, references and baselines, and what was refused."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clipbench.api import InvalidFileError, Result, UsageError
from clipbench.results.baselines import Baseline, parse_baseline
from clipbench.results.document import read_document
from clipbench.results.references import Reference, add_reference, parse_reference
from clipbench.results.result import parse_result

PARSERS: Mapping[str, Callable[..., Result | Reference | Baseline]] = {
    "clipbench.result": parse_result,
    "clipbench.reference": parse_reference,
    "clipbench.baseline": parse_baseline,
}


@dataclass(frozen=True)
class Collection:
    """What was found under some paths; ``problems`` name each file that was refused, and why.

    ``baselines`` None: none were asked for.
    """

    results: tuple[Result, ...] = ()
    references: Mapping[str, Reference] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    baselines: tuple[Baseline, ...] | None = ()


def read_file(path: Path) -> Result | Reference | Baseline:
    """Return what the file holds; raise InvalidFileError for anything that is none of the three."""
    document = read_document(path)
    return PARSERS[document["kind"]](document, path)


def collect(paths: Sequence[Path]) -> Collection:
    """Return the results, references and baselines in files and, through all their folders, in every ``*.json``.

    Hidden files and folders (such as a run's ``.work``) are left out; nothing else is skipped: what is none of the
    three is a problem. Raises UsageError for a path that does not exist. The query ranks of results are arrays, not
    lists: many results then fit into memory.
    """
    if absent := [path for path in paths if not path.exists()]:
        raise UsageError(f"{absent[0]}: no such file or folder; expected results")
    problems, seen = list[str](), set[Path]()
    results, known, adopted = list[Result](), dict[str, Reference](), list[Baseline]()
    for file in (file for path in paths for file in _files(path, problems)):
        if file.resolve() in seen:
            continue
        seen.add(file.resolve())
        try:
            match read_file(file):
                case Result() as result:
                    results.append(result)
                case Reference() as reference:
                    add_reference(known, reference)
                case Baseline() as baseline:
                    adopted.append(baseline)
        except InvalidFileError as error:
            problems.append(str(error))
    return Collection(tuple(results), known, tuple(problems), tuple(adopted))


def _files(path: Path, problems: list[str]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    refused = list[OSError]()
    for folder, inner, names in os.walk(path, onerror=refused.append):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".json") and not name.startswith("."):
                yield Path(folder, name)
    problems.extend(f"{error.filename}: cannot be read: {error.strerror}" for error in refused)

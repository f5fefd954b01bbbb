"""Baselines: results that were adopted, with a reason, for later ones to be compared with: the files."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipbench.api.result import Result
from clipbench.errors import InvalidFileError, NotReadyError, UsageError
from clipbench.files import schemas
from clipbench.files.json_file import write_json
from clipbench.results.document import KINDS, VERSIONS, read_document, results_digest
from clipbench.results.result import parse_result, result_data

KIND = KINDS["baseline"]
FOLDER = Path("results", "baseline")


@dataclass(frozen=True)
class Baseline:
    """Completed, comparable results of one case that others are compared with.

    ``reason`` and ``adopted`` are None for results that were named on the command line alone.
    """

    name: str
    results: tuple[Result, ...]
    reason: str | None = None
    adopted: str | None = None
    by: str | None = None
    history: tuple[Mapping[str, Any], ...] = ()
    path: Path | None = field(default=None, compare=False)

    @property
    def runs(self) -> tuple[str, ...]:
        return tuple(result.run_id for result in self.results)

    @property
    def suite(self) -> str:
        return self.results[0].suite

    @property
    def case(self) -> str:
        return self.results[0].case

    @property
    def device(self) -> str | None:
        """Model of the device; None for results that never got one."""
        return self.results[0].device_name


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write ``path`` atomically (baseline.schema.json).

    Raises UsageError for a name or reason that the schema refuses, NotReadyError where the disk does.
    """
    results = [result_data(result) for result in baseline.results]
    document = {
        "kind": KIND,
        "schema_version": VERSIONS["baseline"],
        "name": baseline.name,
        "reason": baseline.reason,
        "adopted": baseline.adopted,
        "by": baseline.by,
        "history": list(baseline.history),
        "results_sha256": results_digest(results),
        "results": results,
    }
    for _, message in schemas.problems("baseline", document):
        raise UsageError(f"--name {baseline.name}: {message}")
    try:
        write_json(path, document)
    except OSError as error:
        raise NotReadyError(f"{path}: the baseline cannot be written ({error.strerror}); make room there") from None


def read_baseline(path: Path) -> Baseline:
    """Return one baseline from disk; raise InvalidFileError for anything else, and for one that was edited."""
    document = read_document(path)
    if document["kind"] != KIND:
        raise InvalidFileError(f"{path}: is a {document['kind']}; expected a baseline")
    return parse_baseline(document, path)


def parse_baseline(document: Mapping[str, Any], path: Path) -> Baseline:
    """Return a document that its schema has taken, as a Baseline; its results are checked by theirs."""
    for result in document["results"]:
        for _, message in schemas.problems("result", result):
            raise InvalidFileError(f"{path}: not a valid baseline: a result in it: {message}")
    return Baseline(
        document["name"],
        tuple(parse_result(result, path) for result in document["results"]),
        document["reason"],
        document["adopted"],
        document["by"],
        tuple(document["history"]),
        path,
    )


def load_baselines(folder: Path) -> list[Baseline]:
    """Return every baseline of a folder, by name; raise InvalidFileError for a file that is none."""
    paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    return [read_baseline(path) for path in paths]


def baseline_called(name: str, folder: Path) -> Baseline:
    """Return the adopted baseline of that name; raise UsageError where there is none."""
    known = {baseline.name: baseline for baseline in load_baselines(folder)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
        raise UsageError(f"{folder}: no baseline is called {name}; {hint}")
    return known[name]

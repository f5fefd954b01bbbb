"""Baselines: results that were adopted, with a reason, for later ones to be compared with: the files."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from clipbench.api import InvalidFileError, NotReadyError, Result, UsageError, did_you_mean, from_plain, to_plain
from clipbench.files import schemas
from clipbench.files.json_file import json_files, write_json
from clipbench.results.document import kind_and_version, read_document, results_digest
from clipbench.results.result import parse_result, result_data

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
        """Name of the case, without the seed that a matrix gave it."""
        return self.results[0].case_without_seed

    @property
    def device(self) -> str | None:
        """Model of the device; None for results that never got one."""
        return self.results[0].device_name


def write_baseline(baseline: Baseline, path: Path) -> None:
    """Write ``path`` atomically (baseline.schema.json).

    Raises UsageError for a name or reason that the schema refuses, NotReadyError where the disk does.
    """
    results = [result_data(result) for result in baseline.results]
    document = {key: value for key, value in to_plain(replace(baseline, results=())).items() if key != "path"}
    document |= {**kind_and_version("baseline"), "results_sha256": results_digest(results), "results": results}
    for _, message in schemas.problems("baseline", document):
        raise UsageError(f"--name {baseline.name}: {message}")
    try:
        write_json(path, document)
    except OSError as error:
        raise NotReadyError(f"{path}: the baseline cannot be written ({error.strerror}); make room there") from None


def read_baseline(path: Path) -> Baseline:
    """Return one baseline from disk; raise InvalidFileError for anything else, and for one that was edited."""
    return parse_baseline(read_document(path, "baseline"), path)


def parse_baseline(document: Mapping[str, Any], path: Path) -> Baseline:
    """Return a document that its schema has accepted, as a Baseline; its results are checked as those in files are.

    Raises InvalidFileError for results that did not complete, are of several cases or devices, or are of one run.
    """
    for result in document["results"]:
        for _, message in schemas.problems("result", result):
            raise InvalidFileError(f"{path}: not a valid baseline: a result in it: {message}")
    results = tuple(parse_result(result, path) for result in document["results"])
    baseline = from_plain(Baseline, {**document, "results": ()})
    for one in results:
        if not one.completed:
            raise InvalidFileError(f"{path}: not a valid baseline: the case of {one.run_id} {one.status}")
        if (ours := _measured_on(one)) != (theirs := _measured_on(results[0])):
            both = f"{results[0].run_id} of {theirs}; {one.run_id} of {ours}"
            raise InvalidFileError(f"{path}: not a valid baseline: its results are of several cases: {both}")
    if len({one.run_id for one in results}) < len(results):
        raise InvalidFileError(f"{path}: not a valid baseline: a run is in it twice")
    return replace(baseline, results=results, path=path)


def _measured_on(result: Result) -> str:
    facts = result.suite, result.case_without_seed, result.device_name, result.precision, result.world_size
    return ", ".join(map(str, facts))


def load_baselines(folder: Path) -> list[Baseline]:
    """Return every baseline of a folder; raise InvalidFileError for a file that is none, or that has another's name."""
    known: dict[str, Baseline] = {}
    for path in json_files(folder):
        add_baseline(known, read_baseline(path))
    return list(known.values())


def add_baseline(known: dict[str, Baseline], baseline: Baseline) -> None:
    """Add to ``known``; raise InvalidFileError for other content under a known name."""
    other = known.setdefault(baseline.name, baseline)
    if other != baseline:
        raise InvalidFileError(
            f"{baseline.path}: the baseline '{baseline.name}' is also in {other.path}, with other content; "
            "remove the one that does not hold"
        )


def baseline_called(name: str, folder: Path) -> Baseline:
    """Return the adopted baseline of that name; raise UsageError where there is none."""
    known = {baseline.name: baseline for baseline in load_baselines(folder)}
    if name not in known:
        raise UsageError(f"{folder}: no baseline is called {name}; {did_you_mean(name, known)}")
    return known[name]

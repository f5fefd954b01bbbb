"""What lies under some paths: results, references and baselines, what was refused, and what was not read."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clipbench.api import InvalidFileError, Result, UsageError
from clipbench.results.baselines import Baseline, add_baseline, parse_baseline
from clipbench.results.document import read_document
from clipbench.results.references import Reference, add_reference, parse_reference
from clipbench.results.result import RETRIEVED_ENDING, parse_result

PARSERS: Mapping[str, Callable[..., Result | Reference | Baseline]] = {
    "clipbench.result": parse_result,
    "clipbench.reference": parse_reference,
    "clipbench.baseline": parse_baseline,
}


@dataclass(frozen=True)
class Collection:
    """What was found under some paths; ``problems`` name each file that was refused, and why.

    ``baselines`` None: none were asked for. ``named`` has the ids of the runs whose file itself was named, ``files``
    the real paths of all that was read, or refused. ``copies`` counts files with the result of another file,
    ``others`` files that are no results: references, baselines, and what was not read for its name. ``places`` has the
    files of each run id; what a result retrieved lies beside one of them.
    """

    results: tuple[Result, ...] = ()
    references: Mapping[str, Reference] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    baselines: tuple[Baseline, ...] | None = ()
    named: frozenset[str] = frozenset()
    files: frozenset[Path] = frozenset()
    copies: int = 0
    others: int = 0
    places: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)


def read_file(path: Path) -> Result | Reference | Baseline:
    """Return what the file holds; raise InvalidFileError for anything that is none of the three."""
    document = read_document(path)
    return PARSERS[document["kind"]](document, path)


def collect(paths: Sequence[Path]) -> Collection:
    """Return the results, references and baselines in files and, through all their folders, in every ``*.json``.

    Hidden files and folders (such as a run's ``.work``) are left out, links are followed once. What is none of the
    three is a problem, and so are two contents of one run or one name. Raises UsageError for a path that does not
    exist.
    """
    if absent := [path for path in paths if not os.path.exists(path)]:  # noqa: PTH110 -- a name may be too long for one
        raise UsageError(f"{absent[0]}: no such file or folder; expected results")
    return _Collector().collect(paths)


@dataclass
class _Collector:
    """Gathers a Collection, file by file."""

    results: dict[str, tuple[Result, Path]] = field(default_factory=dict)
    references: dict[str, Reference] = field(default_factory=dict)
    baselines: dict[str, Baseline] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    seen: set[Path] = field(default_factory=set)
    walked: set[str] = field(default_factory=set)
    copies: int = 0
    others: int = 0
    places: dict[str, tuple[Path, ...]] = field(default_factory=dict)

    def collect(self, paths: Sequence[Path]) -> Collection:
        # Files first: one that is named, and lies in a folder that is named too, was named.
        for path in sorted(paths, key=lambda path: path.is_dir()):
            for file in self._files(path):
                if (real := Path(os.path.realpath(file))) not in self.seen:
                    self.seen.add(real)
                    self._add(file, named=file is path)
        return Collection(
            tuple(result for result, _ in self.results.values()),
            self.references,
            tuple(self.problems),
            tuple(self.baselines.values()),
            frozenset(self.named),
            frozenset(self.seen),
            self.copies,
            self.others + len(self.references) + len(self.baselines),
            self.places,
        )

    def _add(self, file: Path, named: bool) -> None:
        try:
            match read_file(file):
                case Result() as result:
                    self._add_result(result, file)
                    if named:
                        self.named.add(result.run_id)
                case Reference() as reference:
                    add_reference(self.references, reference)
                case Baseline() as baseline:
                    add_baseline(self.baselines, baseline)
        except InvalidFileError as error:
            self.problems.append(str(error))

    def _add_result(self, result: Result, file: Path) -> None:
        other, place = self.results.setdefault(result.run_id, (result, file))
        if other != result:
            raise InvalidFileError(
                f"{file}: the run {result.run_id} is also in {place}, with other content; remove the one that is not it"
            )
        self.places[result.run_id] = (*self.places.get(result.run_id, ()), file)
        self.copies += place != file

    def _files(self, path: Path) -> Iterator[Path]:
        """Yield the file, or every file of a folder that is read; count the others."""
        if not path.is_dir():
            yield path
            return
        refused = list[OSError]()
        walk = os.walk(path, onerror=refused.append, followlinks=True)
        for folder, inner, names in walk if os.path.realpath(path) not in self.walked else ():
            self.walked.add(os.path.realpath(folder))
            visible = [name for name in inner if not name.startswith(".")]
            inner[:] = sorted(name for name in visible if self._is_new(Path(folder, name)))
            read = [name for name in names if name.lower().endswith(".json") and not name.startswith(".")]
            # What a result retrieved is a part of it.
            self.others += sum(not name.endswith(RETRIEVED_ENDING) for name in names) - len(read)
            yield from (Path(folder, name) for name in sorted(read))
        self.problems.extend(f"{error.filename}: cannot be read: {error.strerror}" for error in refused)

    def _is_new(self, folder: Path) -> bool:
        """Return whether to go into a folder: once, by whichever name; one that leads back to its own is a problem."""
        real = os.path.realpath(folder)
        if Path(os.path.realpath(folder.parent)).is_relative_to(real):
            self.problems.append(f"{folder}: a link that leads back to a folder that it lies in; remove it")
            return False
        return real not in self.walked

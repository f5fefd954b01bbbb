"""What lies under some paths: results, references and baselines, what was refused, and what was not read."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from clipbench.api import InvalidFileError, Result, UsageError
from clipbench.api.processes import no_collections
from clipbench.results.baselines import Baseline, add_baseline, parse_baseline
from clipbench.results.collecting.entries import Entry, entry_of, row_of
from clipbench.results.collecting.index import Known, read_index, stamp_of, write_index
from clipbench.results.collecting.reading import read_rows
from clipbench.results.document import read_document
from clipbench.results.references import Reference, add_reference, parse_reference
from clipbench.results.result import RETRIEVED_ENDING, parse_result, read_result

PARSERS: Mapping[str, Callable[..., Result | Reference | Baseline]] = {
    "clipbench.result": parse_result,
    "clipbench.reference": parse_reference,
    "clipbench.baseline": parse_baseline,
}
LEAST_FILES = 200  # of a folder that has an index: fewer are read in less than a second
Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Collection:
    """What was found under some paths; ``problems`` name each file that was refused, and why.

    ``baselines`` None: none were asked for. ``named`` has the ids of the runs whose file itself was named, ``files``
    the real paths of all that was read, or refused. ``copies`` counts files with the result of another file,
    ``others`` files that are no results: references, baselines, and what was not read for its name. ``places`` has, by
    run, the files that ``entries`` do not name.

    A survey has ``entries`` of all its results, by run, and results of which some are outlines; ``clashing`` has the
    entries that were refused because another file has their run.
    """

    results: tuple[Result, ...] = ()
    references: Mapping[str, Reference] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    baselines: tuple[Baseline, ...] | None = ()
    named: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    copies: int = 0
    others: int = 0
    places: Mapping[str, Sequence[str]] = field(default_factory=dict)
    entries: Mapping[str, Entry] = field(default_factory=dict)
    clashing: tuple[Entry, ...] = ()

    def in_full(self, results: Iterable[Result]) -> tuple[Result, ...]:
        """Return results of this collection, outlines replaced by what their files hold.

        Raises InvalidFileError for a file that is no longer what it was.
        """
        found = ((result, self.entries.get(result.run_id)) for result in results)
        return tuple(_whole(entry) if entry and entry.result is one else one for one, entry in found)

    def files_of(self, run_id: str) -> tuple[str, ...]:
        """Return the files with the result of a run; what it retrieved lies beside one of them."""
        entry = self.entries.get(run_id)
        return (*([entry.file] if entry else []), *self.places.get(run_id, ()))


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
    return _Collector().collect(paths)


def survey(paths: Sequence[Path], tell: Tell = lambda _done, _of: None) -> Collection:
    """Return the same, but of a folder with many files only outlines of results, which an index remembers.

    ``tell`` is called, while files are read that the index does not know, with how many were read, of how many.
    """
    with no_collections():
        return _Collector(tell).collect(paths)


class _File(NamedTuple):
    """A file to be read: as it was named or found, its real path, and how its folder has it."""

    path: str
    real: str
    entry: "os.DirEntry[str] | None" = None


@dataclass
class _Collector:
    """Gathers a Collection, file by file; with ``tell``, one of outlines."""

    tell: Tell | None = None
    results: dict[str, tuple[Result, str]] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    clashing: list[Entry] = field(default_factory=list)
    references: dict[str, Reference] = field(default_factory=dict)
    baselines: dict[str, Baseline] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    named: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    walked: set[str] = field(default_factory=set)
    copies: int = 0
    others: int = 0
    places: dict[str, list[str]] = field(default_factory=dict)

    def collect(self, paths: Sequence[Path]) -> Collection:
        if absent := [path for path in paths if not os.path.exists(path)]:  # noqa: PTH110 -- a name may be too long
            raise UsageError(f"{absent[0]}: no such file or folder; expected results")
        # Files first: one that is named, and lies in a folder that is named too, was named.
        for path in sorted(paths, key=lambda path: path.is_dir()):
            is_folder = path.is_dir()
            files = list(self._walk(str(path))) if is_folder else [_File(str(path), os.path.realpath(path))]
            known: Iterable[Known | None] = itertools.repeat(None, len(files))
            if is_folder and self.tell and len(files) >= LEAST_FILES:
                known = self._known(path, files)
            for file, found in zip(files, known, strict=True):
                if file.real not in self.seen:
                    self.seen.add(file.real)
                    self._add(file, not is_folder, found)
        results = (result for result, _ in self.results.values())
        return Collection(
            tuple(entry.result for entry in self.entries.values()) if self.tell else tuple(results),
            self.references,
            tuple(self.problems),
            tuple(self.baselines.values()),
            frozenset(self.named),
            frozenset(self.seen),
            self.copies,
            self.others + len(self.references) + len(self.baselines),
            self.places,
            self.entries,
            tuple(self.clashing),
        )

    def _known(self, folder: Path, files: Sequence[_File]) -> list[Known | None]:
        """Return what the folder's index has of each file; what it does not know is read, and it is made anew."""
        assert self.tell is not None
        real, start = os.path.realpath(folder), len(os.path.join(folder, ""))  # noqa: PTH118 -- with its last slash
        index, unsure = read_index(real), set()
        names = [file.path[start:] for file in files]
        known = [
            found if (found := index.get(name)) and found.stamp == _stamp(file) else None
            for name, file in zip(names, files, strict=True)
        ]
        new = {file.path: place for place, file in enumerate(files) if known[place] is None}
        changed = len(files) - len(new) < len(index)
        try:
            for path, found, sure in read_rows(list(new), self.tell):
                known[new[path]] = found
                if sure:
                    changed = True
                else:
                    unsure.add(new[path])
        finally:  # whoever interrupts it need not read again what was read
            if changed:
                pairs = zip(names, known, strict=True)
                write_index(real, {n: one for place, (n, one) in enumerate(pairs) if one and place not in unsure})
        return known

    def _add(self, file: _File, named: bool, known: Known | None) -> None:
        try:
            if known is not None:
                self._add_entry(entry_of(known.setup, known.own, file.path))
                return
            path = Path(file.path)
            document = read_document(path)
            match PARSERS[document["kind"]](document, path):
                case Result() as result:
                    if self.tell:
                        self._add_entry(entry_of(*row_of(result, document), file.path, result))
                    else:
                        self._add_result(result, file.path)
                    if named:
                        self.named.add(result.run_id)
                case Reference() as reference:
                    add_reference(self.references, reference)
                case Baseline() as baseline:
                    add_baseline(self.baselines, baseline)
        except InvalidFileError as error:
            self.problems.append(str(error))

    def _add_entry(self, entry: Entry) -> None:
        run_id = entry.result.run_id
        first = self.entries.setdefault(run_id, entry)
        if first is entry:
            return
        if not (entry.digest and entry.digest == first.digest) and _whole(entry) != (other := _whole(first)):
            self.clashing.append(entry)
            raise _clash(other.run_id, entry.file, first.file)
        self.copies += 1
        self._place(run_id, entry.file)

    def _add_result(self, result: Result, file: str) -> None:
        other, place = self.results.setdefault(result.run_id, (result, file))
        if other != result:
            raise _clash(result.run_id, file, place)
        self._place(result.run_id, file)
        self.copies += place != file

    def _place(self, run_id: str, file: str) -> None:
        self.places.setdefault(run_id, []).append(file)

    def _walk(self, folder: str) -> Iterator[_File]:
        """Yield every file of a folder that is read, once by whichever name; count the others."""
        real, inner = os.path.realpath(folder), []
        if real in self.walked:
            return
        self.walked.add(real)
        for entry in self._listed(folder):
            name, path = entry.name, entry.path
            if _is_folder(entry):
                inner.append(entry)
            elif not name.lower().endswith(".json") or name.startswith("."):
                self.others += not name.endswith(RETRIEVED_ENDING)  # which is a part of a result
            else:
                yield _File(path, os.path.realpath(path) if entry.is_symlink() else f"{real}{os.sep}{name}", entry)
        for entry in inner:
            if not entry.name.startswith(".") and not self._leads_back(Path(entry.path)):
                yield from self._walk(entry.path)

    def _listed(self, folder: str) -> "list[os.DirEntry[str]]":
        """Return what a folder has, by name; nothing of one that was removed meanwhile, as a run does with its own."""
        try:
            with os.scandir(folder) as listing:
                return sorted(listing, key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problems.append(f"{error.filename}: cannot be read: {error.strerror}")
            return []

    def _leads_back(self, folder: Path) -> bool:
        """Return whether a folder is a link to one that it lies in, which is a problem."""
        leads_back = folder.parent.resolve().is_relative_to(folder.resolve())
        if leads_back:
            self.problems.append(f"{folder}: a link that leads back to a folder that it lies in; remove it")
        return leads_back


def _clash(run_id: str, file: str, other: str) -> InvalidFileError:
    return InvalidFileError(
        f"{file}: the run {run_id} is also in {other}, with other content; remove the one that is not it"
    )


def _whole(entry: Entry) -> Result:
    return read_result(entry.path) if entry.outline else entry.result


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _stamp(file: _File) -> str:
    """Return the stamp of a file, empty for one that is not there."""
    assert file.entry is not None
    try:
        return stamp_of(file.entry.stat())
    except OSError:
        return ""

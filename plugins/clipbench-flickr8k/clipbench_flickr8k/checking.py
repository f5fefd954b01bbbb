"""A data root held against what it promises: pictures that are there, inside the root, and readable."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from clipbench.api import DataFinding
from clipbench.errors import NotReadyError
from clipbench.files.json_file import JsonError, read_json, write_json
from clipbench_flickr8k.annotations import Annotations, read_annotations
from clipbench_flickr8k.pictures import ANIMATED, MISNAMED, Look, look_at

NAMED = 3
_RECORD_VERSION = 1


@dataclass
class Pictures:
    """What was found about the pictures of annotation files; every picture is known by its path, as text.

    ``wanted`` in order, ``absent`` those that are not there, ``looks`` what was found in those that are.
    """

    wanted: list[str]
    absent: list[str]
    looks: dict[str, Look] = field(default_factory=dict)

    @property
    def unusable(self) -> dict[str, str]:
        """Why a picture that is there cannot be used."""
        return {path: look.problem for path, look in self.looks.items() if look.problem}

    def odd(self, kind: str) -> list[str]:
        """Pictures that are used although they are ``kind``."""
        return [path for path, look in self.looks.items() if look.oddity == kind]

    def look(self, deep: bool) -> None:
        """Look at every picture that is there: its header or, where ``deep``, all of it, with a bar on a terminal."""
        absent = set(self.absent)
        there = [path for path in self.wanted if path not in absent]
        self.looks = dict(zip(there, _with_a_bar(there) if deep else look_at(there, deep=False), strict=True))


def find_pictures(root: Path, annotations: Iterable[Annotations]) -> Pictures:
    """Find every picture by one listing of each folder; what leaves the root through a link is a NotReadyError."""
    wanted: dict[str, None] = {}
    absent: list[str] = []
    listed: dict[str, dict[str, bool]] = {}
    for one in annotations:
        homes = {os.path.realpath(root), os.path.realpath(one.path.parent)}
        for number, path in enumerate(one.pictures(), start=1):
            if path in wanted:
                continue
            wanted[path] = None
            folder, _, name = path.rpartition("/")
            if folder not in listed:
                _refuse_outside(folder, homes, one, number)
                listed[folder] = _list(folder)
            is_link = listed[folder].get(name)
            # A second look: some file systems list a name in another case or Unicode form than they open.
            if is_link is None and not (listed[folder] and os.path.isfile(path)):  # noqa: PTH113 -- no error on odd names
                absent.append(path)
            elif is_link is not False:
                _refuse_outside(path, homes, one, number)
    return Pictures(list(wanted), absent)


def skipped_pictures(root: Path, annotations: Annotations, cache: Path, trust: bool) -> dict[str, str]:
    """Pictures of one annotation file that cannot be used, and why; every one of them is decoded to know.

    The outcome is kept in ``cache`` under the names, sizes and times of all files. Where ``trust``, a record that fits
    is believed; else headers are looked at too, and one that is newly broken makes it worthless.
    """
    pictures = find_pictures(root, [annotations])
    absent = dict.fromkeys(pictures.absent, "no such file")
    record = cache / "pictures" / f"{_state(pictures)}.json"
    known = _read_record(record)
    if known is not None and not trust:
        pictures.look(deep=False)
        if not set(pictures.unusable) <= set(known):
            known = None
    if known is None:
        pictures.look(deep=True)
        known = pictures.unusable
        with suppress(OSError):  # then the next process finds it out again
            write_json(record, {"version": _RECORD_VERSION, "unusable": known})
    return {**absent, **known}


def in_words(found: Sequence[str], of: int, what: str = "", why: dict[str, str] | None = None) -> str:
    """``3 of 8,000 pictures WHAT (a.jpg, b.jpg, c.jpg)``, with the reason of each where ``why`` is given."""
    names = [path.rpartition("/")[2] + (f": {why[path]}" if why else "") for path in found[:NAMED]]
    more = [f"and {len(found) - NAMED:,} more" if why else "..."] if len(found) > NAMED else []
    return f"{len(found):,} of {of:,} pictures {what}".rstrip() + f" ({('; ' if why else ', ').join(names + more)})"


def check_root(root: Path, deep: bool) -> list[DataFinding]:
    """Check every annotation file in ``root``/datasets with its pictures, for ``clipbench validate``."""
    read: dict[Path, Annotations] = {}
    findings = []
    for path in sorted((root / "datasets").glob("*.json")):
        try:
            read[path] = read_annotations(path)
            pictures = find_pictures(root, [read[path]])
        except NotReadyError as error:
            findings.append(DataFinding(path, "", (str(error),)))
            continue
        pictures.look(deep)
        findings.append(_finding(read[path], pictures, read))
    return findings


def _finding(annotations: Annotations, pictures: Pictures, read: dict[Path, Annotations]) -> DataFinding:
    path, count = annotations.path, len(annotations.entries)
    problems = []
    if pictures.absent:
        problems.append(f"{path}: {in_words(pictures.absent, len(pictures.wanted), 'are missing')}")
    if pictures.unusable:
        said = in_words(list(pictures.unusable), len(pictures.wanted), "cannot be used", pictures.unusable)
        problems.append(f"{path}: {said}")
    warnings = [f"{path.name}: {line}" for line in oddities(pictures)]
    if repeats := annotations.repeated():
        said = repeats_in_words(annotations, repeats)
        if "train" in path.stem:
            warnings.append(f"{path.name}: {said}")
        else:
            problems.append(f"{path}, {said}; give each picture one entry with all of its captions")
    train = read.get(path.with_name(path.name.replace("val", "train").replace("test", "train")))
    if train is not None and train is not annotations:
        warnings += overlap(train, annotations)
    captions = sum(len(entry.captions) for entry in annotations.entries)
    return DataFinding(path, f"{count:,} pictures, {captions:,} captions", tuple(problems), tuple(warnings))


def oddities(pictures: Pictures) -> list[str]:
    """One line for each kind of oddity among pictures that are used all the same."""
    said = {ANIMATED: "are animated, and their first frame is used", MISNAMED: "have another format than their name"}
    return [
        in_words(found, len(pictures.wanted), words) for kind, words in said.items() if (found := pictures.odd(kind))
    ]


def repeats_in_words(annotations: Annotations, repeats: Sequence[tuple[int, int]]) -> str:
    """What to say of pictures that are listed again, the first of them by name."""
    number, before = repeats[0]
    more = f"; {len(repeats):,} such entries in all" if len(repeats) > 1 else ""
    return f"entry {number}: image: '{annotations.entries[number - 1].image}' is listed before, in entry {before}{more}"


def overlap(train: Annotations, val: Annotations) -> list[str]:
    """A line that counts the pictures of ``val`` that are in ``train`` too, if any are."""
    trained = set(train.pictures())
    both = [path for path in val.pictures() if path in trained]
    if not both:
        return []
    said = in_words(both, len(val.entries), f"of {val.path.name} are in {train.path.name} too")
    return [f"{said}: recall then measures what was learnt by heart"]


def _refuse_outside(path: str, homes: set[str], annotations: Annotations, number: int) -> None:
    real = os.path.realpath(path)
    if not any(real == home or real.startswith(home.rstrip(os.sep) + os.sep) for home in homes):
        image = annotations.entries[number - 1].image
        raise NotReadyError(
            f"{annotations.path}, entry {number}: image: {image!r} leaves the data root through a link, to {real}; "
            "put the files themselves there, or make the data root the link"
        )


def _list(folder: str) -> dict[str, bool]:
    """The files of ``folder`` by name, and whether each is a link; one listing instead of thousands of stats."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_symlink() for entry in entries if _is_file(entry)}
    except OSError:
        return {}


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself, or into a folder that is closed
        return False


def _state(pictures: Pictures) -> str:
    """A hash of every wanted picture's path, size and time of change."""
    digest = hashlib.sha256()
    for path in pictures.wanted:
        try:
            found = os.stat(path)  # noqa: PTH116 -- a million Paths take a minute to make
            told = f"{found.st_size} {found.st_mtime_ns}"
        except OSError:
            told = "-"
        digest.update(f"{path}\0{told}\n".encode())
    return digest.hexdigest()


def _read_record(path: Path) -> dict[str, str] | None:
    try:
        data = read_json(path)
        if data["version"] == _RECORD_VERSION and all(isinstance(why, str) for why in data["unusable"].values()):
            return dict(data["unusable"])
    except (JsonError, KeyError, TypeError, AttributeError):
        pass
    return None


def _with_a_bar(paths: Sequence[str]) -> list[Look]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("decoding pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # On stderr, and on a terminal alone: what is printed stays for programs to read.
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=len(paths))
        return look_at(paths, deep=True, advance=lambda count: bar.update(task, advance=count))

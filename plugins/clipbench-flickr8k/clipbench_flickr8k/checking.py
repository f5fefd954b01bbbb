"""Checks of a data root: pictures must be there, inside the root, and readable."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from clipbench.api import DatasetRequest, NotReadyError
from clipbench_flickr8k.annotations import Annotations
from clipbench_flickr8k.packed import ids_in, is_packed
from clipbench_flickr8k.pictures import ANIMATED, MISNAMED, Look, look_at

NAMED = 3
_RECORD_VERSION = 1


@dataclass
class Pictures:
    """The pictures that annotation files list, each by its path, as text.

    ``listed`` has all, in order, ``absent`` those that are not there, ``looks`` the outcome of checking the others.
    ``outside`` names the first that a link leads out of the data root; it is empty where none does.
    """

    listed: list[str]
    absent: list[str]
    outside: str = ""
    looks: dict[str, Look] = field(default_factory=dict)

    @property
    def unusable(self) -> dict[str, str]:
        """Why a picture cannot be used, for each such picture that is there."""
        return {path: look.problem for path, look in self.looks.items() if look.problem}

    def odd(self, kind: str) -> list[str]:
        """Return the pictures that are of an odd ``kind`` and still used."""
        return [path for path, look in self.looks.items() if look.oddity == kind]

    def look(self, deep: bool) -> None:
        """Check every picture that is there: its header or, if ``deep``, all of it, with a bar on a terminal."""
        absent = set(self.absent)
        paths = [path for path in self.listed if path not in absent]
        self.looks = dict(zip(paths, _decode(paths) if deep else look_at(paths, deep=False), strict=True))


def find_pictures(root: Path, annotations: Iterable[Annotations]) -> Pictures:
    """Find every picture by one listing of each folder."""
    listed: dict[str, None] = {}
    absent: list[str] = []
    outside = ""
    folders: dict[str, dict[str, bool]] = {}
    for one in annotations:
        homes = {os.path.realpath(root), os.path.realpath(one.path.parent)}
        for number, path in enumerate(one.pictures(), start=1):
            if path in listed:
                continue
            listed[path] = None
            folder, _, name = path.rpartition("/")
            if folder not in folders:
                outside = outside or _outside(folder, homes, one, number)
                folders[folder] = _list(folder)
            is_link = folders[folder].get(name)
            # Checked again: some file systems list a name in another case or Unicode form than they open.
            if is_link is None and not (folders[folder] and os.path.isfile(path)):  # noqa: PTH113 -- no error on odd names
                absent.append(path)
            elif is_link is not False:
                outside = outside or _outside(path, homes, one, number)
    return Pictures(list(listed), absent, outside)


def allowed_pictures(request: DatasetRequest, annotations: Iterable[Annotations]) -> Pictures:
    """Find every picture; raise NotReadyError if a link leads one out of a root that the user has not named."""
    pictures = find_pictures(request.root, annotations)
    if pictures.outside and not request.trusted:
        raise NotReadyError(
            f"{pictures.outside}; put the files themselves there, or, where you trust what its links lead to, "
            f"name the data root: --set dataset.root={request.root}"
        )
    return pictures


def skipped_pictures(request: DatasetRequest, annotations: Annotations) -> dict[str, str]:
    """Return the pictures of one annotation file that cannot be used, and why; all pictures are decoded for it.

    The outcome is kept in ``request.cache`` under a hash of the names, sizes and times of all files. If the request is
    ``checked``, such a record is used as it is. Else headers are checked too, and a newly broken one makes the record
    invalid.
    """
    pictures = allowed_pictures(request, [annotations])
    absent = dict.fromkeys(pictures.absent, "no such file")
    record = request.cache / "pictures" / f"{_state(pictures)}.json"
    known = _read_record(record)
    if known is not None and not request.checked:
        pictures.look(deep=False)
        if not set(pictures.unusable) <= set(known):
            known = None
    if known is None:
        pictures.look(deep=True)
        known = pictures.unusable
        with suppress(OSError):  # then the next process decodes them again
            _write_record(record, known)
    return {**absent, **known}


def in_words(paths: Sequence[str], of: int, what: str = "", why: dict[str, str] | None = None) -> str:
    """Return ``3 of 8,000 pictures WHAT (a.jpg, b.jpg, c.jpg)``, with the reason of each where ``why`` is given."""
    names = [path.rpartition("/")[2] + (f": {why[path]}" if why else "") for path in paths[:NAMED]]
    more = [f"and {len(paths) - NAMED:,} more" if why else "..."] if len(paths) > NAMED else []
    return f"{len(paths):,} of {of:,} pictures {what}".rstrip() + f" ({('; ' if why else ', ').join(names + more)})"


def oddities(pictures: Pictures) -> list[str]:
    """Return one line for each kind of oddity among the pictures that are still used."""
    kinds = {ANIMATED: "are animated, and their first frame is used", MISNAMED: "have another format than their name"}
    return [
        in_words(paths, len(pictures.listed), words) for kind, words in kinds.items() if (paths := pictures.odd(kind))
    ]


def repeats_in_words(annotations: Annotations, repeats: Sequence[tuple[int, int]]) -> str:
    """Return a sentence on pictures that are listed twice, which names the first."""
    number, before = repeats[0]
    more = f"; {len(repeats):,} such entries in all" if len(repeats) > 1 else ""
    return f"entry {number}: image: '{annotations.entries[number - 1].image}' is listed before, in entry {before}{more}"


def overlap(train: Annotations, val: Annotations) -> list[str]:
    """Return a line that counts the pictures of ``val`` that are in ``train`` too, if any are."""
    trained = set(train.pictures())
    both = [path for path in val.pictures() if path in trained]
    if not both:
        return []
    shared = in_words(both, len(val.entries), f"of {val.title} are in {train.title} too")
    return [f"{shared}: their recall measures memorisation"]


def _outside(path: str, homes: set[str], annotations: Annotations, number: int) -> str:
    """Return a sentence where a link leads ``path`` out of its ``homes``, else nothing."""
    real = os.path.realpath(path)
    if any(real == home or real.startswith(home.rstrip(os.sep) + os.sep) for home in homes):
        return ""
    image = annotations.entries[number - 1].image
    return f"{annotations.path}, entry {number}: image: {image!r} leaves the data root through a link, to {real}"


def _list(folder: str) -> dict[str, bool]:
    """Return the files of ``folder`` by name, and whether each is a link: one listing instead of thousands of stats.

    Of a file that has pictures packed in it, their ids.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_symlink() for entry in entries if _is_file(entry)}
    except NotADirectoryError:
        return dict.fromkeys(ids_in(folder), False)
    except OSError:
        return {}


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link to itself, or into a folder without access
        return False


def _state(pictures: Pictures) -> str:
    """Return a hash of every listed picture's path, size and time of change."""
    digest = hashlib.sha256()
    for path in pictures.listed:
        try:
            # A million Paths take a minute to make.
            status = os.stat(path.rpartition("/")[0] if is_packed(path) else path)  # noqa: PTH116
            state = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            state = "-"
        digest.update(f"{path}\0{state}\n".encode())
    return digest.hexdigest()


def _read_record(path: Path) -> dict[str, str] | None:
    """Return the unusable pictures that a record names, or None for a file that is no such record."""
    try:
        data = json.loads(path.read_bytes())
        if data["version"] == _RECORD_VERSION and all(isinstance(why, str) for why in data["unusable"].values()):
            return dict(data["unusable"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        pass
    return None


def _write_record(path: Path, unusable: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")  # other processes read whole records only
    unfinished.write_text(json.dumps({"version": _RECORD_VERSION, "unusable": unusable}))
    unfinished.replace(path)


def _decode(paths: Sequence[str]) -> list[Look]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("decoding pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # On stderr, and on terminals only, so that programs can read what is printed.
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=len(paths))
        return look_at(paths, deep=True, advance=lambda count: bar.update(task, advance=count))

"""What the last evaluation of a run retrieved, for people to look at: one zip beside the result, named by its hash.

In it are ``retrieved.json`` (retrieved.schema.json) and small pictures, ``pictures/INDEX.jpg``. It can be written long
before a page is made of it, and elsewhere: nothing else is needed to show what the model saw.
"""

import hashlib
import io
import itertools
import json
import random
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from clipbench.api.plain import from_plain, to_plain
from clipbench.api.result import QueryRanks, Result, RetrievedFile
from clipbench.errors import InvalidFileError
from clipbench.files import schemas
from clipbench.files.hashing import sha256_of
from clipbench.files.json_file import JsonError, parse_json
from clipbench.files.whole import whole_file
from clipbench.results.result import retrieved_path

KIND = {"kind": "clipbench.retrieved", "schema_version": 1}
DATA = "retrieved.json"
# What a file may hold: several times what a run writes.
MOST_BYTES, MOST_DATA_BYTES, MOST_PICTURE_BYTES, MOST_SIDE = 32_000_000, 64_000_000, 64_000, 256
# Zip entries carry a time; with one for all, equal content makes an equal file.
TIME = (1980, 1, 1, 0, 0, 0)
_BROKEN = (zipfile.BadZipFile, zlib.error, KeyError, RuntimeError, NotImplementedError, OSError, EOFError, ValueError)


@dataclass(frozen=True)
class Queries:
    """Queries of one direction, item by item: ``query`` has their indices, ``top`` the best answers, best first.

    ``scores`` are the cosines of these. ``own`` is the best true answer; ``own_score`` and ``other_score`` are the
    cosines of it and of the best false one, -1 where all answers are true.
    """

    query: Sequence[int]
    top: Sequence[Sequence[int]]
    scores: Sequence[Sequence[float]]
    own: Sequence[int]
    own_score: Sequence[float]
    other_score: Sequence[float]


@dataclass(frozen=True)
class Histogram:
    """How many pairs have a cosine in each of equal bins over -1..1: of ``true`` pairs, and of all others."""

    true: Sequence[int]
    false: Sequence[int]


@dataclass(frozen=True)
class Retrieved:
    """What was retrieved after ``epoch`` from a split of so many ``images`` and ``texts``.

    ``text`` are queries image -> text, ``image`` those text -> image; all, or a choice where there are too many.
    ``captions`` by their index. ``matrix`` has mean cosines: a row for each run of consecutive images, a column for the
    captions of each. ``terms`` say what may be done with the pictures.
    """

    epoch: int
    dataset: str
    split: str
    terms: str
    images: int
    texts: int
    text: Queries
    image: Queries
    captions: Mapping[str, str]
    histogram: Histogram
    matrix: Sequence[Sequence[float]]


# --- which queries to look at --------------------------------------------------------------------------------------


def groups(queries: Queries, ranks: Sequence[int], pictures: Sequence[int], count: int) -> dict[str, list[int]]:
    """Return positions in ``queries`` of up to ``count`` that went ``best``, that went ``worst``, and at ``random``.

    By rank, then by how far the true answer is ahead of the best false one; one query for each picture. ``ranks`` and
    ``pictures`` (the one that a query belongs to) are of all queries of the split. What is random is the same in every
    result of one split.
    """
    margins = [own - other for own, other in zip(queries.own_score, queries.other_score, strict=True)]
    ordered = sorted(range(len(queries.query)), key=lambda at: (ranks[queries.query[at]], -margins[at]))
    drawn = list(range(len(ranks)))
    random.Random(0).shuffle(drawn)
    places = {query: at for at, query in enumerate(queries.query)}
    orders = {"best": ordered, "worst": ordered[::-1], "random": [places[query] for query in drawn if query in places]}
    return {name: list(_one_a_picture(order, queries, pictures, count)) for name, order in orders.items()}


def _one_a_picture(order: Iterable[int], queries: Queries, pictures: Sequence[int], count: int) -> Iterator[int]:
    seen = set[int]()
    for at in order:
        if len(seen) == count:
            return
        if (picture := pictures[queries.query[at]]) not in seen:
            seen.add(picture)
            yield at


# --- files ---------------------------------------------------------------------------------------------------------


def write_retrieved(path: Path, retrieved: Retrieved, pictures: Iterable[tuple[int, bytes]]) -> RetrievedFile:
    """Write the file, whole or not at all; ``pictures`` are index and JPEG. Equal content makes equal bytes."""
    text = json.dumps({**KIND, **to_plain(retrieved)}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as packed:
        packed.writestr(zipfile.ZipInfo(DATA, TIME), text.encode("utf-8", "replace"), zipfile.ZIP_DEFLATED)
        for index, jpeg in pictures:
            packed.writestr(zipfile.ZipInfo(_name(index), TIME), jpeg, zipfile.ZIP_STORED)
    return RetrievedFile(sha256_of(path), path.stat().st_size)


@dataclass(frozen=True)
class RetrievedReader:
    """A file of what was retrieved, checked: its data, and its pictures, one by one."""

    path: Path
    retrieved: Retrieved
    _packed: zipfile.ZipFile

    @classmethod
    def open(cls, path: Path, expected: RetrievedFile | None = None) -> "RetrievedReader":
        """Return a reader; raise InvalidFileError for a file that is damaged, or not the one that a result names."""
        try:
            if path.stat().st_size > MOST_BYTES:
                raise InvalidFileError(f"{path}: larger than {MOST_BYTES:,} bytes; expected what a run retrieved")
            content = path.read_bytes()
            if expected is not None and hashlib.sha256(content).hexdigest() != expected.sha256:
                raise InvalidFileError(
                    f"{path}: is not the file that its result names (sha256 differs); restore the file"
                )
            packed = zipfile.ZipFile(io.BytesIO(content))
            data = parse_json(_entry(packed, DATA, MOST_DATA_BYTES).decode())
        except (JsonError, *_BROKEN) as error:
            raise InvalidFileError(f"{path}: not a file of what a run retrieved ({error}); restore the file") from None
        return cls(path, _parsed(data, path), packed)

    def check_pictures(self) -> None:
        """Raise InvalidFileError where there is anything else than small pictures beside the data."""
        for name in self._packed.namelist():
            if name != DATA:
                self._small_picture(name)

    def picture(self, index: int) -> bytes | None:
        """Return the JPEG of a picture, None where there is none; raise InvalidFileError for anything else."""
        return self._small_picture(name) if (name := _name(index)) in self._packed.NameToInfo else None

    def _small_picture(self, name: str) -> bytes:
        try:
            content = _entry(self._packed, name, MOST_PICTURE_BYTES)
            with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
                if max(image.size) > MOST_SIDE:
                    raise ValueError(f"larger than {MOST_SIDE} pixels")
        except (Image.DecompressionBombError, *_BROKEN) as error:
            raise InvalidFileError(f"{self.path}: {name}: not a small picture ({error}); restore the file") from None
        return content


def check_retrieved(result: Result, path: Path) -> RetrievedReader | None:
    """Return a reader of what the result in the file ``path`` names; None where it names none, or it is not there.

    Raises InvalidFileError for another file, and for one that does not agree with the result.
    """
    if result.retrieved is None or not (beside := retrieved_path(path, result.run_id)).is_file():
        return None
    reader = RetrievedReader.open(beside, result.retrieved)
    found, ranks = reader.retrieved, result.query_ranks or QueryRanks(0, (), ())
    theirs = (ranks.epoch, len(ranks.text), len(ranks.image))
    if (found.epoch, found.images, found.texts) != theirs or len(ranks.image_of_text) != len(ranks.image):
        raise InvalidFileError(f"{beside}: is of another evaluation than its result; restore both")
    return reader


def _name(index: int) -> str:
    return f"pictures/{index}.jpg"


def _entry(packed: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return an entry of at most so many bytes, whatever the zip says of its size."""
    with packed.open(name) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"{name} is larger than {most:,} bytes")
    return content


def _parsed(data: Any, path: Path) -> Retrieved:  # noqa: ANN401
    refusals = [message for _, message in schemas.problems("retrieved", data)]
    if refusals:
        raise InvalidFileError(f"{path}: {DATA}: {refusals[0]}")
    retrieved = from_plain(Retrieved, data)
    for side, queries, count, answers in (
        ("text", retrieved.text, retrieved.images, retrieved.texts),
        ("image", retrieved.image, retrieved.texts, retrieved.images),
    ):
        is_even = len({len(column) for column in vars(queries).values()}) == 1
        is_even = is_even and list(map(len, queries.top)) == list(map(len, queries.scores))
        found = itertools.chain(queries.own, *queries.top)
        if not (is_even and _are_indices(queries.query, count) and _are_indices(found, answers)):
            raise InvalidFileError(f"{path}: {DATA}: {side} does not agree with itself; restore the file")
    if len(set(map(len, retrieved.matrix))) != 1:
        raise InvalidFileError(f"{path}: {DATA}: matrix: expected rows of one length; restore the file")
    return retrieved


def _are_indices(values: Iterable[int], count: int) -> bool:
    return all(type(value) is int and 0 <= value < count for value in values)

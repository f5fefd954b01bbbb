"""Rows of a table as CSV, JSON lines or Parquet; of any number of rows, a few are in memory at a time."""

import csv
import importlib.util
import itertools
import json
import pickle
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Literal, TypeVar, get_args

from clipbench.api.text import printable
from clipbench.errors import NotReadyError

TableForm = Literal["csv", "jsonl", "parquet"]
TABLE_FORMS: tuple[TableForm, ...] = get_args(TableForm)
Cell = str | int | float | bool | None
# A row is made of parts, and all rows of a table of as many: each column belongs to one of them.
Part = Mapping[str, Cell]
Row = Sequence[Part]
T = TypeVar("T")

_ROWS_AT_ONCE = 2_000
_SHARED_AT_ONCE = 2_000
_LINES_AT_ONCE = 100
# What spreadsheets take for a formula at the start of a text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FORMULA_IN_LINE = re.compile(f',"?[{re.escape("".join(_FORMULA))}]')


class Shared(dict[str, Cell]):
    """A part that many rows have in common: how it is written is worked out once, and it is not changed."""


class Table(Iterable[Row]):
    """Rows that can be gone through several times."""

    def distinct(self) -> Iterable[Row]:
        """Return rows, perhaps not all, that have all the columns that there are."""
        return self


def write_rows(rows: Iterable[Row], form: TableForm, out: IO[bytes]) -> int:
    """Write ``rows`` to ``out``, which is left open; return how many there were.

    Parts need not have the same columns in all rows: a table has all of them, the columns of each part together, in the
    order in which they first appear; of JSON lines, each has its own. Rows that are no Table are kept in a file while
    it is found out which columns they have. Raises NotReadyError where Parquet is asked for and pyarrow is not
    installed.
    """
    if form == "jsonl":
        return _write_jsonl(rows, out)
    if form == "parquet":
        check_package("pyarrow", "Parquet")
    write = _write_csv if form == "csv" else _write_parquet
    with _as_table(rows) as table:
        return write(table, _columns(table.distinct()), out)


def check_package(name: str, what: str) -> None:
    """Raise NotReadyError where a package of the extra ``export`` is not installed; ``what`` needs it."""
    if importlib.util.find_spec(name) is None:
        raise NotReadyError(
            f"{what} needs {name}, which this installation lacks; install with: pip install 'clipbench[export]'"
        )


@contextmanager
def _as_table(rows: Iterable[Row]) -> Iterator[Table]:
    if isinstance(rows, Table):
        yield rows
        return
    again = iter(rows)
    with tempfile.TemporaryFile() as file:
        count = 0
        while some := list(itertools.islice(again, _ROWS_AT_ONCE)):
            pickle.dump(some, file, pickle.HIGHEST_PROTOCOL)
            count += 1
        yield _Stored(file, count)


class _Stored(Table):
    """Rows in a file, some at a time."""

    def __init__(self, file: IO[bytes], count: int) -> None:
        self._file, self._count = file, count

    def __iter__(self) -> Iterator[Row]:
        self._file.seek(0)
        return itertools.chain.from_iterable(pickle.load(self._file) for _ in range(self._count))


def _once(make: Callable[[int, Part], T]) -> Callable[[int, Part], T]:
    """Return ``make``, of the place of a part in its row and the part, called once for one that rows share."""
    made: dict[int, tuple[Part, T]] = {}  # with the part, so that its id does not become another's

    def of(place: int, part: Part) -> T:
        if type(part) is not Shared:
            return make(place, part)
        if id(part) not in made:
            if len(made) >= _SHARED_AT_ONCE:
                made.clear()
            made[id(part)] = part, make(place, part)
        return made[id(part)][1]

    return of


def _columns(rows: Iterable[Row]) -> list[list[str]]:
    """Return the columns of each part of the rows."""
    found: list[dict[str, None]] = []

    def note(place: int, part: Part) -> None:
        while len(found) <= place:
            found.append({})
        if not part.keys() <= found[place].keys():
            found[place].update(dict.fromkeys(part))

    note_once = _once(note)
    for row in rows:
        for place, part in enumerate(row):
            note_once(place, part)
    return list(map(list, found))


# --- texts ----------------------------------------------------------------------------------------------------------


def _write_jsonl(rows: Iterable[Row], out: IO[bytes]) -> int:
    text = _once(lambda _, part: json.dumps(part, allow_nan=False)[1:-1])
    lines = (f"{{{', '.join(filter(None, map(text, itertools.count(), row)))}}}" for row in rows)
    return _write_lines(lines, "\n", out)


def _write_lines(lines: Iterator[str], end: str, out: IO[bytes]) -> int:
    count = 0
    while some := list(itertools.islice(lines, _LINES_AT_ONCE)):
        count += len(some)
        out.write("".join([line + end for line in some]).encode())
    return count


def _write_csv(rows: Iterable[Row], columns: Sequence[Sequence[str]], out: IO[bytes]) -> int:
    """Write CSV as RFC 4180 has it, with a header; what would be a formula gets an apostrophe in front."""
    buffer = _Buffer()
    writer = csv.writer(buffer)

    def line(cells: Iterable[Cell]) -> str:
        writer.writerow(cells)
        return buffer.text[: -len("\r\n")]

    def part_text(place: int, part: Part) -> str:
        text = line(map(part.get, columns[place]))
        if printable(text) is not text or _FORMULA_IN_LINE.search(f",{text}"):
            cells = map(part.get, columns[place])
            text = line([_cell(cell) if isinstance(cell, str) else cell for cell in cells])
        return "" if text == '""' else text  # a cell alone is quoted, so that its line is not empty

    text, places = _once(part_text), [place for place, names in enumerate(columns) if names]
    if places:
        out.write(f"{line(map(_cell, itertools.chain(*columns)))}\r\n".encode())
    lines = (",".join([text(place, row[place]) for place in places]) for row in rows)
    return _write_lines(lines, "\r\n", out)


class _Buffer:
    """The last line that csv has written."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def _cell(text: str) -> str:
    """Return a text as CSV has it; people look at that in terminals and spreadsheets, which must only show it."""
    return printable(f"'{text}" if text.startswith(_FORMULA) else text, lines=True)


# --- Parquet --------------------------------------------------------------------------------------------------------


def _write_parquet(rows: Iterable[Row], columns: Sequence[Sequence[str]], out: IO[bytes]) -> int:
    """Write Parquet; a column of several types is one of texts."""
    import pyarrow
    import pyarrow.parquet

    types = _types(rows, columns)
    chosen = {
        frozenset(): pyarrow.null(),
        frozenset({bool}): pyarrow.bool_(),
        frozenset({int}): pyarrow.int64(),
        frozenset({float}): pyarrow.float64(),
        frozenset({int, float}): pyarrow.float64(),
    }
    fields = [
        [(name, chosen.get(frozenset(kinds), pyarrow.string())) for name, kinds in part.items()] for part in types
    ]
    schema = pyarrow.schema(list(itertools.chain(*fields)))

    def stored(place: int, part: Part) -> list[Cell]:
        return [_text(part.get(name)) if kind == pyarrow.string() else part.get(name) for name, kind in fields[place]]

    stored_once, again, count = _once(stored), iter(rows), 0
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        while some := list(itertools.islice(again, _ROWS_AT_ONCE)):
            count += len(some)
            cells = [list(itertools.chain(*map(stored_once, itertools.count(), row))) for row in some]
            arrays = [
                pyarrow.array(column, kind) for column, kind in zip(zip(*cells, strict=True), schema.types, strict=True)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
    return count


def _types(rows: Iterable[Row], columns: Sequence[Sequence[str]]) -> list[dict[str, set[type]]]:
    """Return the types of the values of each column, by part; of a missing one none."""
    found: list[dict[str, set[type]]] = [{name: set() for name in names} for names in columns]

    def note(place: int, part: Part) -> None:
        for name, value in part.items():
            if value is not None:
                found[place][name].add(_type(value))

    note_once = _once(note)
    for row in rows:
        for place, part in enumerate(row):
            note_once(place, part)
    return found


def _type(value: object) -> type:
    """Return the type of a value; of a whole number that does not fit into eight bytes, that of a text."""
    return str if isinstance(value, int) and not -(2**63) <= value < 2**63 else type(value)


def _text(value: Cell) -> str | None:
    """Return a value of a column of texts."""
    if value is None:
        return None
    return (value if isinstance(value, str) else json.dumps(value)).encode("utf-8", "backslashreplace").decode()

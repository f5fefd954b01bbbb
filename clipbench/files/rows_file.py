"""Rows of a table as CSV, JSON lines or Parquet; of any number of rows, a few are in memory at a time."""

import csv
import functools
import importlib.util
import itertools
import json
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Literal, get_args

from clipbench.api.text import printable
from clipbench.errors import NotReadyError

TableForm = Literal["csv", "jsonl", "parquet"]
TABLE_FORMS: tuple[TableForm, ...] = get_args(TableForm)
Row = Mapping[str, str | int | float | bool | None]

_ROWS_AT_ONCE = 2_000
# What spreadsheets take for a formula at the start of a text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_rows(rows: Iterable[Row], form: TableForm, out: IO[bytes]) -> int:
    """Write ``rows`` to ``out``, which is left open; return how many there were.

    Rows need not have the same columns: a table has all of them, in the order in which they first appear; of JSON
    lines, each has its own. Raises NotReadyError where Parquet is asked for and pyarrow is not installed.
    """
    if form == "jsonl":
        return sum(1 for row in rows if out.write(_line(row)))
    if form == "parquet":
        check_package("pyarrow", "Parquet")
    with _kept(rows) as (kept, columns, count):
        write = _write_csv if form == "csv" else _write_parquet
        write(kept, columns, out)
    return count


def check_package(name: str, what: str) -> None:
    """Raise NotReadyError where a package of the extra ``export`` is not installed; ``what`` needs it."""
    if importlib.util.find_spec(name) is None:
        raise NotReadyError(
            f"{what} needs {name}, which this installation lacks; install with: pip install 'clipbench[export]'"
        )


@contextmanager
def _kept(rows: Iterable[Row]) -> Iterator[tuple[Callable[[], Iterator[dict[str, Any]]], list[str], int]]:
    """Keep ``rows`` in a file while it is found out which columns they have; give a way to them, columns and count."""
    columns: dict[str, None] = {}
    counts: list[int] = []
    rows = iter(rows)
    with tempfile.TemporaryFile() as file:

        def kept() -> Iterator[dict[str, Any]]:
            file.seek(0)
            return (row for _ in counts for row in pickle.load(file))

        while part := list(map(dict, itertools.islice(rows, _ROWS_AT_ONCE))):
            counts.append(len(part))
            for row in part:
                if not row.keys() <= columns.keys():
                    columns.update(dict.fromkeys(row))
            pickle.dump(part, file, pickle.HIGHEST_PROTOCOL)
        yield kept, list(columns), sum(counts)


def _type(value: object) -> type:
    """Return the type of a value; of a whole number that does not fit into eight bytes, that of a text."""
    return str if isinstance(value, int) and not -(2**63) <= value < 2**63 else type(value)


def _line(row: Row) -> bytes:
    return json.dumps(row, allow_nan=False).encode() + b"\n"


def _write_csv(rows: Callable[[], Iterator[dict[str, Any]]], columns: Sequence[str], out: IO[bytes]) -> None:
    """Write CSV as RFC 4180 has it, with a header; what would be a formula gets an apostrophe in front."""
    writer = csv.writer(_Encoded(out))
    if columns:
        writer.writerow(map(_cell, columns))
    for row in rows():
        values = map(row.get, columns)
        writer.writerow([_cell(value) if isinstance(value, str) else value for value in values])


@functools.lru_cache(10_000)  # most cells have the text of many others
def _cell(text: str) -> str:
    """Return a text as CSV has it; people look at that in terminals and spreadsheets, which must only show it."""
    return printable(f"'{text}" if text.startswith(_FORMULA) else text, lines=True)


class _Encoded:
    """A binary file that csv can write texts to."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out

    def write(self, text: str) -> int:
        return self._out.write(text.encode())


def _write_parquet(rows: Callable[[], Iterator[dict[str, Any]]], columns: Sequence[str], out: IO[bytes]) -> None:
    """Write Parquet; a column of several types is one of texts."""
    import pyarrow
    import pyarrow.parquet

    types = {
        frozenset(): pyarrow.null(),
        frozenset({bool}): pyarrow.bool_(),
        frozenset({int}): pyarrow.int64(),
        frozenset({float}): pyarrow.float64(),
        frozenset({int, float}): pyarrow.float64(),
    }
    found: dict[str, set[type]] = {name: set() for name in columns}
    for row in rows():
        for name, value in row.items():
            found[name].add(_type(value))
    chosen = {name: types.get(frozenset(kinds - {type(None)}), pyarrow.string()) for name, kinds in found.items()}
    schema = pyarrow.schema(list(chosen.items()))
    texts = [name for name, kind in chosen.items() if kind == pyarrow.string()]
    with pyarrow.parquet.ParquetWriter(out, schema) as writer:
        again = rows()
        while part := list(itertools.islice(again, _ROWS_AT_ONCE)):
            for row, name in itertools.product(part, texts):
                if (value := row.get(name)) is not None:
                    text = value if isinstance(value, str) else json.dumps(value)
                    row[name] = text.encode("utf-8", "backslashreplace").decode()
            writer.write_table(pyarrow.Table.from_pylist(part, schema))

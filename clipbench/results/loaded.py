"""Results for programs: a sequence of them, which becomes a pandas frame where pandas is there."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

from clipbench.api import InvalidFileError, Result
from clipbench.files.rows_file import check_package
from clipbench.results.collecting.collect import collect
from clipbench.results.rows import Row, RowKind, rows_of

if TYPE_CHECKING:
    import pandas

Paths = str | Path | Iterable[str | Path]


@dataclass(frozen=True)
class Results(Sequence[Result]):
    """Results in the order in which they were read or made; ``problems`` name each file that was refused, and why."""

    results: tuple[Result, ...]
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> "Results": ...
    def __getitem__(self, index: int | slice) -> "Result | Results":
        """Return one result, or those of a slice."""
        return Results(self.results[index], self.problems) if isinstance(index, slice) else self.results[index]

    def rows(self, kind: RowKind = "case") -> Iterator[Row]:
        """Yield a row, a dictionary by column, for each ``case``, ``epoch`` or ``query``."""
        return rows_of(self.results, kind)

    def to_frame(self, kind: RowKind = "case") -> "pandas.DataFrame":
        """Return the rows as a frame of pandas; raise NotReadyError where that is not installed."""
        check_package("pandas", "to_frame()")
        import pandas

        return pandas.DataFrame(self.rows(kind))


def as_paths(paths: Paths) -> list[Path]:
    """Return the paths that a program names: one, or several."""
    return [Path(paths)] if isinstance(paths, str | Path) else list(map(Path, paths))


def load_results(paths: Paths = "results", *, strict: bool = True) -> Results:
    """Return the results in files and, through all their folders, in every ``*.json``.

    Raises UsageError for a path that does not exist and, if ``strict``, InvalidFileError for files that are refused:
    damaged, edited, at odds with themselves. Else they are named in ``problems``, and the others are returned.
    """
    found = collect(as_paths(paths))
    if strict and found.problems:
        raise InvalidFileError("\n".join(found.problems))
    return Results(found.results, found.problems)

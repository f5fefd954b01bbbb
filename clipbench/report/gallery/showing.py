"""What the section shows: which queries of which results, with their answers, as plain typed data."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from clipbench.api.result import QueryRanks, Result
from clipbench.errors import InvalidFileError
from clipbench.report.gallery.thumbnails import Thumbnails
from clipbench.results.result import RETRIEVED_ENDING
from clipbench.results.retrieved import Queries, RetrievedReader, check_retrieved, groups

EACH = 6  # queries of a group
SIDES = {"image": "Text to image", "text": "Image to text"}
GROUPS = {"best": "Went best", "worst": "Went worst", "random": "At random"}


@dataclass(frozen=True)
class Item:
    """A caption or a picture: its ``words`` (of a picture, its first caption) and the key of its small picture."""

    words: str
    is_picture: bool
    picture: str = ""


@dataclass(frozen=True)
class Answer:
    """One answer to a query: its place from 1, its cosine, and whether it is true."""

    item: Item
    place: int
    score: float
    is_true: bool


@dataclass(frozen=True)
class Shown:
    """A query, its ``rank`` from 1 and its best answers; ``missed`` is the best true one where none of them is."""

    query: Item
    rank: int
    answers: tuple[Answer, ...]
    missed: Answer | None


@dataclass(frozen=True)
class Shelf:
    """Queries of one direction (``side``), in groups with their titles."""

    side: str
    groups: tuple[tuple[str, tuple[Shown, ...]], ...]


@dataclass(frozen=True)
class Changed:
    """Two results of one case, the older one first, and the queries of each side whose rank changed most."""

    before: str
    after: str
    sides: tuple[tuple[str, tuple[tuple[Shown, Shown], ...]], ...]


@dataclass(frozen=True)
class Pictured:
    """A result under its ``label``, with the reader of what it retrieved."""

    label: str
    result: Result
    reader: RetrievedReader
    thumbnails: Thumbnails

    @cached_property
    def ranks(self) -> QueryRanks:
        """Its query ranks, which a result has that names what it retrieved."""
        assert self.result.query_ranks is not None
        return self.result.query_ranks

    @cached_property
    def first_caption(self) -> dict[int, int]:
        """The index of the first caption of each picture."""
        return {picture: text for text, picture in reversed(list(enumerate(self.ranks.image_of_text)))}

    def queries(self, side: str) -> Queries:
        """Return the queries of one side."""
        return self.reader.retrieved.text if side == "text" else self.reader.retrieved.image

    def ranks_of(self, side: str) -> Sequence[int]:
        """Return the ranks of all queries of one side."""
        return self.ranks.text if side == "text" else self.ranks.image

    def pictures_of(self, side: str) -> Sequence[int]:
        """Return the picture that each query of one side belongs to."""
        return range(len(self.ranks.text)) if side == "text" else self.ranks.image_of_text

    def shelves(self) -> tuple[Shelf, ...]:
        """Return the queries of both sides that went best, worst and at random."""
        return tuple(self._shelf(side) for side in SIDES)

    def shown(self, side: str, at: int) -> Shown:
        """Return the query at a position of a side, with its answers."""
        queries = self.queries(side)
        query, own = queries.query[at], queries.own[at]
        picture = self.pictures_of(side)[query]
        owner = self.pictures_of("image" if side == "text" else "text")
        found = zip(queries.top[at], queries.scores[at], strict=True)
        answers = tuple(
            Answer(self.item(side == "image", index), place, score, owner[index] == picture)
            for place, (index, score) in enumerate(found, 1)
        )
        rank = self.ranks_of(side)[query] + 1
        missed = None
        if not any(answer.is_true for answer in answers):
            missed = Answer(self.item(side == "image", own), rank, queries.own_score[at], True)
        return Shown(self.item(side == "text", query), rank, answers, missed)

    def item(self, is_picture: bool, index: int) -> Item:
        """Return a picture or a caption by its index."""
        captions = self.reader.retrieved.captions
        if not is_picture:
            return Item(captions.get(str(index), f"caption {index}"), False)
        words = captions.get(str(self.first_caption.get(index)), f"picture {index}")
        return Item(words, True, self.thumbnails.add(self.reader.picture(index)))

    def _shelf(self, side: str) -> Shelf:
        chosen = groups(self.queries(side), self.ranks_of(side), self.pictures_of(side), EACH)
        return Shelf(
            side, tuple((GROUPS[name], tuple(self.shown(side, at) for at in found)) for name, found in chosen.items())
        )


def pictured(label: str, result: Result, files: Sequence[Path], thumbnails: Thumbnails) -> tuple[Pictured | None, str]:
    """Return a result with what it retrieved, or None with the reason, "" where it names nothing.

    ``files`` are those with this result; what it retrieved lies beside one of them. Raises InvalidFileError where the
    only such file is damaged, or another one.
    """
    if result.retrieved is None:
        return None, ""
    problem: InvalidFileError | None = None
    for file in files:
        try:
            if reader := check_retrieved(result, file):
                return Pictured(label, result, reader, thumbnails), ""
        except InvalidFileError as error:
            problem = error
    if problem:
        raise problem
    return None, f"{result.run_id}{RETRIEVED_ENDING} is not beside the result"


def changed(runs: Sequence[Pictured]) -> Iterator[Changed]:
    """Yield what changed between the newest two of the results of each case on the same pictures."""
    series: dict[object, list[Pictured]] = {}
    for run in runs:
        assert run.result.dataset is not None
        series.setdefault((run.result.case, run.result.dataset.val), []).append(run)
    for same in series.values():
        newest = sorted(same, key=lambda run: run.result.started)[-2:]
        if len(newest) == 2:
            before, after = newest
            yield Changed(
                before.label, after.label, tuple((side, tuple(_moved(before, after, side))) for side in SIDES)
            )


def _moved(before: Pictured, after: Pictured, side: str) -> Iterator[tuple[Shown, Shown]]:
    """Yield the queries that both results have and whose rank changed by the largest factor, one for each picture."""
    places = [{query: at for at, query in enumerate(run.queries(side).query)} for run in (before, after)]
    ranks = before.ranks_of(side), after.ranks_of(side)
    moves = {
        query: abs(math.log((1 + ranks[1][query]) / (1 + ranks[0][query]))) for query in places[0] if query in places[1]
    }
    seen = set[int]()
    for query in sorted(moves, key=lambda query: (-moves[query], query)):
        picture = before.pictures_of(side)[query]
        if moves[query] == 0 or len(seen) == EACH:
            return
        if picture not in seen:
            seen.add(picture)
            yield before.shown(side, places[0][query]), after.shown(side, places[1][query])

"""What an evaluation retrieved, kept for people to look at: the best answers to queries, and small pictures."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipbench.api import QueryRanks, Split
from clipbench.api.result import RetrievedFile
from clipbench.clip.transforms import to_rgb
from clipbench.errors import CaseFailedError
from clipbench.files.disk import writing
from clipbench.results.retrieved import Histogram, Queries, Retrieved, groups, write_retrieved

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

TOP, BINS, BLOCKS = 5, 400, 100
# Of larger splits less is kept: of so many queries a choice, of so many images those that the choice shows.
MOST_QUERIES, MOST_PICTURES = 50_000, 1_000
CHOSEN = 40  # of each group; three groups of two sides show at most 120 * (1 + 6) pictures
MOST_SCORES = 10**9
LONGEST_CAPTION, LONGEST_NAME, LONGEST_TERMS = 300, 200, 2_000  # characters
SIDE, QUALITY = 96, 60  # of a small picture: pixels, JPEG's scale


@dataclass(frozen=True)
class PictureKeeper:
    """Writes what an evaluation retrieved from ``split`` to ``path``, the pictures' ``terms`` of use with it.

    ``tell`` is called for each small picture with how many were made, of how many; it may raise to stop.
    """

    path: Path
    split: Split
    dataset: str
    terms: str
    tell: Callable[[Literal["thumbnails"], int, int], None]

    def keep(self, images: npt.NDArray[Any], texts: npt.NDArray[Any], ranks: QueryRanks) -> RetrievedFile:
        """Write the file, whole or not at all, from features (images, d) and (captions, d), and what they came to.

        Raises ClipbenchError where that cannot be done.
        """
        if len(images) * len(texts) > MOST_SCORES:
            raise CaseFailedError(f"{len(images):,} images and {len(texts):,} captions are too many for it")
        retrieved, shown = self._retrieved(_unit(images), _unit(texts), ranks)
        with writing("what was retrieved", self.path, 2_000 * len(shown)):
            return write_retrieved(self.path, retrieved, self._small_pictures(shown))

    def _retrieved(self, images: Floats, texts: Floats, ranks: QueryRanks) -> tuple[Retrieved, list[int]]:
        """Return what was retrieved, and the images to show it with."""
        owner, number = np.asarray(ranks.image_of_text, np.int64), np.arange(len(images))
        counts = np.zeros(2 * BINS, np.int64)
        text = _answered(images, number, texts, owner, counts)
        image = _answered(texts, owner, images, number)
        fingerprint = self.split.fingerprint
        chosen = _chosen(text, ranks.text, number), _chosen(image, ranks.image, owner)
        shown = number.tolist() if len(images) <= MOST_PICTURES else _pictures_of(*chosen, owner)
        captions = [caption for index in range(len(images)) for caption in self.split.captions(index)]
        if len(images) + len(texts) > MOST_QUERIES:
            text, image = chosen
        needed = {*image.query, *text.own, *(index for top in text.top for index in top)}
        kept = {str(index): captions[index][:LONGEST_CAPTION] for index in sorted(needed)}
        false, true = counts.reshape(BINS, 2).T.tolist()
        matrix = _block_means(images, texts, owner)
        names = self.dataset[:LONGEST_NAME], fingerprint.split[:LONGEST_NAME], self.terms[:LONGEST_TERMS]
        return Retrieved(
            ranks.epoch, *names, len(images), len(texts), text, image, kept, Histogram(true, false), matrix
        ), shown

    def _small_pictures(self, shown: list[int]) -> Iterator[tuple[int, bytes]]:
        for done, index in enumerate(shown):
            self.tell("thumbnails", done, len(shown))
            yield index, small_picture(self.split.image(index))


def small_picture(image: Image.Image) -> bytes:
    """Return ``image`` as a JPEG whose longer side has at most 96 pixels, without anything else that its file says."""
    image = to_rgb(image)
    scale = min(1.0, SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    small.info = {}  # comments, among others
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


def _unit(features: npt.NDArray[Any]) -> Floats:
    unit: Floats = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _answered(
    queries: Floats,
    picture_of_query: Ints,
    answers: Floats,
    picture_of_answer: Ints,
    counts: Ints | None = None,
    block: int = 256,
) -> Queries:
    """Return the best of ``answers`` (m, d) to all ``queries`` (n, d); an answer of a query's own picture is true.

    ``counts`` (2 * BINS,) gets the number of false and of true pairs of each bin of cosines, in turn.
    """
    columns: list[list[Any]] = [[] for _ in range(5)]
    best = min(TOP, len(answers))
    for start in range(0, len(queries), block):
        scores = np.clip(queries[start : start + block] @ answers.T, -1, 1)
        is_own = picture_of_query[start : start + block, None] == picture_of_answer[None, :]
        if counts is not None:
            bins = np.minimum(((scores + 1) * (BINS / 2)).astype(np.int64), BINS - 1)
            counts += np.bincount((2 * bins + is_own).ravel(), minlength=2 * BINS)
        top = np.argpartition(-scores, best - 1, axis=1)[:, :best]
        found = np.take_along_axis(scores, top, axis=1)
        # A tie counts against the model, here as in its rank.
        order = np.lexsort((top, np.take_along_axis(is_own, top, axis=1), -found), axis=1)
        top, found = (np.take_along_axis(part, order, axis=1) for part in (top, found))
        own = np.where(is_own, scores, -2).argmax(axis=1)
        own_score = scores[np.arange(len(scores)), own]
        other_score = np.where(is_own, -1, scores).max(axis=1)
        parts = (top, _rounded(found), own, _rounded(own_score), _rounded(other_score))
        for column, part in zip(columns, parts, strict=True):
            column += part.tolist()
    return Queries(list(range(len(queries))), *columns)


def _rounded(cosines: Floats) -> npt.NDArray[np.float64]:
    rounded: npt.NDArray[np.float64] = cosines.astype(np.float64).round(4)
    return rounded


def _chosen(queries: Queries, ranks: Any, pictures: Ints) -> Queries:  # noqa: ANN401
    """Return the queries of every group."""
    found = groups(queries, ranks, pictures.tolist(), CHOSEN)
    positions = sorted({at for group in found.values() for at in group})
    return Queries(*([column[at] for at in positions] for column in vars(queries).values()))


def _pictures_of(text: Queries, image: Queries, owner: Ints) -> list[int]:
    """Return the images that are queries, answers or the true answer."""
    answers = (index for top in image.top for index in top)
    return sorted({*text.query, *image.own, *answers, *(int(owner[index]) for index in image.query)})


def _block_means(images: Floats, texts: Floats, owner: Ints) -> list[list[float]]:
    """Return mean cosines of runs of consecutive images with the captions of each: at most BLOCKS of either.

    The mean of all products of two sets of vectors is the product of their means.
    """
    block_of_image = np.arange(len(images)) * min(BLOCKS, len(images)) // len(images)
    means = [
        np.stack([features[blocks == block].mean(axis=0) for block in range(block_of_image[-1] + 1)])
        for features, blocks in ((images, block_of_image), (texts, block_of_image[owner]))
    ]
    return (means[0].astype(np.float64) @ means[1].T).round(4).tolist()  # type: ignore[no-any-return]

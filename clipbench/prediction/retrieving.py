"""The captions that a model finds for pictures, and the pictures that it finds for texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from clipbench.api import Case, Split, UsageError, events
from clipbench.api.guarded import check_split
from clipbench.api.registry import Registry
from clipbench.errors import NotReadyError
from clipbench.prediction.choosing import Wanted, choose
from clipbench.prediction.encoder import Encoder, ModelUsed, Tell, open_encoder
from clipbench.prediction.pictures import Pictures, PictureSource, find_pictures
from clipbench.prediction.texts import Texts, gather_texts
from clipbench.runs.runner import list_missing
from clipbench.suites.fetch_command import fetch_command
from clipbench.suites.plan import make_plan
from clipbench.training.batches import read_captions
from clipbench.training.evaluating.retrieval import normalised

if TYPE_CHECKING:
    from PIL.Image import Image

SplitName = Literal["train", "val"]


@dataclass(frozen=True)
class Queries:
    """What to search by: texts and pictures, and by ``indices``, from 0, pictures of the split that is searched."""

    texts: Sequence[str] = ()
    files: Sequence[Path] = ()
    pictures: "Sequence[str | Path | Image]" = ()
    indices: Sequence[int] = ()


@dataclass(frozen=True)
class Searched:
    """What is searched: a ``split`` of the case's dataset, unless ``pictures`` or files of ``captions`` are named."""

    split: SplitName = "val"
    pictures: "Sequence[str | Path | Image]" = ()
    captions: Sequence[Path] = ()


@dataclass(frozen=True)
class Hit:
    """A caption or a picture that was found, with its cosine.

    ``index`` is the picture's in its split, or that of the picture to which the caption belongs; ``captions`` are a
    picture's own. ``is_own``: the caption belongs to the picture that was asked for; None where that is not known.
    """

    found: str
    cosine: float
    index: int | None = None
    captions: tuple[str, ...] = ()
    is_own: bool | None = None


@dataclass(frozen=True)
class Answer:
    """What was found for one query, a picture's path or a text, the best first."""

    query: str
    kind: Literal["picture", "text"]
    hits: tuple[Hit, ...]


@dataclass(frozen=True)
class Answers:
    """The answers: those to texts, to pictures, to pictures of the split; each in the order of its queries.

    ``problems`` name what could not be read and was left out. ``pictures`` and ``captions`` say how many were searched;
    of all texts, ``cut`` were cut to the model's context, and ``blank`` and ``repeated`` ones left out.
    """

    model: ModelUsed
    answers: tuple[Answer, ...]
    pictures: int
    captions: int
    problems: tuple[str, ...] = ()
    cut: int = 0
    blank: int = 0
    repeated: int = 0


@dataclass(frozen=True)
class _Corpus:
    """What is searched: pictures, with their names, and captions; those of picture i are ``offsets[i]:offsets[i + 1]``.

    ``offsets`` is None where it is not known which captions belong to which picture.
    """

    source: PictureSource
    name: Callable[[int], str]
    captions: Sequence[str]
    offsets: np.ndarray | None = None
    problems: tuple[str, ...] = ()

    def captions_of(self, picture: int) -> tuple[str, ...]:
        """Return the captions of a picture; none where they are not known."""
        return () if self.offsets is None else tuple(self.captions[slice(*self.offsets[picture : picture + 2])])

    def picture_of(self, caption: int) -> int | None:
        """Return the index of the picture that a caption belongs to, or None where that is not known."""
        return None if self.offsets is None else int(np.searchsorted(self.offsets, caption, side="right")) - 1


def retrieve(
    wanted: Wanted,
    registry: Registry,
    queries: Queries,
    searched: Searched = Searched(),
    top: int = 5,
    tell: Tell = lambda _event: None,
) -> Answers:
    """Return the ``top`` pictures for each text and the ``top`` captions for each picture.

    A picture that cannot be read is named in ``problems``, and the rest is done. Raises UsageError where there is no
    query, or nothing to search.
    """
    chosen = choose(wanted)
    nothing = Texts(())
    texts = gather_texts(queries.texts, queries.files) if queries.texts or queries.files else nothing
    pictures = find_pictures(queries.pictures) if queries.pictures else Pictures(())
    if not (texts.texts or len(pictures) or queries.indices):
        raise UsageError("nothing to search by; give --text, --texts, --image or --index")
    in_files = searched.pictures or searched.captions
    corpus = _files(searched) if in_files else _split(chosen.case, registry, searched.split, tell)
    _check(queries, corpus, bool(texts.texts), bool(len(pictures) or queries.indices))
    with open_encoder(chosen, registry, tell) as encoder:
        search = _Search(encoder, corpus, top)
        answers = [*search.by_texts(texts.texts), *search.by_pictures(pictures), *search.by_indices(queries.indices)]
        problems = (*pictures.problems, *corpus.problems, *search.problems)
        sizes = len(corpus.source), len(corpus.captions)
        return Answers(encoder.used, tuple(answers), *sizes, problems, search.cut, texts.blank, texts.repeated)


def _files(searched: Searched) -> _Corpus:
    """Return pictures and captions of files; which belongs to which is not known."""
    pictures = find_pictures(searched.pictures) if searched.pictures else Pictures(())
    captions = gather_texts((), searched.captions).texts if searched.captions else ()
    return _Corpus(pictures, pictures.name, captions, problems=pictures.problems)


def _split(case: Case, registry: Registry, name: SplitName, tell: Tell) -> _Corpus:
    """Return the pictures and captions of a split of the case's dataset; raise NotReadyError where it is not there."""
    if name == "train" and not case.train.epochs:
        raise UsageError("--split train: the suite trains nothing; search another file: --set dataset.val=FILE")
    # Training data need not be there to search the other split, nor the weights: the model is opened by itself.
    train = replace(case.train, epochs=case.train.epochs if name == "train" else 0)
    plan = make_plan(replace(case, train=train, numerics=None, model=replace(case.model, weights=None)), registry)
    if plan.missing:
        raise NotReadyError(list_missing(plan.missing, fetch_command([plan])))
    for warning in plan.warnings:
        tell(events.Notice(f"warning: {warning}"))
    tell(events.Progress("pictures", case.dataset.name))
    plan.dataset.prepare()
    split: Split = plan.dataset.train() if name == "train" else plan.dataset.val()
    check_split(split, f"dataset '{case.dataset.name}': split {name}")
    captions, offsets = read_captions(split, clean=False)
    return _Corpus(split, lambda index: f"picture {index} of {name}", captions, offsets)


def _check(queries: Queries, corpus: _Corpus, by_text: bool, by_picture: bool) -> None:
    """Raise UsageError where a query cannot be answered by what is searched."""
    if queries.indices and corpus.offsets is None:
        raise UsageError("--index: counts the pictures of a split, and files are searched; name a picture with --image")
    last = len(corpus.source) - 1
    for index in queries.indices:
        if not 0 <= index <= last:
            raise UsageError(f"--index {index}: the split has no such picture; expected 0 to {last}")
    if by_text and not len(corpus.source):
        raise UsageError("a text finds pictures, and none are searched; name them with --pictures")
    if by_picture and not corpus.captions:
        raise UsageError("a picture finds captions, and none are searched; name a file of them with --captions")


class _Search:
    """Encodes what is searched when it is first needed, and answers queries."""

    def __init__(self, encoder: Encoder, corpus: _Corpus, top: int) -> None:
        self.encoder, self.corpus, self.top = encoder, corpus, top
        self.problems: list[str] = []
        self.cut = 0

    def by_texts(self, texts: Sequence[str]) -> list[Answer]:
        """Return the pictures that texts find."""
        if not texts:
            return []
        kept, pictures = self._pictures(self.corpus.source, self.corpus.name)
        answers = []
        for text, query in zip(texts, self._texts(texts), strict=True):
            cosines = pictures @ query
            best = [(kept[place], float(cosines[place])) for place in np.argsort(-cosines, kind="stable")[: self.top]]
            hits = (self._picture_hit(index, cosine) for index, cosine in best)
            answers.append(Answer(text, "text", tuple(hits)))
        return answers

    def by_pictures(self, pictures: Pictures) -> list[Answer]:
        """Return the captions that pictures find."""
        if not len(pictures):
            return []
        kept, queries = self._pictures(pictures, pictures.name)
        return self._captions_for([(pictures.name(index), None) for index in kept], queries)

    def by_indices(self, indices: Sequence[int]) -> list[Answer]:
        """Return the captions that pictures of the split find, their own among them marked."""
        if not indices:
            return []
        chosen, name = _Selected(self.corpus.source, indices), self.corpus.name
        kept, queries = self._pictures(chosen, lambda place: name(indices[place]))
        return self._captions_for([(name(indices[place]), indices[place]) for place in kept], queries)

    def _captions_for(self, names: Sequence[tuple[str, int | None]], queries: np.ndarray) -> list[Answer]:
        captions = self._texts(self.corpus.captions)
        answers = []
        for (name, own), query in zip(names, queries, strict=True):
            cosines = captions @ query
            order = np.argsort(-cosines, kind="stable")[: self.top].tolist()
            hits = (self._caption_hit(index, float(cosines[index]), own) for index in order)
            answers.append(Answer(name, "picture", tuple(hits)))
        return answers

    def _picture_hit(self, index: int, cosine: float) -> Hit:
        in_split = None if self.corpus.offsets is None else index
        return Hit(self.corpus.name(index), cosine, in_split, self.corpus.captions_of(index))

    def _caption_hit(self, index: int, cosine: float, own: int | None) -> Hit:
        owner = self.corpus.picture_of(index)
        return Hit(self.corpus.captions[index], cosine, owner, is_own=None if own is None else owner == own)

    def _texts(self, texts: Sequence[str]) -> np.ndarray:
        features, cut = self.encoder.texts(texts)
        self.cut += cut
        return normalised(features, "text", np.float32)

    def _pictures(self, source: PictureSource, name: Callable[[int], str]) -> tuple[list[int], np.ndarray]:
        """Return the indices of the pictures that could be read, and their features, of unit length."""
        features, unreadable = self.encoder.pictures(source)
        self.problems += [f"{name(index)}: {why}" for index, why in unreadable.items()]
        kept = [index for index in range(len(source)) if index not in unreadable]
        return kept, normalised(features[kept], "image", np.float32)


@dataclass(frozen=True)
class _Selected:
    """Some pictures of a source."""

    source: PictureSource
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def image(self, index: int) -> "Image":
        return self.source.image(self.indices[index])

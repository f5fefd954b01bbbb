"""Probabilities of texts for pictures, as OpenAI defines them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clipbench.api.registry import Registry
from clipbench.prediction.choosing import Wanted, choose
from clipbench.prediction.encoder import ModelUsed, Tell, open_encoder
from clipbench.prediction.pictures import find_pictures
from clipbench.prediction.texts import gather_texts
from clipbench.training.evaluating.retrieval import Floats, normalised

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class TextScore:
    """A text with its probability among all the texts, 0..1, and its cosine with the picture."""

    text: str
    probability: float
    cosine: float


@dataclass(frozen=True)
class Prediction:
    """One picture, by its path, and the texts, the most probable first."""

    picture: str
    texts: tuple[TextScore, ...]

    @property
    def best(self) -> TextScore:
        """The most probable text."""
        return self.texts[0]


@dataclass(frozen=True)
class Predictions:
    """The predictions in the order of the pictures; iterating gives them.

    ``problems`` name what could not be read and was left out. Of the texts, ``cut`` were cut to the model's context,
    ``blank`` and ``repeated`` ones left out; so were ``others``, files in folders that are not called like pictures.
    """

    model: ModelUsed
    texts: tuple[str, ...]
    predictions: tuple[Prediction, ...]
    problems: tuple[str, ...] = ()
    cut: int = 0
    blank: int = 0
    repeated: int = 0
    others: int = 0

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)

    def __len__(self) -> int:
        return len(self.predictions)


def predict(
    wanted: Wanted,
    registry: Registry,
    places: "Iterable[str | Path | Image]",
    texts: Iterable[str],
    files: Iterable[Path] = (),
    top: int | None = None,
    tell: Tell = lambda _event: None,
) -> Predictions:
    """Return the probabilities of the texts, those in ``files`` too, for each picture: the ``top`` most probable.

    A picture that cannot be read is named in ``problems``, and the rest is done.
    """
    given, pictures = gather_texts(texts, files), find_pictures(places)
    with open_encoder(choose(wanted), registry, tell) as encoder:
        text_features, cut = encoder.texts(given.texts)
        image_features, unreadable = encoder.pictures(pictures)
        scale = encoder.learner.logit_scale()
        used = encoder.used
    kept = [index for index in range(len(pictures)) if index not in unreadable]
    images = normalised(image_features[kept], "image", np.float64)
    candidates = normalised(text_features, "text", np.float64)
    predictions = [
        Prediction(pictures.name(index), _best_first(given.texts, candidates @ image, scale, top))
        for index, image in zip(kept, images, strict=True)
    ]
    problems = (*pictures.problems, *(f"{pictures.name(index)}: {why}" for index, why in unreadable.items()))
    left_out = (given.blank, given.repeated, pictures.others)
    return Predictions(used, given.texts, tuple(predictions), problems, cut, *left_out)


def probabilities(cosines: Floats, logit_scale: float) -> Floats:
    """Return the softmax of exp(``logit_scale``) x cosine. Source: openai/CLIP."""
    logits = np.exp(logit_scale) * cosines
    shares = np.exp(logits - logits.max())
    normalised_shares: Floats = shares / shares.sum()
    return normalised_shares


def _best_first(texts: tuple[str, ...], cosines: Floats, logit_scale: float, top: int | None) -> tuple[TextScore, ...]:
    shares = probabilities(cosines, logit_scale)
    order = np.argsort(-cosines, kind="stable")[:top]
    return tuple(TextScore(texts[i], float(shares[i]), float(cosines[i])) for i in order)

"""Pairs on their way to the device: captions tokenised once, images transformed visit by visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clipbench.clip.captions import clean_caption
from clipbench.clip.config import Resize
from clipbench.clip.transforms import Augment, eval_transform, train_transform
from clipbench.training.sampling import Stream, draw_caption, rng

if TYPE_CHECKING:
    from clipbench.api import Split
    from clipbench.clip.tokenizer import Tokenizer

Key = tuple[int, int]  # (epoch, index): all that a training visit depends on, beside the seed


@dataclass(frozen=True)
class CaptionTokens:
    """All captions of a split as token ids: ``tokens`` int32 (captions, context), those of image i at
    ``offsets[i]:offsets[i + 1]``.
    """

    tokens: np.ndarray
    offsets: np.ndarray

    @property
    def image_of_text(self) -> np.ndarray:
        """Index of the image that each caption belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def count(self, index: int) -> int:
        return int(self.offsets[index + 1] - self.offsets[index])


def tokenise(split: Split, tokenizer: Tokenizer, clean: bool) -> CaptionTokens:
    """Tokenise every caption of ``split``, up front; ``clean`` deletes punctuation first, as the recipe does."""
    texts: list[str] = []
    offsets = [0]
    for index in range(len(split)):
        texts.extend(clean_caption(text) if clean else text for text in split.captions(index))
        offsets.append(len(texts))
    return CaptionTokens(tokenizer.encode(texts), np.asarray(offsets, dtype=np.int64))


@dataclass(frozen=True)
class TrainFetch:
    """A training visit: pixels uint8 (size, size, 3) and one caption's tokens, a pure function of seed and key."""

    split: Split
    captions: CaptionTokens
    seed: int
    size: int
    augment: Augment
    resize: Resize

    def __call__(self, key: Key) -> tuple[np.ndarray, ...]:
        epoch, index = key
        draws = rng(self.seed, Stream.AUGMENTATION, epoch, index)
        pixels = train_transform(self.split.image(index), self.size, draws, self.augment, self.resize)
        choice = draw_caption(self.seed, epoch, index, self.captions.count(index))
        return pixels, self.captions.tokens[self.captions.offsets[index] + choice]


@dataclass(frozen=True)
class EvalFetch:
    """A validation image: pixels uint8 (size, size, 3)."""

    split: Split
    size: int
    resize: Resize

    def __call__(self, index: int) -> tuple[np.ndarray, ...]:
        return (eval_transform(self.split.image(index), self.size, self.resize),)

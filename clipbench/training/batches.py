"""Batches for the device: captions tokenised once, images transformed by loader processes at every visit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clipbench.clip.captions import clean_caption
from clipbench.clip.transforms import Augment, eval_transform, train_transform
from clipbench.errors import NotReadyError, UsageError
from clipbench.results.environment import usable_cores
from clipbench.training.sampling import Stream, draw_caption, rng

if TYPE_CHECKING:  # loader processes import this module and need none of these
    from clipbench.api import ClipConfig, EpochRecord, Split, Tokenizer

MAX_WORKERS = 8
# bert-base-chinese does not know 0.01 % of the tokens of Flickr8k's Chinese captions; of its English ones, with capital
# letters, 6 %.
MOST_UNKNOWN = 0.2
# A device that waits for data longer than this share of the time is starving.
STARVING_SHARE = 0.05
STARVING_SECONDS = 10.0  # a shorter epoch says little about whether its loader keeps up

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
        """Return the index of the image that each caption belongs to, int64 (captions,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def count(self, index: int) -> int:
        """Return the number of captions of image ``index``."""
        return int(self.offsets[index + 1] - self.offsets[index])


def tokenise(split: Split, tokenizer: Tokenizer, clean: bool) -> CaptionTokens:
    """Return every caption of a training split as tokens; ``clean`` deletes punctuation first, as the recipe does.

    Raises UsageError where there is none.
    """
    texts, offsets = read_captions(split, clean)
    if not texts:
        raise UsageError("train.epochs: the dataset has no captions to learn from; only evaluate: train.epochs=0")
    return encode_captions(split, texts, offsets, tokenizer)


def encode_captions(split: Split, texts: list[str], offsets: np.ndarray, tokenizer: Tokenizer) -> CaptionTokens:
    """Return what ``read_captions`` gave of ``split`` as tokens.

    Raises NotReadyError where the vocabulary knows so few of them that it cannot be that of their language.
    """
    tokens = tokenizer.encode(texts)
    if (unknown := tokenizer.unknown_share()) > MOST_UNKNOWN:
        raise NotReadyError(
            f"model.vocabulary: it does not know {unknown:.0%} of the tokens in the captions of split "
            f"'{split.fingerprint.split}', the first of which is {texts[0][:60]!r}; expected one of their language, "
            "the one that the model's weights were trained with"
        )
    return CaptionTokens(tokens, offsets)


def read_captions(split: Split, clean: bool) -> tuple[list[str], np.ndarray]:
    """Return every caption of ``split`` as the model gets it, and where those of each image begin: int64 (images + 1,).

    ``clean`` deletes punctuation, as the recipe does.
    """
    texts: list[str] = []
    offsets = [0]
    for index in range(len(split)):
        texts.extend(clean_caption(text) if clean else text for text in split.captions(index))
        offsets.append(len(texts))
    return texts, np.asarray(offsets, dtype=np.int64)


@dataclass(frozen=True)
class TrainFetch:
    """A training visit: pixels uint8 (size, size, 3) and one caption's tokens, a pure function of seed and key."""

    split: Split
    captions: CaptionTokens
    seed: int
    augment: Augment
    config: ClipConfig

    def __call__(self, key: Key) -> tuple[np.ndarray, ...]:
        epoch, index = key
        draws = rng(self.seed, Stream.AUGMENTATION, epoch, index)
        image, size = self.split.image(index), self.config.image_size
        pixels = train_transform(image, size, draws, self.augment, self.config.eval_resize)
        choice = draw_caption(self.seed, epoch, index, self.captions.count(index))
        return pixels, self.captions.tokens[self.captions.offsets[index] + choice]


@dataclass(frozen=True)
class EvalFetch:
    """A validation image: pixels uint8 (size, size, 3)."""

    split: Split
    config: ClipConfig

    def __call__(self, index: int) -> tuple[np.ndarray, ...]:
        return (eval_transform(self.split.image(index), self.config.image_size, self.config.eval_resize),)


def worker_count(configured: int | None) -> int:
    """Return the loader processes of one rank: what the suite says, else one for each core, up to 8."""
    return min(MAX_WORKERS, usable_cores()) if configured is None else configured


def starvation_warning(record: EpochRecord, workers: int, cores: int) -> str | None:
    """Return a warning where the device waits for data more than 5 % of the time, with the fitting ``train.workers``.

    What ``workers`` processes deliver too slowly takes 1 / (1 - share) times as many, as long as there are ``cores``
    for them. An epoch of less than ten timed seconds gives no warning.
    """
    wait = record.data_wait
    if wait is None or wait <= STARVING_SHARE or sum(window.seconds for window in record.windows) < STARVING_SECONDS:
        return None
    busy = max(1 - wait, 1e-3)
    fitting = max(workers + 1, math.ceil(workers / busy)) if workers else max(1, math.ceil(wait / busy))
    waits = f"epoch {record.epoch}: the device waits for data {wait:.0%} of the time with train.workers={workers}"
    if fitting <= cores:
        return f"{waits}; {fitting} would be enough: --set train.workers={fitting}"
    return f"{waits}; about {fitting} would be enough, but the {cores} cores of this machine are the limit"

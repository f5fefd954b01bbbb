"""Batches to measure with: random pixels, captions as long as Flickr8k's are."""

from __future__ import annotations

import numpy as np

from clipbench.api import LearnerJob, LossConfig, ModelSpec, OptimizerConfig
from clipbench.clip import config as variants
from clipbench.clip.config import ClipConfig

MODELS = {
    "clip-vit-b16": variants.CLIP_VIT_B16,
    "clip-vit-b32": variants.CLIP_VIT_B32,
    "clip-vit-l14": variants.CLIP_VIT_L14,
    "clip-vit-l14-336": variants.CLIP_VIT_L14_336,
    "clip-tiny": variants.CLIP_TINY,
}
# Of the 30,000 training captions, cleaned and tokenised, both special tokens counted: mean 13.07, deviation 3.83.
SHORTEST, SHAPE, SPREAD = 4, 5.61, 1.617


def caption_lengths(count: int, seed: int = 0) -> np.ndarray:
    """Lengths in tokens, drawn from a gamma distribution with the mean and deviation of Flickr8k's."""
    drawn = SHORTEST + np.random.default_rng(seed).gamma(SHAPE, SPREAD, count)
    return np.minimum(drawn.round().astype(int), 39)


def make_tokens(config: ClipConfig, count: int, seed: int = 0) -> np.ndarray:
    """Token ids int32 (count, context): random words between the two special tokens."""
    rng = np.random.default_rng(seed)
    tokens = np.zeros((count, config.context_length), np.int32)
    for row, length in zip(tokens, caption_lengths(count, seed), strict=True):
        row[:length] = rng.integers(1, config.vocab_size - 2, length)
        row[0], row[length - 1] = config.vocab_size - 2, config.vocab_size - 1
    return tokens


def make_pixels(config: ClipConfig, count: int, seed: int = 0) -> np.ndarray:
    """Pixels uint8 (count, size, size, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, config.image_size, config.image_size, 3), np.uint8)


def make_job(name: str, device: object, precision: str, **changes: object) -> LearnerJob:
    """The published recipe's job for a model that ships, from random weights."""
    config = MODELS[name]
    values = {
        "model": ModelSpec(name, "torch", name, config, "clipbench_torch.model:Clip"),
        "config": config,
        "device": device,
        "precision": precision,
        "autocast_text": True,
        "weights": None,
        "optimizer": OptimizerConfig((0.9, 0.999), 1e-8, 0.01, True),
        "loss": LossConfig("sum", "local"),
        "seed": 0,
    }
    return LearnerJob(**(values | changes))

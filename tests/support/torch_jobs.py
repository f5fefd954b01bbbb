"""Jobs for the torch tests, as small as they can be, on devices that are ready as the core makes them."""

from dataclasses import replace

import numpy as np

from clipbench.api import CLIP_TINY, LearnerJob, LossConfig, ModelSpec, OptimizerConfig, World
from clipbench_torch.device import CpuDevice

ADAMW = OptimizerConfig(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01, decay_norms_and_biases=True)
SMALL = replace(
    CLIP_TINY, embed_dim=16, image_size=32, patch_size=16, vision_width=32, vision_layers=2, text_width=32,
    text_layers=2, vocab_size=64, context_length=16,
)  # fmt: skip


def make_job(config=SMALL, device=None, seed=0, world=None, **changes):
    """A job on ``device`` (the processor's by default), selected and tuned."""
    device, world = device or CpuDevice(), world or World()
    device.select(world.local_rank)
    spec = ModelSpec("test", "torch", "for tests", config, "clipbench_torch.model:Clip")
    job = LearnerJob(
        model=spec,
        config=config,
        device=device,
        precision="float32",
        autocast_text=True,
        weights=None,
        optimizer=ADAMW,
        loss=LossConfig(reduction="sum", negatives="local"),
        seed=seed,
        world=world,
        tuning=device.tune(),
    )
    return replace(job, **changes)


def make_batch(config=SMALL, n=4, seed=0):
    """Random uint8 pixels (n, size, size, 3) and captions of several lengths, ended by the highest id."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (n, config.image_size, config.image_size, 3), dtype=np.uint8)
    tokens = np.zeros((n, config.context_length), np.int32)
    for row in tokens:
        length = rng.integers(2, config.context_length - 4)
        row[:length] = rng.integers(1, config.vocab_size - 1, length)
        row[length] = config.vocab_size - 1
    return pixels, tokens

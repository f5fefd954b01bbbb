"""How much disk and memory a case needs, by formulas; those that are rough say so."""

import math
from collections.abc import Iterable
from dataclasses import astuple, dataclass

from clipbench.clip.config import ClipConfig
from clipbench.clip.initial_weights import parameter_shapes
from clipbench.suites.plan import Plan

FLOAT = 4  # bytes of a float32
CHECKPOINTS = 4  # the last two, the best, and the one that is being written
# Weights and AdamW's two moments are saved; in memory, gradients are beside them.
SAVED, IN_TRAINING = 3, 4
# Values that a block keeps for its backward pass for each token and channel, attention fused: 34 bytes of 16-bit values
# (Korthikanti et al. 2022, arXiv:2205.05198).
KEPT = 17


@dataclass(frozen=True)
class Requirements:
    """Bytes: ``checkpoints`` on the results' disk, ``images`` at most on the cache's (generated data, evaluation
    images), ``parameters`` on the device with gradients and moments, ``activations`` of a micro-batch (rough).
    """

    checkpoints: int
    images: int
    parameters: int
    activations: int

    @property
    def device(self) -> int:
        """Bytes on the device."""
        return self.parameters + self.activations

    @classmethod
    def largest(cls, several: "Iterable[Requirements]") -> "Requirements":
        """Return the largest of each kind: cases run one after the other."""
        return cls(*map(max, zip(*map(astuple, several), strict=True)))


def requirements_of(plan: Plan) -> "Requirements":
    """Return what one rank of ``plan``'s case needs; an evaluation alone keeps nothing for a backward pass."""
    train = plan.case.train
    parameters = FLOAT * parameter_count(plan.config)
    pairs = -(-train.batch_size // (plan.case.world_size * train.accumulate))
    images = (plan.train_images or 0) + (plan.val_images or 0)
    return Requirements(
        checkpoints=CHECKPOINTS * SAVED * parameters if train.epochs else 0,
        images=images * 3 * plan.config.image_size**2,
        parameters=(IN_TRAINING if train.epochs else 1) * parameters,
        activations=pairs * FLOAT * kept_values(plan.config, train.grad_checkpointing) if train.epochs else 0,
    )


def parameter_count(config: ClipConfig) -> int:
    """Return the number of parameters of a CLIP model in these sizes."""
    return sum(map(math.prod, parameter_shapes(config).values()))


def kept_values(config: ClipConfig, checkpointing: bool) -> int:
    """Return how many values both towers keep for one pair's backward pass (rough).

    With ``checkpointing`` they keep the input of every block, and all values of one.
    """
    image_tokens = (config.image_size // config.patch_size) ** 2 + 1
    image = (image_tokens * config.vision_width, config.vision_layers)
    text = (config.context_length * config.text_width, config.text_layers)
    return sum(stream * (layers + KEPT if checkpointing else layers * KEPT) for stream, layers in (image, text))

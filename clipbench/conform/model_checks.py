"""The promises of a model: sizes that fit together, and a learner that trains it."""

from __future__ import annotations

from clipbench.clip.config import ClipConfig
from clipbench.conform.checks import Checks, expect
from clipbench.conform.learner_checks import LEARNER
from clipbench.conform.spec_checks import LIGHT_IMPORT, SPEC
from clipbench.conform.subject import Subject

MODEL = Checks(SPEC, LIGHT_IMPORT)


@MODEL.add("config", "The sizes of the config are above zero, and heads and patches divide what they share.")
def _config(subject: Subject) -> str:
    config: ClipConfig = subject.spec.config
    sizes = {name: value for name, value in vars(config).items() if type(value) is int}
    small = [f"{name} is {value}" for name, value in sizes.items() if value < 1]
    expect(not small, ", ".join(small))
    for part, whole in (("patch_size", "image_size"), ("vision_heads", "vision_width"), ("text_heads", "text_width")):
        rest = sizes[whole] % sizes[part]
        expect(not rest, f"{part} {sizes[part]} does not divide {whole} {sizes[whole]}")
    expect(
        len(config.mean) == len(config.std) == 3 and min(config.std) > 0, "mean and std need three channels, std > 0"
    )
    return f"{config.image_size} pixels, {config.embed_dim} channels"


for _check in LEARNER.values():
    MODEL.add(_check.name, _check.promise)(_check.test)

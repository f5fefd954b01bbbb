"""AutoAugment's ImageNet policy: its random draws, and each operation on a picture."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import ImageEnhance, ImageOps
from PIL.Image import Image, Resampling, Transform

Name = Literal[
    "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "colour", "contrast", "sharpness", "brightness",
    "posterize", "solarize", "autocontrast", "equalize", "invert",
]  # fmt: skip

# One operation of a sub-policy: its probability, and its level of 0 to 9 in its range.
Step = tuple[float, Name, int]

FILL = (128, 128, 128)
LEVELS = 10

# Magnitude at the lowest and at the highest level.
RANGES: dict[Name, tuple[float, float]] = {
    "shear_x": (0.0, 0.3),
    "shear_y": (0.0, 0.3),
    "translate_x": (0.0, 150 / 331),
    "translate_y": (0.0, 150 / 331),
    "rotate": (0.0, 30.0),
    "colour": (0.0, 0.9),
    "contrast": (0.0, 0.9),
    "sharpness": (0.0, 0.9),
    "brightness": (0.0, 0.9),
    "posterize": (8.0, 4.0),
    "solarize": (256.0, 0.0),
}
SIGNED: frozenset[Name] = frozenset(RANGES) - {"posterize", "solarize"}


@dataclass(frozen=True)
class Operation:
    """One operation as drawn.

    ``magnitude`` is signed where either direction is possible: degrees (rotate), share of the size (translate), slope
    (shear), change of the enhancement factor from 1, bits kept (posterize), threshold (solarize), else 0.
    """

    name: Name
    magnitude: float


_DISTINCT: tuple[tuple[Step, Step], ...] = (
    ((0.4, "posterize", 8), (0.6, "rotate", 9)),
    ((0.6, "solarize", 5), (0.6, "autocontrast", 5)),
    ((0.8, "equalize", 8), (0.6, "equalize", 3)),
    ((0.6, "posterize", 7), (0.6, "posterize", 6)),
    ((0.4, "equalize", 7), (0.2, "solarize", 4)),
    ((0.4, "equalize", 4), (0.8, "rotate", 8)),
    ((0.6, "solarize", 3), (0.6, "equalize", 7)),
    ((0.8, "posterize", 5), (1.0, "equalize", 2)),
    ((0.2, "rotate", 3), (0.6, "solarize", 8)),
    ((0.6, "equalize", 8), (0.4, "posterize", 6)),
    ((0.8, "rotate", 8), (0.4, "colour", 0)),
    ((0.4, "rotate", 9), (0.6, "equalize", 2)),
    ((0.0, "equalize", 7), (0.8, "equalize", 8)),
    ((0.6, "invert", 4), (1.0, "equalize", 8)),
    ((0.6, "colour", 4), (1.0, "contrast", 8)),
    ((0.8, "rotate", 8), (1.0, "colour", 2)),
    ((0.8, "colour", 8), (0.8, "solarize", 7)),
    ((0.4, "sharpness", 7), (0.6, "invert", 8)),
    ((0.6, "shear_x", 5), (1.0, "equalize", 9)),
    ((0.4, "colour", 0), (0.6, "equalize", 3)),
)
# The published list has 25 entries, the last five of which come twice and so are twice as likely.
IMAGENET_POLICY = (*_DISTINCT, *(_DISTINCT[number] for number in (4, 1, 13, 14, 2)))


def magnitude_at(name: Name, level: int) -> float:
    """Return the unsigned magnitude of an operation at ``level``, one of ten evenly spaced in its range; 0 without one.

    Posterize keeps whole bits: 8 8 7 7 6 6 5 5 4 4. Source: AutoAugment (Cubuk et al. 2019), as the benchmark uses it.
    """
    if name not in RANGES:
        return 0.0
    low, high = RANGES[name]
    magnitude = low + (high - low) * level / (LEVELS - 1)
    return float(round(magnitude)) if name == "posterize" else magnitude


def draw_sub_policy(rng: np.random.Generator) -> int:
    """Return the number of one of the 25 sub-policies, each equally likely."""
    return int(rng.random() * len(IMAGENET_POLICY))


def draw_operations(rng: np.random.Generator, sub_policy: int) -> tuple[Operation, ...]:
    """Return the operations of a sub-policy that are applied, in order, each with its sign drawn."""
    operations = []
    for probability, name, level in IMAGENET_POLICY[sub_policy]:
        if rng.random() < probability:
            magnitude = magnitude_at(name, level)
            if name in SIGNED and rng.random() < 0.5:
                magnitude = -magnitude
            operations.append(Operation(name, magnitude))
    return tuple(operations)


def apply_operation(image: Image, operation: Operation) -> Image:
    """Return an RGB ``image`` after ``operation``; pixels from outside the image are mid-grey."""
    magnitude = operation.magnitude
    width, height = image.size
    match operation.name:
        case "shear_x":
            return _affine(image, (1, magnitude, 0, 0, 1, 0))
        case "shear_y":
            return _affine(image, (1, 0, 0, magnitude, 1, 0))
        case "translate_x":
            return _affine(image, (1, 0, magnitude * width, 0, 1, 0))
        case "translate_y":
            return _affine(image, (1, 0, 0, 0, 1, magnitude * height))
        case "rotate":
            return image.rotate(magnitude, Resampling.NEAREST, fillcolor=FILL)
        case "colour":
            return ImageEnhance.Color(image).enhance(1 + magnitude)
        case "contrast":
            return ImageEnhance.Contrast(image).enhance(1 + magnitude)
        case "sharpness":
            return ImageEnhance.Sharpness(image).enhance(1 + magnitude)
        case "brightness":
            return ImageEnhance.Brightness(image).enhance(1 + magnitude)
        case "posterize":
            return ImageOps.posterize(image, int(magnitude))
        case "solarize":
            # Pillow inverts pixels that are not below the threshold; for whole pixel values, rounding up is the same.
            return ImageOps.solarize(image, math.ceil(magnitude))
        case "autocontrast":
            return ImageOps.autocontrast(image)
        case "equalize":
            return ImageOps.equalize(image)
        case "invert":
            return ImageOps.invert(image)


def _affine(image: Image, coefficients: tuple[float, float, float, float, float, float]) -> Image:
    return image.transform(image.size, Transform.AFFINE, coefficients, Resampling.BICUBIC, fillcolor=FILL)

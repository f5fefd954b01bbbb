"""From pictures to the pixels that a model takes: uint8, normalised later on the device.

EXIF orientation is ignored, as in the published benchmark: a picture is used as its file stores it.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from clipbench.clip.autoaugment import Operation, apply_operation, draw_operations, draw_sub_policy
from clipbench.clip.config import Resize

Augment = Literal["published", "none"]
Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

CROP_AREA = (0.08, 1.0)
CROP_RATIO = (3 / 4, 4 / 3)
CROP_TRIES = 10
FLIP_PROBABILITY = 0.5

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Augmentation:
    """Changes to a picture in one training visit, in this order: crop to ``box``, resize, ``flip``, ``operations``.

    ``box`` is (left, top, right, bottom) in pixels of the original; ``sub_policy`` is where the operations come from.
    """

    box: Box
    flip: bool
    sub_policy: int
    operations: tuple[Operation, ...]


def to_rgb(image: Image.Image) -> Image.Image:
    """Return ``image`` in mode RGB, whatever its mode.

    Transparency is dropped, not blended. Grey of more than 8 bits (modes I;16 and I) is scaled from 0..65535, as the
    files that come in these modes have it; Pillow alone would clip it to white. Mode F is taken as 0..255 and clipped.
    """
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):
        levels = np.clip(np.asarray(image, dtype=np.float64) / 257, 0, 255)
        return Image.fromarray(levels.round().astype(np.uint8)).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        # Converted directly, the colours are the same, but Pillow warns about the palette's transparency.
        image = image.convert("RGBA")
    return image.convert("RGB")


def eval_transform(image: Image.Image, size: int, resize: Resize = "bilinear") -> Pixels:
    """Return the central square of ``image``, its shorter side resized to ``size``: uint8 (size, size, 3), RGB.

    The longer side is truncated to whole pixels, the crop's offsets rounded with halves to even. EXIF orientation is
    ignored. Source: torchvision.
    """
    image = to_rgb(image)
    width, height = image.size
    short = min(width, height)
    resized = (int(size * width / short), int(size * height / short))
    image = image.resize(resized, _FILTERS[resize])
    left, top = (round((side - size) / 2) for side in resized)
    return np.array(image.crop((left, top, left + size, top + size)))


def train_transform(
    image: Image.Image,
    size: int,
    rng: np.random.Generator,
    augment: Augment = "published",
    eval_resize: Resize = "bilinear",
) -> Pixels:
    """Return ``image`` for one training visit: uint8 (size, size, 3), RGB.

    ``published`` draws crop, flip and policy from ``rng``. ``none`` draws nothing and is the evaluation transform, for
    pictures whose captions a flip or a crop would make wrong.
    """
    if augment == "none":
        return eval_transform(image, size, eval_resize)
    return apply_augmentation(image, draw_augmentation(rng, *image.size), size)


def draw_augmentation(rng: np.random.Generator, width: int, height: int) -> Augmentation:
    """Return the augmentation of one visit to a picture of ``width`` x ``height`` pixels, drawn from ``rng``."""
    box = draw_crop(rng, width, height)
    flip = rng.random() < FLIP_PROBABILITY
    sub_policy = draw_sub_policy(rng)
    return Augmentation(box, flip, sub_policy, draw_operations(rng, sub_policy))


def draw_crop(rng: np.random.Generator, width: int, height: int) -> Box:
    """Return the box of a random crop, (left, top, right, bottom).

    Its share of the area is uniform in 0.08..1 and its aspect ratio log-uniform in 3/4..4/3. After ten draws that do
    not fit it is the largest central crop of a legal ratio. Source: torchvision's RandomResizedCrop.
    """
    low, high = (math.log(ratio) for ratio in CROP_RATIO)
    for _ in range(CROP_TRIES):
        area = width * height * (CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * rng.random())
        ratio = math.exp(low + (high - low) * rng.random())
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.random() * (width - w + 1)), int(rng.random() * (height - h + 1))
            return left, top, left + w, top + h
    w = min(width, round(height * CROP_RATIO[1]))
    h = min(height, round(width / CROP_RATIO[0]))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def apply_augmentation(image: Image.Image, augmentation: Augmentation, size: int) -> Pixels:
    """Return ``image`` augmented and resized: uint8 (size, size, 3), RGB."""
    # Cropped first: with resize(box=...), pixels outside the box would have an influence.
    image = to_rgb(image).crop(augmentation.box).resize((size, size), Image.Resampling.BILINEAR)
    if augmentation.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for operation in augmentation.operations:
        image = apply_operation(image, operation)
    return np.array(image)

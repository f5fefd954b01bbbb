"""The recipe's image transforms, written from its words alone and with nothing in mind but to be right.

What is drawn comes from clipbench, so that both transform the same visit; how it is applied is written here anew.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from clipbench.clip.config import ClipConfig
from clipbench.clip.transforms import Augmentation

GREY = (128, 128, 128)
ENHANCERS = {
    "colour": ImageEnhance.Color,
    "contrast": ImageEnhance.Contrast,
    "sharpness": ImageEnhance.Sharpness,
    "brightness": ImageEnhance.Brightness,
}


def rgb_copy(image: Image.Image) -> Image.Image:
    """A new RGB picture of the same pixels, by way of an array: whatever was opened, this can be worked on."""
    return Image.fromarray(np.array(image)).convert("RGB")


def train_pixels(image: Image.Image, drawn: Augmentation, size: int) -> np.ndarray:
    """Crop first, then bilinear to ``size``, flip, then the policy's operations: uint8 (size, size, 3)."""
    image = rgb_copy(image).crop(drawn.box).resize((size, size), Image.Resampling.BILINEAR)
    if drawn.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for operation in drawn.operations:
        image = operate(image, operation.name, operation.magnitude)
    return np.array(image)


def eval_pixels(image: Image.Image, size: int) -> np.ndarray:
    """Shorter side to ``size``, bilinear, the other truncated, then the centre: uint8 (size, size, 3)."""
    image = rgb_copy(image)
    width, height = image.size
    if width <= height:
        image = image.resize((size, int(size * height / width)), Image.Resampling.BILINEAR)
    else:
        image = image.resize((int(size * width / height), size), Image.Resampling.BILINEAR)
    top, left = round((image.size[1] - size) / 2), round((image.size[0] - size) / 2)
    return np.array(image)[top : top + size, left : left + size]


def operate(image: Image.Image, name: str, magnitude: float) -> Image.Image:
    """One operation of the policy."""
    if name in ENHANCERS:
        return ENHANCERS[name](image).enhance(1 + magnitude)
    if name == "rotate":
        # Transparent corners show the fill colour underneath.
        turned = image.convert("RGBA").rotate(magnitude)
        return Image.composite(turned, Image.new("RGBA", turned.size, (*GREY, 255)), turned).convert("RGB")
    if name == "shear_x":
        matrix = (1, magnitude, 0, 0, 1, 0)
        return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC, fillcolor=GREY)
    if name == "posterize":
        return ImageOps.posterize(image, int(magnitude))
    if name == "solarize":
        return ImageOps.solarize(image, magnitude)
    return {"autocontrast": ImageOps.autocontrast, "equalize": ImageOps.equalize, "invert": ImageOps.invert}[name](
        image
    )


def normalised(pixels: np.ndarray, config: ClipConfig) -> np.ndarray:
    """Float32 (3, size, size): divided by 255, less the mean, divided by the deviation, channels first."""
    scaled = pixels.astype(np.float32) / 255
    mean, std = np.array(config.mean, np.float32), np.array(config.std, np.float32)
    return np.ascontiguousarray(((scaled - mean) / std).transpose(2, 0, 1))

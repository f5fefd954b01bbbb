import itertools
import math
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from clipbench.clip.autoaugment import IMAGENET_POLICY, Operation, apply_operation, draw_operations, magnitude_at
from clipbench.training.sampling import Stream, rng

DRAWS = 20_000

# The published list once more, in its own notation, so that a slip in either shows.
PUBLISHED = """
0.4 posterize 8  0.6 rotate 9      | 0.6 solarize 5  0.6 autocontrast 5 | 0.8 equalize 8  0.6 equalize 3
0.6 posterize 7  0.6 posterize 6   | 0.4 equalize 7  0.2 solarize 4     | 0.4 equalize 4  0.8 rotate 8
0.6 solarize 3   0.6 equalize 7    | 0.8 posterize 5 1.0 equalize 2     | 0.2 rotate 3    0.6 solarize 8
0.6 equalize 8   0.4 posterize 6   | 0.8 rotate 8    0.4 colour 0       | 0.4 rotate 9    0.6 equalize 2
0.0 equalize 7   0.8 equalize 8    | 0.6 invert 4    1.0 equalize 8     | 0.6 colour 4    1.0 contrast 8
0.8 rotate 8     1.0 colour 2      | 0.8 colour 8    0.8 solarize 7     | 0.4 sharpness 7 0.6 invert 8
0.6 shear_x 5    1.0 equalize 9    | 0.4 colour 0    0.6 equalize 3     | 0.4 equalize 7  0.2 solarize 4
0.6 solarize 5   0.6 autocontrast 5| 0.6 invert 4    1.0 equalize 8     | 0.6 colour 4    1.0 contrast 8
0.8 equalize 8   0.6 equalize 3
"""
MAGNITUDES = {
    "shear_x": np.linspace(0, 0.3, 10),
    "rotate": np.linspace(0, 30, 10),
    "colour": np.linspace(0, 0.9, 10),
    "contrast": np.linspace(0, 0.9, 10),
    "sharpness": np.linspace(0, 0.9, 10),
    "posterize": [8, 8, 7, 7, 6, 6, 5, 5, 4, 4],
    "solarize": np.linspace(256, 0, 10),
    "autocontrast": [0] * 10,
    "equalize": [0] * 10,
    "invert": [0] * 10,
}
SIGNED = {"shear_x", "rotate", "colour", "contrast", "sharpness"}


def published_steps():
    for cell in PUBLISHED.replace("\n", "|").split("|"):
        words = cell.split()
        if words:
            yield [(float(words[k]), words[k + 1], int(words[k + 2])) for k in (0, 3)]


@pytest.fixture(scope="module")
def photograph():
    """A smooth picture with noise, so that every operation changes it."""
    ramp = np.linspace(20, 200, 48)
    pixels = np.stack([ramp[:, None] + 0 * ramp, 0 * ramp[:, None] + ramp, (ramp[:, None] + ramp) / 2], axis=-1)
    noise = np.random.default_rng(0).integers(0, 30, pixels.shape)
    return Image.fromarray((pixels + noise).astype(np.uint8))


def test_the_policy_is_the_published_one():
    ours = [list(pair) for pair in IMAGENET_POLICY]
    assert ours == list(published_steps())
    assert len(ours) == 25


@pytest.mark.parametrize("name", MAGNITUDES)
def test_magnitudes_are_ten_even_levels(name):
    assert [magnitude_at(name, level) for level in range(10)] == pytest.approx(list(MAGNITUDES[name]))


def test_magnitudes_of_operations_that_the_policy_leaves_out():
    assert magnitude_at("translate_x", 9) == magnitude_at("translate_y", 9) == pytest.approx(150 / 331)
    assert magnitude_at("shear_y", 9) == pytest.approx(0.3)
    assert magnitude_at("brightness", 9) == pytest.approx(0.9)


def outcomes(probability, name, level):
    """What one step may come to, with the chance of each."""
    size = round(float(MAGNITUDES[name][level]), 9)
    signs = (size, -size) if name in SIGNED else (size,)
    return [((), 1 - probability)] + [(((name, sign),), probability / len(signs)) for sign in signs]


@pytest.mark.parametrize("number", range(25))
def test_operations_come_with_their_probability_sign_and_magnitude(number):
    first, second = list(published_steps())[number]
    want = Counter()
    for (op1, chance1), (op2, chance2) in itertools.product(outcomes(*first), outcomes(*second)):
        want[op1 + op2] += chance1 * chance2
    got = Counter()
    for index in range(DRAWS):
        drawn = draw_operations(rng(1, Stream.AUGMENTATION, number, index), number)
        got[tuple((op.name, round(op.magnitude, 9)) for op in drawn)] += 1 / DRAWS
    for operations in want | got:
        chance = want[operations]
        assert got[operations] == pytest.approx(chance, abs=5 * math.sqrt(chance * (1 - chance) / DRAWS) + 1e-9)


@pytest.mark.parametrize("name", [*MAGNITUDES, "shear_y", "translate_x", "translate_y", "brightness"])
def test_every_operation_keeps_size_and_mode_and_does_something(photograph, name):
    magnitude = {"posterize": 4, "solarize": 100, "rotate": 30}.get(name, 0.3)
    done = apply_operation(photograph, Operation(name, magnitude))
    assert (done.size, done.mode) == (photograph.size, "RGB")
    assert (np.asarray(done) != np.asarray(photograph)).any()


@pytest.mark.parametrize("name", sorted(SIGNED | {"shear_y", "translate_x", "translate_y", "brightness"}))
def test_magnitude_zero_changes_nothing_and_signs_differ(photograph, name):
    def pixels(magnitude):
        return np.asarray(apply_operation(photograph, Operation(name, magnitude)))

    assert (pixels(0.0) == np.asarray(photograph)).all()
    size = 20.0 if name == "rotate" else 0.3
    assert (pixels(size) != pixels(-size)).any()


@pytest.mark.parametrize("name", ["colour", "contrast", "sharpness", "brightness"])
@pytest.mark.parametrize("magnitude", [0.4, -0.4])
def test_enhancement_is_by_one_plus_magnitude(photograph, name, magnitude):
    enhancer = {
        "colour": ImageEnhance.Color,
        "contrast": ImageEnhance.Contrast,
        "sharpness": ImageEnhance.Sharpness,
        "brightness": ImageEnhance.Brightness,
    }[name]
    want = enhancer(photograph).enhance(1 + magnitude)
    assert (np.asarray(apply_operation(photograph, Operation(name, magnitude))) == np.asarray(want)).all()


def test_rotation_is_nearest_and_fills_with_grey(photograph):
    # The benchmark's own way: turn with transparency, lay over grey.
    turned = photograph.convert("RGBA").rotate(20.0)
    want = Image.composite(turned, Image.new("RGBA", turned.size, (128,) * 4), turned).convert("RGB")
    got = np.asarray(apply_operation(photograph, Operation("rotate", 20.0)))
    assert (got == np.asarray(want)).all()
    assert (got[0, 0] == 128).all()


@pytest.mark.parametrize(
    ("name", "magnitude", "corner"),
    [
        ("shear_x", 0.3, (-1, -1)),
        ("shear_y", -0.3, (0, -1)),
        ("translate_x", 0.4, (0, -1)),
        ("translate_y", -0.4, (0, 0)),
    ],
)
def test_what_is_uncovered_is_grey(photograph, name, magnitude, corner):
    got = np.asarray(apply_operation(photograph, Operation(name, magnitude)))
    assert (got[corner] == 128).all()


def test_translation_is_a_share_of_the_size(photograph):
    pixels = np.asarray(photograph)
    for name, axis in (("translate_x", 1), ("translate_y", 0)):
        moved = np.asarray(apply_operation(photograph, Operation(name, 0.25)))
        assert (moved.take(range(36), axis) == pixels.take(range(12, 48), axis)).all()


def test_shear_is_bicubic(photograph):
    want = photograph.transform(
        photograph.size, Image.Transform.AFFINE, (1, -0.2, 0, 0, 1, 0), Image.Resampling.BICUBIC, fillcolor=(128,) * 3
    )
    assert (np.asarray(apply_operation(photograph, Operation("shear_x", -0.2))) == np.asarray(want)).all()


@pytest.mark.parametrize("level", range(10))
def test_posterize_keeps_bits_and_solarize_inverts_from_the_threshold_on(photograph, level):
    pixels = np.asarray(photograph)
    bits = MAGNITUDES["posterize"][level]
    posterized = apply_operation(photograph, Operation("posterize", magnitude_at("posterize", level)))
    assert (np.asarray(posterized) == pixels >> (8 - bits) << (8 - bits)).all()
    threshold = magnitude_at("solarize", level)
    solarized = apply_operation(photograph, Operation("solarize", threshold))
    assert (np.asarray(solarized) == np.where(pixels < threshold, pixels, 255 - pixels)).all()


@pytest.mark.parametrize("name", ["autocontrast", "equalize", "invert"])
def test_operations_without_a_magnitude(photograph, name):
    got = np.asarray(apply_operation(photograph, Operation(name, 0.0)))
    assert (got == np.asarray(getattr(ImageOps, name)(photograph))).all()

import hashlib
import math

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clipbench.clip.transforms import (
    Augmentation,
    apply_augmentation,
    draw_augmentation,
    draw_crop,
    eval_transform,
    to_rgb,
    train_transform,
)
from clipbench.training.sampling import Stream, rng

DRAWS = 20_000


def generator(index):
    return rng(11, Stream.AUGMENTATION, 0, index)


def noise(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def augmentations():
    return [draw_augmentation(generator(index), 500, 375) for index in range(DRAWS)]


def test_eval_equals_the_reference_byte_for_byte(expected, data_root):
    made_with = expected["pillow"]
    for name, figures in expected["eval_transform"].items():
        with Image.open(data_root / "datasets" / "flickr8k-images" / name) as image:
            pixels = eval_transform(image, 224)
        assert pixels.mean() == pytest.approx(figures["mean"], abs=0.01)
        if made_with == PIL.__version__:  # decoders and filters may round otherwise in another version
            assert hashlib.sha256(pixels.tobytes()).hexdigest() == figures["sha256_of_rgb_bytes_hwc"]


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (224, 224), (333, 500), (1, 7), (225, 224)])
def test_eval_is_a_square_of_uint8(size):
    pixels = eval_transform(noise(*size), 224)
    assert pixels.shape == (224, 224, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable


@pytest.mark.parametrize(("side", "offset"), [(9, 0), (10, 1), (11, 2), (12, 2), (13, 2), (14, 3)])
def test_eval_rounds_offsets_with_halves_to_even(side, offset):
    wide, tall = noise(side, 8), noise(8, side)
    assert (eval_transform(wide, 8) == np.asarray(wide)[:, offset : offset + 8]).all()
    assert (eval_transform(tall, 8) == np.asarray(tall)[offset : offset + 8]).all()


def test_eval_truncates_the_longer_side():
    image = noise(20, 39)  # 10 x 19.5
    resized = image.resize((10, 19), Image.Resampling.BILINEAR)
    assert (eval_transform(image, 10) == np.asarray(resized)[4:14]).all()


def test_eval_resizes_as_asked():
    image = noise(40, 40)
    bicubic = image.resize((16, 16), Image.Resampling.BICUBIC)
    assert (eval_transform(image, 16, "bicubic") == np.asarray(bicubic)).all()
    assert (eval_transform(image, 16) != np.asarray(bicubic)).any()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA", "RGBX", "F"])
def test_every_mode_comes_out_as_rgb(mode):
    grey = Image.linear_gradient("L")
    if mode in ("P", "PA"):
        image = grey.convert("P").convert(mode)
    elif mode == "LAB":
        image = Image.merge("LAB", [grey] * 3)
    else:
        image = grey.convert("RGB").convert(mode)
    rgb = to_rgb(image)
    assert rgb.mode == "RGB"
    assert rgb.size == grey.size
    if mode not in ("1", "LAB"):
        assert abs(np.asarray(rgb, dtype=int) - np.asarray(grey, dtype=int)[..., None]).max() <= 3


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_sixteen_bits_are_scaled_and_not_clipped(mode):
    levels = np.array([[0, 128, 257, 32896, 65279, 65535]])
    stored = levels.astype({"I;16": "<u2", "I;16B": ">u2", "I": "=i4"}[mode])
    image = Image.frombytes(mode, (6, 1), stored.tobytes())
    assert image.mode == mode
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 0, 1, 128, 254, 255]


def test_transparency_is_dropped_without_a_warning():
    image = noise(8, 8).convert("RGBA")
    image.putalpha(0)
    assert (np.asarray(to_rgb(image)) == np.asarray(noise(8, 8))).all()
    palette = noise(8, 8).quantize(64)
    opaque = np.asarray(palette.convert("RGB"))
    palette.info["transparency"] = bytes(range(64))
    assert (np.asarray(to_rgb(palette)) == opaque).all()


def test_exif_orientation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(24, 16).save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as image:
        assert image.getexif()[0x0112] == 6
        assert (eval_transform(image, 16) == eval_transform(noise(24, 16), 16)).all()


def test_crop_area_is_uniform_and_ratio_log_uniform():
    # So large that rounding to whole pixels does not show.
    boxes = np.array([draw_crop(generator(index), 10_000, 10_000) for index in range(DRAWS)])
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, ratio = width * height / 1e8, width / height
    assert area.min() >= 0.0799
    assert area.max() <= 1
    assert ratio.min() >= 0.7498
    assert ratio.max() <= 1.3337
    # Every ratio fits below an area of 3/4: there both are as drawn, and independent.
    fits = area < 0.75
    for values in ((area[fits] - 0.08) / 0.67, (np.log(ratio[fits]) - math.log(0.75)) / math.log(16 / 9)):
        tenths = np.histogram(values, bins=10, range=(0, 1))[0] / fits.sum()
        assert abs(tenths - 0.1).max() < 5 * math.sqrt(0.09 / fits.sum())
    assert abs(np.corrcoef(area[fits], np.log(ratio[fits]))[0, 1]) < 5 / math.sqrt(fits.sum())


def test_crop_places_are_uniform():
    boxes = np.array([draw_crop(generator(index), 1000, 1000) for index in range(DRAWS)])
    for low, high in ((0, 2), (1, 3)):
        room = 1000 - (boxes[:, high] - boxes[:, low])
        share = (boxes[room > 100, low] + 0.5) / (room[room > 100] + 1)
        tenths = np.histogram(share, bins=10, range=(0, 1))[0] / len(share)
        assert abs(tenths - 0.1).max() < 0.015


def test_crops_reach_every_place_of_a_small_picture():
    boxes = {draw_crop(generator(index), 4, 4) for index in range(2000)}
    squares = {(left, top) for left, top, right, bottom in boxes if right - left == bottom - top == 2}
    assert squares == {(left, top) for left in range(3) for top in range(3)}


@given(width=st.integers(1, 3000), height=st.integers(1, 3000), index=st.integers(0, 2**40))
@settings(max_examples=500)
def test_crops_lie_inside_the_picture(width, height, index):
    left, top, right, bottom = draw_crop(generator(index), width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


@pytest.mark.parametrize(
    ("size", "box"),
    [((10_000, 90), (4940, 0, 5060, 90)), ((90, 10_000), (0, 4940, 90, 5060)), ((1, 1), (0, 0, 1, 1))],
)
def test_after_ten_tries_the_crop_is_central(size, box):
    assert draw_crop(generator(0), *size) == box


def test_flips_are_one_half(augmentations):
    assert abs(np.mean([a.flip for a in augmentations]) - 0.5) < 5 * 0.5 / math.sqrt(DRAWS)


def test_sub_policies_are_equally_likely_and_independent_of_the_flip(augmentations):
    counts = np.zeros((2, 25))
    for augmentation in augmentations:
        counts[int(augmentation.flip), augmentation.sub_policy] += 1
    assert abs(counts / DRAWS - 0.02).max() < 5 * math.sqrt(0.02 / DRAWS)


def test_draws_are_a_function_of_the_generator_alone():
    assert draw_augmentation(generator(5), 500, 375) == draw_augmentation(generator(5), 500, 375)
    assert draw_augmentation(generator(5), 500, 375) != draw_augmentation(generator(6), 500, 375)


def test_apply_crops_then_resizes_then_flips():
    image = noise(50, 40)
    plain = Augmentation(box=(5, 3, 35, 33), flip=False, sub_policy=12, operations=())
    flipped = Augmentation(box=(5, 3, 35, 33), flip=True, sub_policy=12, operations=())
    expected_pixels = np.asarray(image.crop((5, 3, 35, 33)).resize((16, 16), Image.Resampling.BILINEAR))
    assert (apply_augmentation(image, plain, 16) == expected_pixels).all()
    assert (apply_augmentation(image, flipped, 16) == expected_pixels[:, ::-1]).all()


def test_train_draws_then_applies():
    image = noise(60, 45)
    for index in range(20):
        augmentation = draw_augmentation(generator(index), 60, 45)
        pixels = train_transform(image, 32, generator(index))
        assert pixels.shape == (32, 32, 3)
        assert (pixels == apply_augmentation(image, augmentation, 32)).all()


def test_train_without_augmentation_is_eval():
    image = noise(60, 45)
    for resize in ("bilinear", "bicubic"):
        pixels = train_transform(image, 32, generator(0), augment="none", eval_resize=resize)
        assert (pixels == eval_transform(image, 32, resize)).all()

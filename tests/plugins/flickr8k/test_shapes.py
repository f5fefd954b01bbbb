"""Dataset shapes: the same pictures every time, complete or not there, and captions that tell the truth."""

import hashlib
import json
import os
import pickle
import random
import re
import threading
import time
from pathlib import Path

import pytest

from clipbench.api import DatasetRequest
from clipbench.errors import NotReadyError, UsageError
from clipbench_flickr8k import scenes, shapes
from clipbench_flickr8k.drawing import RADIUS, centre, draw
from clipbench_flickr8k.flickr8k import PictureSplit
from clipbench_flickr8k.shapes import Shapes
from clipbench_flickr8k.wording import SYNONYMS, captions, relations

SMALL = {"train_images": 30, "val_images": 10, "image_size": 48}


def request(cache, options=SMALL, train="datasets/en_train.json"):
    return DatasetRequest(root=cache / "no", train=train, val="datasets/en_val.json", cache=cache, options=options)


def prepared(cache, options=SMALL):
    data = Shapes(request(cache, options))
    data.prepare()
    return data


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_sizes_and_needs_are_known_before_generating(tmp_path):
    data = Shapes(request(tmp_path))
    assert data.sizes() == (30, 10) and data.missing() == []
    assert list(tmp_path.iterdir()) == []


def test_generates_the_layout_of_flickr8k(tmp_path):
    data = prepared(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [data.folder.name]
    train, val = data.train(), data.val()
    assert isinstance(train, PictureSplit) and (len(train), len(val)) == (30, 10)
    assert (train.fingerprint.split, val.fingerprint.split) == ("en_train", "en_val")
    assert train.fingerprint.captions == 150
    picture = pickle.loads(pickle.dumps(val)).image(9)
    assert picture.format == "JPEG" and picture.size == (48, 48)


def test_equal_options_give_equal_bytes(tmp_path):
    one, other = prepared(tmp_path / "a"), prepared(tmp_path / "b", {**SMALL, "seed": 0})
    assert one.folder.name == other.folder.name
    assert digests(one.folder) == digests(other.folder)


def test_a_seed_changes_pictures_and_captions(tmp_path):
    one, other = prepared(tmp_path), prepared(tmp_path, {**SMALL, "seed": 1})
    assert one.folder != other.folder
    first, second = digests(one.folder), digests(other.folder)
    assert first.keys() == second.keys() and not set(first.values()) & set(second.values())


def test_more_training_pictures_leave_validation_as_it_is(tmp_path):
    one, other = prepared(tmp_path), prepared(tmp_path, {**SMALL, "train_images": 31})
    assert one.val().fingerprint == other.val().fingerprint
    assert one.train().fingerprint != other.train().fingerprint


def test_a_second_call_generates_nothing(tmp_path, monkeypatch):
    prepared(tmp_path)
    monkeypatch.setattr(shapes, "generate", lambda *_: pytest.fail("generated again"))
    prepared(tmp_path)


def test_a_broken_off_generation_leaves_nothing(tmp_path, monkeypatch):
    def break_off(path, name, numbers, options):
        if name == "train":
            raise KeyboardInterrupt

    monkeypatch.setattr(shapes, "_write_split", break_off)
    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_generation_is_not_taken_for_a_whole_one(tmp_path, monkeypatch):
    # As a kill leaves it: the unfinished folder stays, nobody cleans up.
    monkeypatch.setattr(shapes, "_rename", lambda *_: None)
    monkeypatch.setattr(shapes.shutil, "rmtree", lambda *_, **__: None)
    data = Shapes(request(tmp_path))
    shapes.generate(data.folder, data.options)
    (left,) = tmp_path.iterdir()
    assert left != data.folder and left.name.startswith(".")
    monkeypatch.undo()
    assert len(prepared(tmp_path).train()) == 30


def test_what_a_kill_has_left_is_swept_once_it_is_old(tmp_path):
    data = prepared(tmp_path)
    old, young = (tmp_path / f".{data.folder.name}-{digit * 16}" for digit in "01")
    other = tmp_path / ".shapes-of-mine"
    for folder in (old, young, other):
        (folder / "datasets" / "flickr8k-images").mkdir(parents=True)
    hours_ago = time.time() - 7200
    for folder in (old, other):
        for path in (folder, *folder.rglob("*")):
            os.utime(path, (hours_ago, hours_ago))
    prepared(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {data.folder.name, young.name, other.name}
    # Still being written to: a picture was made in it just now.
    os.utime(young, (hours_ago, hours_ago))
    prepared(tmp_path)
    assert young.is_dir()


def test_processes_may_race(tmp_path):
    together = threading.Barrier(3)
    failures = []

    def generate():
        data = Shapes(request(tmp_path))
        together.wait()
        try:
            shapes.generate(data.folder, data.options)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=generate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [path.name for path in tmp_path.iterdir()] == [Shapes(request(tmp_path)).folder.name]


def test_a_cache_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(NotReadyError, match=r"cannot be written.*CLIPBENCH_CACHE"):
        prepared(tmp_path / "cache")


def test_a_picture_deleted_from_the_cache_is_told(tmp_path):
    data = prepared(tmp_path)
    (data.folder / "datasets" / "flickr8k-images" / "val-000003.jpg").unlink()
    with pytest.raises(NotReadyError, match=r"1 of 40 pictures \(val-000003\.jpg\).*delete"):
        prepared(tmp_path)


def test_evaluation_alone_counts_no_training_pictures(tmp_path):
    data = Shapes(request(tmp_path, train=""))
    data.prepare()
    assert data.sizes() == (0, 10) and len(data.val()) == 10


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"train_image": 5}, r"dataset\.options\.train_image: .*did you mean 'train_images'"),
        ({"colours": 5}, r"dataset\.options\.colours: .*known: image_size, seed, train_images, val_images"),
        ({"val_images": 0}, r"dataset\.options\.val_images: 0; expected a whole number from 1"),
        ({"image_size": "64"}, r"dataset\.options\.image_size: '64'"),
        ({"image_size": 64.0}, r"dataset\.options\.image_size: 64\.0"),
        ({"image_size": 8}, r"from 16 to 1024"),
        ({"seed": True}, r"dataset\.options\.seed: True"),
        ({"seed": -1}, r"dataset\.options\.seed: -1"),
        ({"train_images": shapes.MOST_IMAGES}, r"train_images and val_images make"),
    ],
)
def test_wrong_options_are_named(tmp_path, options, told):
    with pytest.raises(UsageError, match=told):
        Shapes(request(tmp_path, options))


# --- what the pictures show ---------------------------------------------------------------------------------------


def test_every_number_is_another_scene():
    numbers = range(0, scenes.COMBINATIONS, 7)
    assert len({scenes.scene(number) for number in numbers}) == len(numbers)
    assert scenes.scene(0) != scenes.scene(scenes.COMBINATIONS - 1)
    for number in (0, 12_345, scenes.COMBINATIONS - 1):
        shown = scenes.scene(number)
        assert shown.first.colour != shown.second.colour and shown.first.place < shown.second.place


def test_no_scene_is_drawn_twice():
    # Training and validation share one draw, so this keeps them apart.
    numbers = scenes.draw_numbers(20_000, seed=3)
    assert len(set(numbers)) == 20_000
    assert scenes.draw_numbers(100, seed=3) == numbers[:100]


def test_the_first_scenes_of_a_seed_are_these():
    # Fixed, so that results of different machines and Python versions stay comparable.
    assert scenes.draw_numbers(3, seed=0) == [315178, 282904, 156977]


def test_pixels_have_the_colours_that_the_scene_names():
    for number in scenes.draw_numbers(200, seed=5):
        shown = scenes.scene(number)
        picture = draw(shown, 64, random.Random(number))
        again = random.Random(number)
        for thing in (shown.first, shown.second):
            x, y = centre(thing, again)
            # Rings are hollow: look at the middle of the band.
            x += 0.775 * RADIUS[thing.size] if thing.shape == "ring" else 0
            found = picture.getpixel((int(64 * x), int(64 * y)))
            assert max(abs(a - b) for a, b in zip(found, scenes.COLOURS[thing.colour], strict=True)) < 60
        assert picture.getpixel((0, 0)) == scenes.BACKGROUNDS[shown.background]


def test_objects_stay_in_their_cells():
    for number in scenes.draw_numbers(200, seed=6):
        shown = scenes.scene(number)
        picture = draw(shown, 64, random.Random(number))
        taken = {shown.first.place, shown.second.place}
        for place in set(range(len(scenes.PLACES))) - taken:
            left, top = 32 * (place % scenes.GRID), 32 * (place // scenes.GRID)
            cell = picture.crop((left, top, left + 32, top + 32))
            assert cell.getcolors() == [(32 * 32, scenes.BACKGROUNDS[shown.background])]


def test_captions_tell_the_truth():
    words = {word: name for name, synonyms in SYNONYMS.items() for word in synonyms}
    for number in scenes.draw_numbers(300, seed=7):
        shown = scenes.scene(number)
        things = {thing.colour: thing for thing in (shown.first, shown.second)}
        told = captions(shown, random.Random(number))
        assert len(set(told)) == 5
        for caption in told:
            said = re.findall(rf"an? (?:(\w+) )?({'|'.join(scenes.COLOURS)}) (\w+)", caption)
            assert sorted(colour for _, colour, _ in said) == sorted(things)
            for size, colour, shape in said:
                assert words.get(shape, shape) == things[colour].shape
                assert words.get(size, size) in ("", things[colour].size)
            backgrounds = set(caption.replace(",", "").split()) & set(scenes.BACKGROUNDS)
            assert backgrounds <= {shown.background}
            _check_places(caption, said, things)


def _check_places(caption, said, things):
    order = [things[colour] for _, colour, _ in said]
    relation = re.search(r"left of|right of|above|below", caption)
    if relation:
        # "..., one above it" speaks of the object named before.
        one, other = reversed(order) if f"{relation[0]} it" in caption else order
        assert relation[0] in relations(one, other)
    named = re.findall("|".join(scenes.PLACES), caption)
    expected = [scenes.PLACES[thing.place] for thing in order]
    if len(named) == 2:
        assert named == expected
    else:
        (place,) = named
        assert place == (expected[0] if f"{relation[0]} it" in caption else expected[1])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(0, 1, ("left of",)), (3, 1, ("below",)), (1, 2, ("right of", "above")), (2, 1, ("left of", "below"))],
)
def test_relations_follow_from_the_places(one, other, expected):
    first, second = (scenes.Thing("small", "red", "star", place) for place in (one, other))
    assert relations(first, second) == expected


def test_annotations_use_forward_slashes_and_utf8(tmp_path):
    data = prepared(tmp_path)
    entries = json.loads((data.folder / shapes.VAL).read_bytes())
    assert entries[0]["image"] == "flickr8k-images/val-000000.jpg"
    assert all((data.folder / "datasets" / Path(entry["image"])).is_file() for entry in entries)

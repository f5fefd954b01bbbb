"""Pictures of a data root: found, looked at, decoded; what is wrong, what is odd, what is left out."""

import json
import os
import pickle
import random
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from clipbench.api import DatasetRequest, open_picture
from clipbench.cli import main
from clipbench.clip.transforms import eval_transform
from clipbench.errors import NotReadyError, UsageError
from clipbench.runs.process import ProcessEnd
from clipbench_flickr8k import checking
from clipbench_flickr8k.flickr8k import Flickr8k
from clipbench_flickr8k.pictures import ANIMATED, MISNAMED, look_at


def noise(size=(24, 16), mode="RGB"):
    return Image.frombytes("RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3)).convert(mode)


def request(root, **more):
    names = {"train": "datasets/en_train.json", "val": "datasets/en_val.json"}
    return DatasetRequest(root=root, cache=root / "cache", **{**names, **more})


@pytest.fixture
def root(tmp_path):
    """Six training and three validation pictures."""
    for split, count in (("train", 6), ("val", 3)):
        annotate(tmp_path, split, *(f"{split}{number}.jpg" for number in range(count)))
        for number in range(count):
            noise().save(tmp_path / "datasets" / "pictures" / f"{split}{number}.jpg")
    return tmp_path


def annotate(root, split, *images):
    (root / "datasets" / "pictures").mkdir(parents=True, exist_ok=True)
    entries = [{"image": f"pictures/{image}", "caption": f"a {image}"} for image in images]
    (root / "datasets" / f"en_{split}.json").write_text(json.dumps(entries))


def picture(root, name):
    return root / "datasets" / "pictures" / name


def cut(root, name):
    """Cut the data of a picture short; its header stays whole."""
    noise((80, 60)).save(picture(root, name))
    path = picture(root, name)
    path.write_bytes(path.read_bytes()[:-500])


def validate(*words):
    done = CliRunner().invoke(main, ["validate", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


@pytest.mark.parametrize(
    ("form", "mode", "suffix"),
    [
        ("JPEG", "CMYK", "jpg"),
        ("JPEG", "L", "jpeg"),
        ("PNG", "I;16", "png"),
        ("PNG", "RGBA", "png"),
        ("PNG", "P", "png"),
        ("PNG", "1", "png"),
        ("TIFF", "F", "tif"),
        ("TIFF", "CMYK", "tiff"),
        ("TIFF", "LAB", "tiff"),
        ("GIF", "P", "gif"),
        ("WEBP", "RGBA", "webp"),
        ("BMP", "RGB", "bmp"),
        ("PPM", "L", "pgm"),
    ],
)
def test_odd_modes_are_used_like_any_other(tmp_path, form, mode, suffix):
    path = tmp_path / f"a.{suffix}"
    made = Image.new(mode, (24, 16)) if mode in ("I;16", "LAB") else noise(mode=mode)
    made.save(path, form)
    (look,) = look_at([str(path)], deep=True)
    assert look.problem is None and look.oddity is None
    assert eval_transform(open_picture(path), 8).shape == (8, 8, 3)


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animated_picture_the_first_frame_is_used_and_it_is_told(root, form):
    first, second = Image.new("RGB", (24, 16), "red"), Image.new("RGB", (24, 16), "blue")
    first.save(picture(root, "val1.jpg"), form, save_all=True, append_images=[second])
    red, _, blue = open_picture(picture(root, "val1.jpg")).convert("RGB").getpixel((5, 5))
    assert red > 200 and blue < 50
    assert [look.oddity for look in look_at([str(picture(root, "val1.jpg"))], deep=False)] == [ANIMATED]
    data = Flickr8k(request(root))
    assert data.missing() == []
    assert data.warnings() == ["1 of 9 pictures are animated, and their first frame is used (val1.jpg)"]


def test_a_wrong_extension_is_told_and_the_content_used(root):
    noise().save(picture(root, "val0.jpg"), "PNG")
    assert [look.oddity for look in look_at([str(picture(root, "val0.jpg"))], deep=False)] == [MISNAMED]
    done = validate(root)
    assert done.exit_code == 0
    assert "warning  en_val.json: 1 of 3 pictures have another format than their name (val0.jpg)" in done.stdout


def test_what_is_limited_is_not_decoded(tmp_path, monkeypatch):
    """Too many pixels are refused by the header, whatever the rest holds."""
    from clipbench.clip import pictures

    noise((100, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "MAX_PIXELS", 9_999)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    (look,) = look_at([str(tmp_path / "a.png")], deep=True)
    assert look.problem == "100 x 100 pixels; at most 9,999 in all are read"


def test_looks_come_in_order_however_many(tmp_path):
    noise().save(tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    names = [random.Random(2).choice(["good.jpg", "bad.jpg"]) for _ in range(500)]
    told = []
    looks = look_at([str(tmp_path / name) for name in names], deep=False, advance=told.append)
    assert [look.problem is None for look in looks] == [name == "good.jpg" for name in names]
    assert sum(told) == 500


def test_every_run_reads_headers_before_anything_else(root, monkeypatch):
    monkeypatch.setattr("clipbench.runs.runner._look_for", lambda checks: ProcessEnd())  # which takes seconds
    picture(root, "train4.jpg").write_bytes(b"")
    picture(root, "val2.jpg").write_text("<!doctype html>")
    (missing,) = Flickr8k(request(root)).missing()
    assert missing.what.startswith(
        "2 of 9 pictures that cannot be used (train4.jpg: an empty file; val2.jpg: a web page"
    )
    assert "on_bad_image=skip" in missing.source
    (root / "s.yaml").write_text(
        f"{{name: s, model: {{name: clip-tiny}}, dataset: {{name: flickr8k, root: {root}}}, train: {{batch_size: 2}}}}"
    )
    done = CliRunner().invoke(main, ["run", str(root / "s.yaml"), "--dry-run"])
    assert done.exit_code == 5 and "train4.jpg: an empty file" in done.output


def test_headers_are_not_read_again_by_a_process_of_the_same_run(root, monkeypatch):
    monkeypatch.setattr(checking, "look_at", lambda *_, **__: pytest.fail("looked again"))
    assert Flickr8k(request(root, checked=True)).missing() == []


def test_validate_takes_a_data_root_wherever_it_lies(root):
    (root / "cache.json").write_text("{}")  # somebody else's
    done = validate(root)
    assert done.exit_code == 0 and "en_val.json (annotations: 3 pictures, 3 captions; " in done.stdout
    around = root / "around"
    around.mkdir()
    (around / "s.yaml").write_text("{name: s, model: {name: clip-tiny}, dataset: {name: shapes}}")
    (around / "data").symlink_to(root)  # is not followed
    (around / "own").mkdir()
    (root / "datasets").rename(around / "own" / "datasets")
    verdicts = json.loads(validate(around, "--format", "json").stdout)
    assert {Path(verdict["path"]).name: verdict["kind"] for verdict in verdicts} == {
        "s.yaml": "suite",
        "en_train.json": "annotations",
        "en_val.json": "annotations",
    }


def test_validate_decodes_where_asked(root):
    cut(root, "train2.jpg")
    assert validate(root).exit_code == 0
    done = validate(root, "--deep")
    assert done.exit_code == 5
    assert "en_train.json: 1 of 6 pictures cannot be used (train2.jpg: image file is truncated" in done.stdout
    assert "ok " in done.stdout  # the validation split is judged by itself


def test_pictures_in_both_splits_are_counted(root):
    annotate(root, "val", "val0.jpg", "train1.jpg", "train3.jpg")
    told = "2 of 3 pictures of en_val.json are in en_train.json too (train1.jpg, train3.jpg)"
    (warning,) = Flickr8k(request(root)).warnings()
    assert warning.startswith(told)
    done = validate(root)
    assert done.exit_code == 0 and told in done.stdout


def test_a_picture_listed_again_is_a_warning_in_training_and_refused_in_validation(root):
    annotate(root, "train", "train0.jpg", "train1.jpg", "train0.jpg", "train1.jpg")
    data = Flickr8k(request(root))
    assert data.missing() == [] and data.sizes() == (4, 3)
    (warning,) = data.warnings()
    assert "entry 3: image: 'pictures/train0.jpg' is listed before, in entry 1; 2 such entries in all" in warning
    assert validate(root).exit_code == 0
    annotate(root, "val", "val0.jpg", "val0.jpg")
    with pytest.raises(NotReadyError, match=r"en_val\.json, entry 2: .* in entry 1"):
        Flickr8k(request(root)).missing()
    assert validate(root).exit_code == 5


# --- links --------------------------------------------------------------------------------------------------------


def test_a_root_that_is_a_link_and_links_inside_it_are_fine(root, tmp_path_factory):
    picture(root, "val0.jpg").rename(root / "kept.jpg")
    picture(root, "val0.jpg").symlink_to(root / "kept.jpg")
    link = tmp_path_factory.mktemp("links") / "data"
    link.symlink_to(root)
    assert Flickr8k(request(link)).missing() == []


@pytest.fixture(params=["a folder", "a file"])
def linked(root, tmp_path_factory, request):
    """A root whose pictures, or one of them, lie elsewhere, behind a link."""
    outside = tmp_path_factory.mktemp("outside") / "kept"
    link = picture(root, "val0.jpg") if request.param == "a file" else root / "datasets" / "pictures"
    link.rename(outside)
    link.symlink_to(outside)
    return root


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_what_leaves_the_root_through_a_link_is_refused_where_nobody_has_named_the_root(linked, on_bad_image):
    with pytest.raises(NotReadyError, match=r"entry 1: image: '.*' leaves the data root.*--set dataset\.root="):
        Flickr8k(request(linked, on_bad_image=on_bad_image)).missing()


@pytest.mark.parametrize("on_bad_image", ["error", "skip"])
def test_what_lies_behind_a_link_of_a_named_root_is_read(linked, on_bad_image):
    data = Flickr8k(request(linked, on_bad_image=on_bad_image, trusted=True))
    assert data.missing() == [] and data.sizes() == (6, 3)
    assert data.val().image(0).size == (24, 16)


def test_a_root_is_named_by_the_suite_or_the_environment(linked, monkeypatch):
    monkeypatch.setattr("clipbench.runs.runner._look_for", lambda checks: ProcessEnd())  # which takes seconds
    monkeypatch.delenv("CLIPBENCH_DATA", raising=False)
    suite = linked / "s.yaml"
    suite.write_text("{name: s, model: {name: clip-tiny}, dataset: {name: flickr8k}, train: {batch_size: 2}}")
    (linked / "data").symlink_to(linked)  # what is taken where no root is named
    monkeypatch.chdir(linked)

    def dry_run(*words):
        return CliRunner().invoke(main, ["run", str(suite), "--dry-run", *words])

    done = dry_run()
    assert done.exit_code == 5 and "leaves the data root" in done.output
    assert f"--set dataset.root={linked / 'data'}" in done.output
    assert dry_run("--set", f"dataset.root={linked}").exit_code == 0
    monkeypatch.setenv("CLIPBENCH_DATA", str(linked))
    assert dry_run().exit_code == 0


def test_validate_tells_of_a_link_that_leaves_the_root(linked):
    done = validate(linked)
    assert done.exit_code == 0 and "warning  " in done.stdout and "leaves the data root through a link" in done.stdout


@pytest.mark.parametrize("image", ["../outside.jpg", "/etc/outside.jpg"])
def test_a_named_root_is_no_leave_to_climb(root, image):
    annotate(root, "val", "val0.jpg")
    path = root / "datasets" / "en_val.json"
    path.write_text(path.read_text().replace("pictures/val0.jpg", image))
    with pytest.raises(NotReadyError, match=r"leads out of the folder with|is absolute"):
        Flickr8k(request(root, trusted=True)).missing()


def test_a_link_to_itself_costs_only_itself(root):
    picture(root, "val0.jpg").unlink()
    picture(root, "val0.jpg").symlink_to(picture(root, "val0.jpg"))
    (missing,) = Flickr8k(request(root)).missing()
    assert missing.what == "1 of 9 pictures (val0.jpg)"


@pytest.mark.parametrize("name", ["en_pipe.json", "en_folder.json"])
def test_an_annotation_file_that_is_no_file_is_refused(root, name):
    path = root / "datasets" / name
    os.mkfifo(path) if "pipe" in name else path.mkdir()
    done = validate(root)
    assert done.exit_code == 5 and f"{name}: no regular file" in done.stdout


# --- on_bad_image: skip -------------------------------------------------------------------------------------------


@pytest.fixture
def spoilt(root):
    """A root with a missing, an empty and a cut training picture, and a cut validation picture."""
    picture(root, "train0.jpg").unlink()
    picture(root, "train2.jpg").write_bytes(b"")
    cut(root, "train5.jpg")
    cut(root, "val1.jpg")
    return root


def test_skip_leaves_out_what_cannot_be_used_and_counts_it(spoilt):
    data = Flickr8k(request(spoilt, on_bad_image="skip"))
    assert data.missing() == [] and data.sizes() == (3, 2)
    train, val = data.train(), data.val()
    assert (train.skipped, val.skipped) == (3, 1)
    assert [train.captions(index)[0] for index in range(3)] == ["a train1.jpg", "a train3.jpg", "a train4.jpg"]
    assert [train.image(index).size for index in range(3)] == [(24, 16)] * 3
    assert (train.fingerprint.images, val.fingerprint.images) == (3, 2)
    (warning,) = data.warnings()
    assert warning.startswith("4 of 9 pictures cannot be used and are left out (train0.jpg: no such file; ")
    assert pickle.loads(pickle.dumps(train)).skipped == 3


def test_the_fingerprint_is_of_what_is_left(spoilt):
    whole = Flickr8k(request(spoilt)).train().fingerprint
    left = Flickr8k(request(spoilt, on_bad_image="skip")).train().fingerprint
    picture(spoilt, "train3.jpg").unlink()
    fewer = Flickr8k(request(spoilt, on_bad_image="skip")).train().fingerprint
    assert len({whole.annotation_sha256, left.annotation_sha256, fewer.annotation_sha256}) == 3


def test_skip_of_a_good_root_changes_nothing(root):
    plain, skipping = (Flickr8k(request(root, on_bad_image=way)) for way in ("error", "skip"))
    assert plain.train().fingerprint == skipping.train().fingerprint and skipping.train().skipped == 0


def test_pictures_are_decoded_once_for_all_processes_of_a_run(spoilt, monkeypatch):
    before = Flickr8k(request(spoilt, on_bad_image="skip"))
    assert before.missing() == []
    monkeypatch.setattr(checking, "look_at", lambda *_, **__: pytest.fail("looked again"))
    after = Flickr8k(request(spoilt, on_bad_image="skip", checked=True))
    assert after.missing() == [] and after.train().fingerprint == before.train().fingerprint


@pytest.mark.parametrize("content", ["", "[]", '{"version": 1}', '{"version": 1, "unusable": {"a": 1}}', "{", "null"])
def test_a_broken_record_is_made_again(spoilt, content):
    first = Flickr8k(request(spoilt, on_bad_image="skip")).train()
    records = list((spoilt / "cache" / "pictures").iterdir())
    assert records
    for record in records:
        record.write_text(content)
    assert Flickr8k(request(spoilt, on_bad_image="skip", checked=True)).train() == first


def test_a_picture_that_is_replaced_is_looked_at_anew(spoilt):
    assert Flickr8k(request(spoilt, on_bad_image="skip")).train().skipped == 3
    noise().save(picture(spoilt, "train0.jpg"))
    assert Flickr8k(request(spoilt, on_bad_image="skip")).train().skipped == 2


def test_skip_works_where_the_cache_cannot_be_written(spoilt):
    (spoilt / "cache").write_text("a file")
    assert Flickr8k(request(spoilt, on_bad_image="skip")).train().skipped == 3


def test_nothing_left_is_refused(spoilt):
    for number in range(3):
        picture(spoilt, f"val{number}.jpg").unlink(missing_ok=True)
    with pytest.raises(NotReadyError, match=r"en_val\.json: 3 of 3 .* so that none is left"):
        Flickr8k(request(spoilt, on_bad_image="skip")).missing()


def test_another_way_is_refused(root):
    with pytest.raises(UsageError, match=r"dataset\.on_bad_image: 'hide'"):
        Flickr8k(request(root, on_bad_image="hide"))

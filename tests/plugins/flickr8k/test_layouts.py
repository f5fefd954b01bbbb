"""Layouts: whatever form a collection has on disk, the same pairs are the same data and the same run."""

import json
import shutil

import pytest

from clipbench.api import DatasetRequest, Fingerprint
from clipbench.errors import NotReadyError
from clipbench.results.references import shipped_references, unmet_conditions
from clipbench_flickr8k.data_root import DataRoot
from clipbench_flickr8k.flickr8k import Flickr8k
from clipbench_flickr8k.official import flickr8k
from tests.support.layouts import LAYOUTS, STEMS, write_layout
from tests.support.make_vocabulary import train_vocabulary, write_vocabulary
from tests.support.numpy_runs import clipbench, flat_suite, results
from tests.support.official_splits import RECORDED, captions_of, names_of

RUN = ("published", "original", "kaggle", "karpathy", "laion")


@pytest.fixture(scope="module")
def release(data_root):
    """The captions of every image of the official splits, by split, in the published order."""
    captions = captions_of(data_root / "original")
    return {split: {name: captions[name] for name in names_of(data_root / "original", split)} for split in RECORDED}


@pytest.fixture(scope="module")
def photographs(data_root, release):
    """The folder of the test photographs, and the pairs of the official splits that are of them."""
    folder = data_root / "datasets" / "flickr8k-images"
    there = {path.name for path in folder.iterdir()}
    pairs = {split: {name: one[name] for name in one if name in there} for split, one in release.items()}
    return folder, {split: one for split, one in pairs.items() if one}


def read(root, name):
    return DataRoot(root, flickr8k()).read(name)


def published_pairs(annotations):
    return {entry.name: list(entry.captions) for entry in annotations.entries}


# --- one identity -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_official_splits_are_the_same_in_every_layout(tmp_path, release, layout):
    root = DataRoot(write_layout(tmp_path, layout, release), flickr8k())
    for split, stem in STEMS.items():
        for name in (f"datasets/{stem}.json", f"{stem}.json", stem, split):
            annotations = root.read(name)
            assert annotations.split == stem and annotations.notes == ()
            assert annotations.standing == f"the official {split} split"
            assert annotations.sha256 == flickr8k().splits[split].pairs_sha256
        assert list(published_pairs(annotations).items()) == list(release[split].items())


def test_published_files_keep_the_hash_of_their_bytes(data_root):
    known = {split.recorded: split.pairs_sha256 for split in flickr8k().splits.values()}
    for stem in ("en_train", "en_val"):
        annotations = read(data_root, f"captions/{stem}.json")
        assert (annotations.split, annotations.sha256) == (stem, known[stem])


@pytest.fixture(scope="module")
def runs(photographs, tmp_path_factory):
    """The results of two epochs on the photographs in each layout."""
    folder, pairs = photographs
    place = tmp_path_factory.mktemp("layouts")
    vocabulary = place / "words.txt.gz"
    write_vocabulary(vocabulary, train_vocabulary([text for one in pairs["train"].values() for text in one], 60))
    found = {}
    for layout in RUN:
        root = write_layout(place / layout / "data", layout, pairs, folder)
        shutil.copy(vocabulary, root)
        suite = flat_suite(root)
        suite["train"] |= {"epochs": 2, "batch_size": 32, "augment": "published"}
        (place / layout / "s.yaml").write_text(json.dumps(suite))
        done = clipbench("run", place / layout / "s.yaml", cwd=place / layout)
        assert done.returncode == 0, done.stderr
        (found[layout],) = results(place / layout)
    return found


@pytest.mark.slow
def test_a_reference_is_of_the_official_split_only(runs):
    conditions = shipped_references()["flickr8k-sdaa-amp"].conditions
    assert ("dataset.val.split", "part of en_val", "en_val") in unmet_conditions(conditions, runs["kaggle"])


@pytest.mark.slow
@pytest.mark.parametrize("layout", RUN[1:])
def test_the_same_pairs_are_the_same_run(runs, layout):
    one, other = runs["published"], runs[layout]
    assert one.dataset.train.images == 256 and one.dataset.val.split == "part of en_val"
    assert other.dataset == one.dataset
    assert other.query_ranks == one.query_ranks
    assert [record.train_loss for record in other.epochs] == [record.train_loss for record in one.epochs]


# --- splits are checked -------------------------------------------------------------------------------------------


def changed(pairs, drop=0, add=()):
    return dict(list(pairs.items())[drop:]) | dict(add)


@pytest.mark.parametrize("layout", ["published", "original", "karpathy", "laion"])
def test_a_mixed_list_under_an_official_name_is_refused_with_counts(tmp_path, release, layout):
    from_train = list(release["train"].items())[:3]
    foreign = [(f"{number}.jpg", ["a dog"]) for number in range(2)]
    test = list(release["test"].items())[:1]
    splits = {
        "train": changed(release["train"], drop=3),
        "dev": changed(release["dev"], drop=10, add=[*from_train, *foreign, *test]),
    }
    write_layout(tmp_path, layout, splits)
    with pytest.raises(NotReadyError) as caught:
        read(tmp_path, "en_val.json")
    for part in (
        "not Flickr8k's official dev split",
        "of its 1,000 images, 10 are missing",
        "of the 996 listed, 2 are in no official split, 1 are in test, 3 are in train",
        "restore the published file or, if the split is your own",
    ):
        assert part in str(caught.value)


def test_all_pairs_in_place_of_the_test_images_are_refused(tmp_path, release):
    everything = {name: captions for pairs in release.values() for name, captions in pairs.items()}
    write_layout(tmp_path, "laion", {"test": everything})
    with pytest.raises(NotReadyError, match="8,000 listed, 0 are in no official split, 1,000 are in dev, 6,000 are in"):
        read(tmp_path, "en_test.json")


def test_names_without_an_ending_are_the_same_images(tmp_path, release):
    write_layout(tmp_path, "original", release)
    path = tmp_path / "Flickr_8k.devImages.txt"
    path.write_text(path.read_text().replace(".jpg", ""))
    assert read(tmp_path, "dev").standing == "the official dev split"


def test_without_lists_the_original_release_has_its_splits(tmp_path, release):
    write_layout(tmp_path, "original", release)
    for path in tmp_path.glob("Flickr_8k.*Images.txt"):
        path.unlink()
    assert [read(tmp_path, stem).split for stem in STEMS.values()] == list(STEMS.values())


def test_the_original_file_is_read_as_it_is(data_root, tmp_path):
    shutil.copy(data_root / "original" / "Flickr8k.token.txt", tmp_path)
    root = DataRoot(tmp_path, flickr8k())
    assert [root.read(split).standing for split in RECORDED] == [f"the official {split} split" for split in RECORDED]
    # 8,092 names of images, and one that is none.
    assert len(root.layouts[0].captions) == 8092


def test_a_part_of_a_split_is_used_and_told(tmp_path, release):
    write_layout(tmp_path, "kaggle", {"dev": changed(release["dev"], drop=900)})
    annotations = read(tmp_path, "dev")
    assert annotations.split == "part of en_val"
    assert annotations.notes == (
        "captions.txt (dev): 100 of the 1,000 images of Flickr8k's official dev split; its figures are not those of "
        "the whole split",
    )


def test_official_images_with_other_captions_are_told(tmp_path, release):
    write_layout(tmp_path, "karpathy", {"dev": {name: ["something else"] for name in release["dev"]}})
    annotations = read(tmp_path, "dev")
    assert annotations.split == "en_val" and "captions are not the published ones" in annotations.notes[0]
    assert annotations.sha256 != flickr8k().splits["dev"].pairs_sha256


# --- own splits ---------------------------------------------------------------------------------------------------


def test_own_splits_have_own_names_in_every_layout(tmp_path, release):
    names = [*list(release["dev"])[:5], *list(release["train"])[:5]]
    expected = [(name, (release["dev"] | release["train"])[name]) for name in names]
    hashes = set()
    for layout in LAYOUTS:
        root = write_layout(tmp_path / layout, layout, release)
        (root / "mine.txt").write_text("\n".join(names))
        annotations = read(root, "mine.txt")
        assert annotations.split == "mine" and annotations.standing == "a split of its own"
        assert list(published_pairs(annotations).items()) == expected
        hashes.add(annotations.sha256)
    assert len(hashes) == 1


def test_a_list_of_names_finds_images_where_annotation_files_have_them(pictures, tmp_path):
    root = shutil.copytree(pictures, tmp_path / "data")
    (root / "datasets" / "flickr8k-images").rename(root / "datasets" / "elsewhere")
    for path in root.glob("datasets/*.json"):
        path.write_text(path.read_text().replace("flickr8k-images", "elsewhere"))
    (root / "mine.txt").write_text("val-1.jpg\ntrain-3\n")
    data = Flickr8k(DatasetRequest(root=root, train="", val="mine.txt", cache=tmp_path))
    assert data.missing() == [] and data.sizes() == (0, 2) and data.val().image(1).size == (48, 40)


def test_a_list_with_captions_can_be_a_split(tmp_path):
    (tmp_path / "mine.txt").write_text('image,caption\na.jpg,"one, two"\nb.jpg,three\na.jpg,four\n')
    assert published_pairs(read(tmp_path, "mine.txt")) == {"a.jpg": ["one, two", "four"], "b.jpg": ["three"]}


def test_own_splits_of_the_original_release_and_of_karpathy(tmp_path, release):
    few = dict(list(release["train"].items())[:4])
    write_layout(tmp_path / "a", "original", {"train": few, "few": few})
    write_layout(tmp_path / "b", "karpathy", {"few": few})
    one, other = read(tmp_path / "a", "few"), read(tmp_path / "b", "few")
    assert one.split == other.split == "few" and published_pairs(one) == published_pairs(other) == few


def test_other_photographs_in_the_published_layout_are_no_official_split(tmp_path, pictures):
    data = Flickr8k(DatasetRequest(root=pictures, train="", val="datasets/en_val.json", cache=tmp_path))
    assert data.val().fingerprint.split == "own en_val" and data.warnings() == []


def test_a_list_of_names_without_captions_says_so(tmp_path, release):
    (tmp_path / "mine.txt").write_text("a.jpg\n")
    with pytest.raises(NotReadyError, match=r"mine\.txt: a list of names, and .* has no captions for them"):
        read(tmp_path, "mine.txt")
    write_layout(tmp_path / "data", "kaggle", {"dev": release["dev"]})
    (tmp_path / "data" / "mine.txt").write_text("a.jpg\nb.jpg\n")
    with pytest.raises(NotReadyError, match=r"2 of 2 names have no caption in Kaggle's layout of .* a.jpg, b.jpg\)"):
        read(tmp_path / "data", "mine.txt")


# --- images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder",
    ["Flickr8k_Dataset", "Flickr8k_Dataset/Flicker8k_Dataset", "Images", "images", "datasets/flickr8k-images", "."],
)
def test_images_are_found_where_archives_leave_them(tmp_path, photographs, folder):
    pictures, pairs = photographs
    root = write_layout(tmp_path, "original", {"dev": pairs["dev"]}, pictures)
    (root / "Flicker8k_Dataset").rename(root / "kept")
    (root / folder).mkdir(parents=True, exist_ok=True)
    for path in (root / "kept").iterdir():
        path.rename(root / folder / path.name)
    data = Flickr8k(DatasetRequest(root=root, train="", val="en_val.json", cache=tmp_path / "cache"))
    assert data.missing() == [] and data.sizes() == (0, 96)
    assert data.val().fingerprint == Fingerprint("part of en_val", 96, 480, data.val().annotations.sha256)


def test_missing_images_are_looked_for_in_the_usual_folder(tmp_path, release):
    root = write_layout(tmp_path, "original", {"dev": release["dev"]})
    data = Flickr8k(DatasetRequest(root=root, train="", val="en_val.json", cache=tmp_path))
    (missing,) = data.missing()
    assert missing.what.startswith("1,000 of 1,000 pictures") and missing.looked_in == str(root / "Flicker8k_Dataset")


def test_an_empty_root_names_the_layouts(tmp_path):
    (missing,) = Flickr8k(DatasetRequest(root=tmp_path, train="", val="en_test.json", cache=tmp_path)).missing()
    for part in ("Flickr8k.token.txt", "captions.txt", "dataset_flickr8k.json", "karpathy.txt", "clipbench fetch"):
        assert part in missing.source


def test_a_missing_published_file_is_taken_from_another_layout(tmp_path, release):
    write_layout(tmp_path, "published", {"train": release["train"], "dev": release["dev"]})
    write_layout(tmp_path, "karpathy", release)
    assert read(tmp_path, "datasets/en_test.json").split == "en_test"
    assert read(tmp_path, "datasets/en_val.json").path.name == "en_val.json"

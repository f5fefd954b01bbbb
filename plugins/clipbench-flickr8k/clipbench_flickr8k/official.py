"""Official splits: what is known of them, and how a list of images compares with them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

# Forty bits: of a million foreign names, not one is likely to be taken for one of 8,000.
HASH_BYTES = 5
_ALIASES = {"train": "train", "val": "dev", "valid": "dev", "dev": "dev", "test": "test"}
_FLICKR8K_FOLDERS = (
    "Flicker8k_Dataset",
    "Flickr8k_Dataset",
    "Flickr8k_Dataset/Flicker8k_Dataset",
    "Flickr8k_Dataset/Flickr8k_Dataset",
    "Images",
    "images",
    "flickr8k-images",
    "datasets/flickr8k-images",
    ".",
)
# Of the captions written by people, flickr8kzhc.caption.txt, with the hash that results record of each split.
_CHINESE_PAIRS = {
    "train": "104953ac9058f8aed85044c0d004e6570b4b7e578d2bdd18f7a2b168e270e6ac",
    "dev": "2126f1e262e1715657f402fac438677dd4db04bd18e11eb2692454f9641d17fa",
    "test": "dcf8f7178aace9ad0d6bbd68d7bf2b6bc860662bb3bd7c8ebc68abb2dae781b8",
}


@dataclass(frozen=True)
class OfficialSplit:
    """One official split: its ``name`` (train, dev or test), and the name ``recorded`` in results.

    ``places`` gives the place of each image by the hash of its name; it is empty where only the number of ``images`` is
    known. ``pairs_sha256`` identifies the images with their published captions.
    """

    name: str
    recorded: str
    images: int
    places: Mapping[bytes, int] = field(default_factory=dict)
    pairs_sha256: str = ""

    def place(self, image: str) -> int | None:
        """Return the place of an image in the split, from 0, or None where it is not in it."""
        return self.places.get(name_hash(image))


@dataclass(frozen=True)
class Collection:
    """A published set of photographs: its ``name``, as in its files' names, its ``title`` and official splits.

    ``folders`` are where its images are looked for, relative to the data root. ``most_captions`` is how many captions
    of an image are used. ``source`` says where it comes from and how a data root may look, ``fetch`` what
    ``clipbench fetch`` calls it, and ``fetch_captions`` its captions where those are got alone. The names of its files
    in the published layout begin with ``prefix``.
    """

    name: str
    title: str
    splits: Mapping[str, OfficialSplit]
    folders: Sequence[str]
    source: str
    most_captions: int | None = None
    fetch: str = ""
    fetch_captions: str = ""
    prefix: str = "en_"

    def official(self, stem: str) -> OfficialSplit | None:
        """Return the official split that a name means: train, val, dev, test, or one of these after a prefix."""
        plain = stem.removeprefix(self.prefix).removeprefix(f"{self.name}_")
        return self.splits.get(_ALIASES.get(plain, ""))

    def split_of(self, image: str) -> OfficialSplit | None:
        """Return the official split that an image belongs to, or None."""
        hashed = name_hash(image)
        return next((split for split in self.splits.values() if hashed in split.places), None)


@dataclass(frozen=True)
class Comparison:
    """A list of images compared with the official split of its name.

    Of the split, ``missing`` images are not listed. Of those listed, ``foreign`` are in no official split, and
    ``shared`` counts those in other official splits, by the split's name.
    """

    split: OfficialSplit
    listed: int
    missing: int
    foreign: int
    shared: Mapping[str, int]

    @property
    def is_official(self) -> bool:
        return not (self.missing or self.foreign or self.shared)

    @property
    def is_part(self) -> bool:
        """Whether all images listed are of the split, by their names."""
        return bool(self.split.places) and not (self.foreign or self.shared)

    @property
    def is_own(self) -> bool:
        """Whether no image listed is of an official split: these are other photographs altogether."""
        return bool(self.split.places) and self.foreign == self.listed

    def in_words(self) -> str:
        """Return the counts as a sentence."""
        if not self.split.places:
            return f"{self.listed:,} images are listed; the split has {self.split.images:,}"
        others = "".join(f", {count:,} are in {name}" for name, count in self.shared.items())
        return (
            f"of its {self.split.images:,} images, {self.missing:,} are missing; of the {self.listed:,} listed, "
            f"{self.foreign:,} are in no official split{others}"
        )


def name_hash(image: str) -> bytes:
    """Return the short hash of an image's name, without folder and ending: lists circulate with and without .jpg."""
    name = image.rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    return hashlib.sha256(stem.encode()).digest()[:HASH_BYTES]


def compare_names(images: Sequence[str], split: OfficialSplit, collection: Collection) -> Comparison:
    """Compare the names of images with the official ``split``; where only its size is known, by their number."""
    if not split.places:
        count = len(images)
        return Comparison(split, count, max(0, split.images - count), max(0, count - split.images), {})
    homes = Counter(home.name if (home := collection.split_of(image)) else "" for image in set(images))
    foreign, present = homes.pop("", 0), homes.pop(split.name, 0)
    return Comparison(split, len(set(images)), split.images - present, foreign, dict(sorted(homes.items())))


@cache
def flickr8k() -> Collection:
    """Return Flickr8k, with its three official splits by name."""
    known = json.loads(Path(__file__).with_name("official.json").read_text(encoding="utf-8"))
    splits = {name: _known_split(name, **content) for name, content in known.items()}
    return Collection(
        "flickr8k",
        "Flickr8k",
        splits,
        _FLICKR8K_FOLDERS,
        "Flickr8k (Hodosh, Young and Hockenmaier 2013; for non-commercial research; `clipbench fetch flickr8k`) in any "
        "of these layouts: Flickr8k.token.txt with Flicker8k_Dataset/ (the original release), captions.txt with "
        "Images/ (Kaggle), dataset_flickr8k.json (Karpathy), flickr8k_test_karpathy.txt (LAION's lists), or "
        "datasets/en_train.json and en_val.json with datasets/flickr8k-images/, which your own data can have too; "
        "point at the folder with CLIPBENCH_DATA or --set dataset.root=FOLDER",
        fetch="flickr8k",
    )


@cache
def flickr8k_cn() -> Collection:
    """Return Flickr8k-CN: the photographs and splits of Flickr8k, with captions in Chinese."""
    splits = {
        name: replace(split, recorded=split.recorded.replace("en_", "cn_"), pairs_sha256=_CHINESE_PAIRS[name])
        for name, split in flickr8k().splits.items()
    }
    return Collection(
        "flickr8k_cn",
        "Flickr8k-CN",
        splits,
        _FLICKR8K_FOLDERS,
        "Flickr8k's photographs (`clipbench fetch flickr8k`) with captions in Chinese: flickr8kzhc.caption.txt of "
        "Flickr8k-CN (Li, Lan, Dong and Liu 2016; `clipbench fetch flickr8k-cn`) or datasets/cn_train.json and "
        "cn_val.json; your own data can have the latter too, or Chinese-CLIP's format, train_imgs.tsv and "
        "train_texts.jsonl, valid_imgs.tsv and valid_texts.jsonl; point at the folder with CLIPBENCH_DATA or "
        "--set dataset.root=FOLDER",
        fetch="flickr8k",
        fetch_captions="flickr8k-cn",
        prefix="cn_",
    )


@cache
def flickr30k() -> Collection:
    """Return Flickr30k in Karpathy's splits, of which only the sizes are known here."""
    return Collection(
        "flickr30k",
        "Flickr30k",
        _sized_splits("flickr30k", train=29_000, dev=1_014, test=1_000),
        ("flickr30k-images", "flickr30k_images", "flickr30k_images/flickr30k_images", "Images", "images", "."),
        "dataset_flickr30k.json of Karpathy's caption_datasets.zip (`clipbench fetch karpathy-splits`) with the "
        "photographs in flickr30k-images/, on application to the publisher; point at the folder with CLIPBENCH_DATA or "
        "--set dataset.root=FOLDER",
        most_captions=5,
        fetch_captions="karpathy-splits",
    )


@cache
def coco() -> Collection:
    """Return COCO (2014) in Karpathy's splits, of which only the sizes are known here."""
    return Collection(
        "coco",
        "COCO",
        _sized_splits("coco", train=113_287, dev=5_000, test=5_000),
        (".", "images", "coco", "Images"),
        "dataset_coco.json of Karpathy's caption_datasets.zip (`clipbench fetch karpathy-splits`) with train2014/ and "
        "val2014/ of COCO, from cocodataset.org (the test split needs val2014/ alone); point at the folder with "
        "CLIPBENCH_DATA or --set dataset.root=FOLDER",
        most_captions=5,
        fetch_captions="karpathy-splits",
    )


def _known_split(name: str, recorded: str, names: str, pairs_sha256: str) -> OfficialSplit:
    content = base64.b64decode(names)
    hashes = [content[start : start + HASH_BYTES] for start in range(0, len(content), HASH_BYTES)]
    places = {hashed: place for place, hashed in enumerate(hashes)}
    return OfficialSplit(name, recorded, len(hashes), places, pairs_sha256)


def _sized_splits(collection: str, **sizes: int) -> dict[str, OfficialSplit]:
    return {
        name: OfficialSplit(name, f"{collection}_{'val' if name == 'dev' else name}", images)
        for name, images in sizes.items()
    }

"""Writes pairs of Flickr8k in every layout that people have, for tests that compare how they are read."""

import csv
import json
import os
import shutil

PICTURES = {
    "published": "datasets/flickr8k-images",
    "original": "Flicker8k_Dataset",
    "kaggle": "Images",
    "kaggle unquoted": "Images",
    "karpathy": "images",
    "laion": "flickr8k-images",
}
LAYOUTS = tuple(PICTURES)
STEMS = {"train": "en_train", "dev": "en_val", "test": "en_test"}
KARPATHY = {"train": "train", "dev": "val", "test": "test"}


def write_layout(root, layout, splits, pictures=None):
    """Write ``{split: {name: captions}}`` to ``root``, with those of the files in ``pictures`` that are listed."""
    folder = root / PICTURES[layout]
    folder.mkdir(parents=True)
    for pairs in splits.values() if pictures else ():
        for name in pairs:
            if (pictures / name).exists():
                _link(pictures / name, folder / name)
    _WRITERS[layout](root, splits)
    return root


def _published(root, splits):
    for split, pairs in splits.items():
        entries = [{"image": f"flickr8k-images\\{name}", "caption": list(captions)} for name, captions in pairs.items()]
        (root / "datasets" / f"{STEMS[split]}.json").write_text(json.dumps(entries, indent=2))


def _original(root, splits):
    lines = [
        f"{name}#{number}\t{caption}\n"
        for name, captions in _shuffled(splits).items()
        for number, caption in enumerate(captions)
    ]
    (root / "Flickr8k.token.txt").write_text("".join(lines))
    for split, pairs in splits.items():
        (root / f"Flickr_8k.{split}Images.txt").write_text("".join(f"{name}\n" for name in pairs))


def _kaggle(root, splits):
    _write_csv(root / "captions.txt", _shuffled(splits))


def _kaggle_unquoted(root, splits):
    rows = [f"{name},{caption}\n" for name, captions in _shuffled(splits).items() for caption in captions]
    (root / "captions.txt").write_text("image,caption\n" + "".join(rows))


def _karpathy(root, splits):
    images = [
        {
            "filename": name,
            "split": KARPATHY.get(split, split),
            "sentences": [{"raw": caption, "tokens": []} for caption in captions],
        }
        for split, pairs in splits.items()
        for name, captions in sorted(pairs.items())
    ]
    (root / "dataset_flickr8k.json").write_text(json.dumps({"images": images, "dataset": "flickr8k"}))


def _laion(root, splits):
    for split, pairs in splits.items():
        _write_csv(root / f"flickr8k_{KARPATHY[split]}_karpathy.txt", pairs)


def _write_csv(path, pairs):
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["image", "caption"])
        writer.writerows((name, caption) for name, captions in pairs.items() for caption in captions)


def _shuffled(splits):
    """All pairs in the order of their names: files without splits have no order of theirs."""
    return dict(sorted((name, captions) for pairs in splits.values() for name, captions in pairs.items()))


def _link(source, target):
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


_WRITERS = {
    "published": _published,
    "original": _original,
    "kaggle": _kaggle,
    "kaggle unquoted": _kaggle_unquoted,
    "karpathy": _karpathy,
    "laion": _laion,
}

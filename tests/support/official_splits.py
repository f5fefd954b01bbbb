"""Makes ``official.json`` of the Flickr8k plugin from the files of the original release.

python -m tests.support.official_splits FOLDER > plugins/clipbench-flickr8k/clipbench_flickr8k/official.json
"""

import base64
import json
import sys
from pathlib import Path

from clipbench_flickr8k.annotations import pairs_sha256
from clipbench_flickr8k.official import name_hash

RECORDED = {"train": "en_train", "dev": "en_val", "test": "en_test"}


def captions_of(folder):
    """The captions of each image, in the order of their numbers, read in the simplest way."""
    captions = {}
    for line in (folder / "Flickr8k.token.txt").read_text(encoding="utf-8").splitlines():
        key, caption = line.split("\t")
        captions.setdefault(key.rpartition("#")[0], []).append(caption)
    return captions


def names_of(folder, split):
    """The names of one split, in the published order."""
    return (folder / f"Flickr_8k.{split}Images.txt").read_text(encoding="utf-8").split()


def known_splits(folder):
    """What the plugin knows of each official split."""
    captions = captions_of(folder)
    content = {}
    for split, recorded in RECORDED.items():
        names = names_of(folder, split)
        content[split] = {
            "recorded": recorded,
            "names": base64.b64encode(b"".join(map(name_hash, names))).decode(),
            "pairs_sha256": pairs_sha256((name, captions[name]) for name in names),
        }
    return content


if __name__ == "__main__":
    print(json.dumps(known_splits(Path(sys.argv[1])), indent=1))

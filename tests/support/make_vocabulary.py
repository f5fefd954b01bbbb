"""Make the vocabulary of clip-tiny: ``python -m tests.support.make_vocabulary FILE``."""

from __future__ import annotations

import random
import sys
from pathlib import Path

from clipbench.clip.captions import clean_caption
from clipbench.clip.vocabulary import Merge, train_vocabulary, write_vocabulary
from clipbench_flickr8k.scenes import draw_numbers, scene
from clipbench_flickr8k.wording import captions

SCENES = 4000
# More than needed: training stops when every word of the captions is one token.
MERGES = 1000


def tiny_merges() -> list[Merge]:
    """Return the merges that make one token of each word in the captions of generated pictures."""
    rng = random.Random(0)
    texts = [clean_caption(text) for number in draw_numbers(SCENES, seed=0) for text in captions(scene(number), rng)]
    return train_vocabulary(texts, MERGES)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.support.make_vocabulary FILE")
    write_vocabulary(Path(sys.argv[1]), tiny_merges())

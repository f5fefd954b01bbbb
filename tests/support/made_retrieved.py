"""What a made-up result retrieved, from features drawn at random, written as a run writes it."""

from dataclasses import replace

import numpy as np
from PIL import Image

from clipbench.api.data import Fingerprint
from clipbench.results.result import retrieved_path, write_result
from clipbench.training.evaluating.pictures import PictureKeeper

TERMS = "Made up for tests: free to use."


class FlatSplit:
    """So many pictures of one colour each, with ``texts`` captions for each, or those that are given."""

    def __init__(self, images, texts=5, captions=None, size=(120, 90)):
        self.images, self.texts, self.given, self.size = images, texts, captions, size

    @property
    def fingerprint(self):
        return Fingerprint("made", self.images, self.images * self.texts, "0" * 64)

    def __len__(self):
        return self.images

    def captions(self, index):
        return self.given or [f"caption {text} of picture {index}" for text in range(self.texts)]

    def image(self, index):
        return Image.new("RGB", self.size, (index * 37 % 256, index * 91 % 256, 200))


def keep(path, ranks, split, seed=0, width=8, terms=TERMS, tell=lambda *_: None):
    """Write what random features of ``split`` retrieve, of an evaluation with ``ranks``."""
    draws = np.random.default_rng(seed)
    images, texts = (draws.standard_normal((len(side), width)) for side in (ranks.text, ranks.image))
    texts += images[np.asarray(ranks.image_of_text)]  # so that some of them are found
    return PictureKeeper(path, split, "made", terms, tell).keep(images, texts, ranks)


def write_with_retrieved(folder, result, seed=0, captions=None, terms=TERMS):
    """Write a result and what it retrieved into ``folder``; return it as it was written."""
    ranks = result.query_ranks
    folder.mkdir(exist_ok=True)
    path = retrieved_path(folder / "x.json", result.run_id)
    result = replace(
        result, retrieved=keep(path, ranks, FlatSplit(len(ranks.text), captions=captions), seed, terms=terms)
    )
    write_result(folder, result)
    return result

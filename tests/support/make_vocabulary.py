"""Train vocabularies in the format of OpenAI's; as a script, make the one of clip-tiny.

python -m tests.support.make_vocabulary FILE
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, trainers

from clipbench.clip.captions import clean_caption
from clipbench.clip.pretokenize import as_byte_characters, byte_characters, clean_text, split_words
from clipbench.clip.vocabulary import WORD_END, Merge
from clipbench_flickr8k.scenes import draw_numbers, scene
from clipbench_flickr8k.wording import captions

HEADER = "#version: 0.2"
SCENES = 4000
# More than needed: training stops when every word of the captions is one token.
MERGES = 1000


def write_vocabulary(path: Path, merges: Sequence[Merge]) -> None:
    """Write ``merges`` as a vocabulary file; equal merges make equal bytes."""
    text = "\n".join([HEADER, *(f"{a} {b}" for a, b in merges)]) + "\n"
    path.write_bytes(gzip.compress(text.encode("utf-8"), mtime=0))


def train_vocabulary(texts: Iterable[str], merges: int) -> list[Merge]:
    """Learn up to ``merges`` merges from ``texts``, most frequent pair first; fewer where every word is one token."""
    alphabet = byte_characters()
    endings = [char + WORD_END for char in alphabet]
    words = [as_byte_characters(word) for text in texts for word in split_words(clean_text(text))]
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix=WORD_END))
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + len(endings) + merges,
        initial_alphabet=alphabet,
        # Listed in order: otherwise they are numbered in a hash map's order, and the numbers break ties.
        special_tokens=endings,
        end_of_word_suffix=WORD_END,
        show_progress=False,
    )
    tokenizer.train_from_iterator(words, trainer)
    learnt = json.loads(tokenizer.to_str())["model"]["merges"]
    # Two merges may make the same token, which the trainer then counts once.
    return [(a, b) for a, b in learnt[:merges]]


def tiny_merges() -> list[Merge]:
    """Return the merges that make one token of each word in the captions of generated pictures."""
    rng = random.Random(0)
    texts = [clean_caption(text) for number in draw_numbers(SCENES, seed=0) for text in captions(scene(number), rng)]
    return train_vocabulary(texts, MERGES)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.support.make_vocabulary FILE")
    write_vocabulary(Path(sys.argv[1]), tiny_merges())

"""The vocabulary that ships for clip-tiny is the one its recipe makes, and fits the captions."""

import random
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from clipbench.clip.bpe import BpeTokenizer
from clipbench.clip.captions import clean_caption
from clipbench.clip.config import CLIP_TINY
from clipbench.clip.vocabulary import read_merges
from clipbench_flickr8k import scenes, wording
from tests.support.make_vocabulary import tiny_merges


@pytest.fixture
def shipped():
    package, _, inside = CLIP_TINY.vocabulary.partition(":")
    return Path(str(resources.files(package).joinpath(inside)))


def test_the_shipped_file_is_what_its_recipe_makes(shipped):
    assert read_merges(shipped) == tiny_merges()


def test_the_recipe_runs_as_a_program(tmp_path, shipped):
    path = tmp_path / "made.txt.gz"
    subprocess.run([sys.executable, "-m", "tests.support.make_vocabulary", str(path)], check=True)
    assert read_merges(path) == read_merges(shipped)


def test_every_word_of_the_captions_is_one_token(shipped):
    tokenizer = BpeTokenizer(shipped)
    names = [*scenes.COLOURS, *scenes.BACKGROUNDS, *scenes.SHAPES, *scenes.SIZES, *scenes.PLACES]
    synonyms = [word for words in wording.SYNONYMS.values() for word in words]
    texts = wording.captions(scenes.scene(99), random.Random(0))
    for text in [*names, *synonyms, *map(clean_caption, texts)]:
        assert (tokenizer.encode([text])[0] != 0).sum() == len(text.split()) + 2
    assert tokenizer.vocab_size <= CLIP_TINY.vocab_size

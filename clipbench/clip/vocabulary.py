"""Vocabulary files in the format of OpenAI's ``bpe_simple_vocab_16e6.txt.gz``: read, train, write."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, models, trainers

from clipbench.clip.pretokenize import END, START, as_byte_characters, byte_characters, clean_text, split_words
from clipbench.errors import NotReadyError

Merge = tuple[str, str]

WORD_END = "</w>"
# OpenAI's file lists 262,144 merges, of which its models use as many as fit a vocabulary of 49,152 + 256 entries.
MAX_MERGES = 49152 - 256 - 2
# Ten times the unpacked size of OpenAI's.
MAX_BYTES = 32_000_000

_HEADER = "#version: 0.2"


def list_tokens(merges: Sequence[Merge]) -> list[str]:
    """Return every token in the order of its id, as openai/CLIP numbers them.

    256 bytes (printable ones first), the same at the end of a word, one token for each merge, start and end.
    """
    single = sorted(byte_characters())
    return [*single, *(char + WORD_END for char in single), *(a + b for a, b in merges), START, END]


def read_merges(path: Path) -> list[Merge]:
    """Read the merges of a vocabulary file: gzip text, one header line, then two tokens a line.

    Of a file as long as OpenAI's the first 48,894 are used.
    Raises NotReadyError when the file cannot be read or is not of that format.
    """
    try:
        with gzip.open(path) as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise NotReadyError(f"{path}: more than {MAX_BYTES:,} bytes once unpacked; expected a CLIP vocabulary")
        lines = content.decode("utf-8").rstrip("\n").split("\n")
    except FileNotFoundError:
        raise NotReadyError(f"{path}: no such file; expected a CLIP vocabulary (gzip text of merges)") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise NotReadyError(f"{path}: cannot be read as a CLIP vocabulary, which is gzip text: {error}") from error
    merges: list[Merge] = []
    known = set(list_tokens([]))
    for number, line in enumerate(lines[1 : MAX_MERGES + 1], start=2):
        pair = line.rstrip("\r").split(" ")
        if len(pair) != 2 or not known.issuperset(pair):
            raise NotReadyError(
                f"{path}, line {number}: {line!r} is not a merge; expected two tokens with a space between them, "
                "each a byte or the outcome of a line above, as in OpenAI's bpe_simple_vocab_16e6.txt.gz"
            )
        merges.append((pair[0], pair[1]))
        known.add(pair[0] + pair[1])
    if not merges:
        raise NotReadyError(f"{path}: holds no merges; expected a header line, then one merge a line")
    return merges


def write_vocabulary(path: Path, merges: Sequence[Merge]) -> None:
    """Write ``merges`` as a vocabulary file; equal merges make equal bytes."""
    text = "\n".join([_HEADER, *(f"{a} {b}" for a, b in merges)]) + "\n"
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

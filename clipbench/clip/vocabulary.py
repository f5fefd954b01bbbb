"""Vocabulary files in the format of OpenAI's ``bpe_simple_vocab_16e6.txt.gz``."""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from clipbench.clip.pretokenize import END, START, byte_characters
from clipbench.errors import NotReadyError

Merge = tuple[str, str]

WORD_END = "</w>"
# OpenAI's file lists 262,144 merges, of which its models use as many as fit a vocabulary of 49,152 + 256 entries.
MAX_MERGES = 49152 - 256 - 2
# Ten times the unpacked size of OpenAI's.
MAX_BYTES = 32_000_000


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

"""BERT's tokenizer: the ids of transformers' BertTokenizer, with WordPiece by Hugging Face ``tokenizers``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from clipbench.errors import NotReadyError

PAD, UNKNOWN, START, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
REQUIRED = (PAD, UNKNOWN, START, END)
_EXPECTED = "expected the vocabulary of a BERT model: text, one token on each line, [PAD] on the first"
# Ten times the multilingual BERT's, which is the largest that is known.
MAX_BYTES = 10_000_000


class WordPieceTokenizer:
    """A Tokenizer (see clipbench.api) with the ``vocab.txt`` at ``vocab_path``; keeps case, as bert-base-chinese does.

    Raises NotReadyError when the file cannot be read or is not the vocabulary of a BERT model.
    """

    def __init__(self, vocab_path: Path | str, context_length: int = 77) -> None:
        ids = read_tokens(Path(vocab_path))
        self.context_length = context_length
        self.vocab_size = len(ids)
        self.truncated = 0
        self._start, self._end, self._unknown = ids[START], ids[END], ids[UNKNOWN]
        self._encoded = self._unknown_encoded = 0
        self._pieces = Tokenizer(models.WordPiece(ids, unk_token=UNKNOWN, max_input_chars_per_word=100))
        self._pieces.normalizer = normalizers.BertNormalizer(lowercase=False)
        self._pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        # Written inside a caption, they are parsed as special tokens, as transformers does.
        self._pieces.add_special_tokens([token for token in (*REQUIRED, MASK) if token in ids])

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Return int32 (len(texts), context_length): [CLS], text, [SEP], padded with 0.

        A text that is too long is cut, with [SEP] last.
        """
        if isinstance(texts, str):
            raise TypeError("encode() takes a sequence of texts, not one text")
        rows = np.zeros((len(texts), self.context_length), dtype=np.int32)
        for row, text in zip(rows, texts, strict=True):
            pieces: list[int] = self._pieces.encode(text, add_special_tokens=False).ids
            self._encoded += len(pieces)
            self._unknown_encoded += pieces.count(self._unknown)
            ids = [self._start, *pieces, self._end]
            if len(ids) > self.context_length:
                ids[self.context_length - 1 :] = [self._end]
                self.truncated += 1
            row[: len(ids)] = ids
        return rows

    def unknown_share(self) -> float:
        """Return the share of all tokens so far that are [UNK], from 0 to 1."""
        return self._unknown_encoded / max(self._encoded, 1)


def read_tokens(path: Path) -> dict[str, int]:
    """Return the id of each token in a vocabulary file, which is its line, from 0.

    Raises NotReadyError when the file cannot be read, lacks a special token or does not begin with [PAD].
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise NotReadyError(f"{path}: more than {MAX_BYTES:,} bytes; {_EXPECTED}")
        lines = content.decode("utf-8").rstrip("\n").split("\n")
    except FileNotFoundError:
        raise NotReadyError(f"{path}: no such file; {_EXPECTED}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise NotReadyError(f"{path}: cannot be read as text: {error}; {_EXPECTED}") from error
    ids = {line.rstrip("\r"): number for number, line in enumerate(lines)}
    if lacking := [token for token in REQUIRED if token not in ids]:
        raise NotReadyError(f"{path}: has no {', '.join(lacking)} among its {len(lines):,} lines; {_EXPECTED}")
    if ids[PAD] != 0:
        raise NotReadyError(f"{path}, line {ids[PAD] + 1}: [PAD]: captions are padded with token 0; {_EXPECTED}")
    if len(ids) < len(lines):
        raise NotReadyError(f"{path}: {len(lines) - len(ids):,} of its {len(lines):,} lines repeat others; {_EXPECTED}")
    return ids

"""OpenAI's CLIP tokenizer: the same ids, with byte-pair encoding by Hugging Face ``tokenizers``."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import models

from clipbench.clip.pretokenize import END, START, as_byte_characters, clean_text, split_words
from clipbench.clip.vocabulary import WORD_END, list_tokens, read_merges


class BpeTokenizer:
    """A Tokenizer (see clipbench.api) with the vocabulary file at ``vocab_path``.

    Raises NotReadyError when the file cannot be read or is not a CLIP vocabulary.
    """

    def __init__(self, vocab_path: Path | str, context_length: int = 77) -> None:
        merges = read_merges(Path(vocab_path))
        tokens = list_tokens(merges)
        ids = {token: index for index, token in enumerate(tokens)}
        self.context_length = context_length
        self.vocab_size = len(tokens)
        self.start_token, self.end_token = ids[START], ids[END]
        self.truncated = 0
        self._bpe = models.BPE(ids, merges, end_of_word_suffix=WORD_END)
        # Words repeat, so each is encoded once. Special tokens are words known from the start, so that they are found
        # exactly where OpenAI's pattern finds them, and not inside a run of punctuation.
        self._ids_of_word = {START: [self.start_token], END: [self.end_token]}

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Return int32 (len(texts), context_length): start token, text, end token, padded with 0.

        A text that is too long is cut, with the end token last.
        """
        if isinstance(texts, str):
            raise TypeError("encode() takes a sequence of texts, not one text")
        rows = np.zeros((len(texts), self.context_length), dtype=np.int32)
        for row, text in zip(rows, texts, strict=True):
            ids = [self.start_token, *self._encode(text), self.end_token]
            if len(ids) > self.context_length:
                ids[self.context_length - 1 :] = [self.end_token]
                self.truncated += 1
            row[: len(ids)] = ids
        return rows

    def unknown_share(self) -> float:
        """Return 0: every text is made of bytes, and each of them has a token."""
        return 0.0

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for word in split_words(clean_text(text)):
            known = self._ids_of_word.get(word)
            if known is None:
                known = [token.id for token in self._bpe.tokenize(as_byte_characters(word))]
                self._ids_of_word[word] = known
            ids += known
        return ids

"""From text to words for byte-pair encoding: OpenAI's clean-up, split and byte alphabet."""

import html

import ftfy
from tokenizers import Regex, pre_tokenizers

START = "<|startoftext|>"
END = "<|endoftext|>"

# OpenAI's pattern ignores case. On lower-cased text that has two effects only: the long s (U+017F) counts as an s, and
# U+0345, whose capital is the letter iota, matches no alternative: it separates words and is dropped.
_WORD = Regex(
    r"<\|[s\x{17f}]tartoftext\|>|<\|endoftext\|>|'[s\x{17f}]|'t|'re|'ve|'m|'ll|'d"
    r"|\p{L}+|\p{N}|[^\s\p{L}\p{N}\x{345}]+"
)
_SPLIT = pre_tokenizers.Split(_WORD, behavior="removed", invert=True)


def byte_characters() -> list[str]:
    """Return the printable character that stands for each byte, indexed by the byte.

    Bytes that print in Latin-1 stand for themselves, the others take code points from 256 on (GPT-2's alphabet).
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


_OF_BYTE = dict(enumerate(byte_characters()))


def clean_text(text: str) -> str:
    """Return ``text`` with its encoding repaired, HTML unescaped twice, white space folded, in lower case.

    Source: openai/CLIP's tokenizer.
    """
    # Neither ftfy nor unescaping changes printable ASCII without an ampersand, and ftfy is slow.
    if not (text.isascii() and text.isprintable() and "&" not in text):
        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split()).lower()


def split_words(text: str) -> list[str]:
    """Split cleaned ``text`` where OpenAI's pattern does.

    A word is a special token, an English contraction, a run of letters, one digit or a run of anything else.
    """
    # In most captions, cleaned, there are ASCII letters and spaces only, and every run of letters is a word.
    if text.isascii() and text.replace(" ", "").isalpha():
        return text.split()
    return [word for word, _ in _SPLIT.pre_tokenize_str(text)]


def as_byte_characters(word: str) -> str:
    """Return the UTF-8 bytes of ``word``, each as its printable character."""
    return word.encode("utf-8").decode("latin-1").translate(_OF_BYTE)

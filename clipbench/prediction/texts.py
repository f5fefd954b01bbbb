"""Texts to encode: given, or a line each in files."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from clipbench.api import UsageError

MAX_BYTES = 100_000_000


@dataclass(frozen=True)
class Texts:
    """Texts in the order in which they were given, each once; how many were left out, ``blank`` or ``repeated``."""

    texts: tuple[str, ...]
    blank: int = 0
    repeated: int = 0


def gather_texts(texts: Iterable[str], files: Iterable[Path] = ()) -> Texts:
    """Return the texts, then the lines of the files, without the white space around them.

    A text that is there twice would share its probability with itself. Raises UsageError where there is none, and for
    a file that is not UTF-8.
    """
    if isinstance(texts, str):
        raise UsageError(f"texts: expected a list of texts, got the text '{texts[:100]}'")
    given = [text.strip() for text in [*texts, *(line for file in files for line in _lines(file))]]
    known = [text for text in given if text]
    kept = tuple(dict.fromkeys(known))
    if not kept:
        blank = "; all that were given are blank" if given else ""
        raise UsageError(f"no texts{blank}; give one with --text, or a file with one a line with --texts")
    return Texts(kept, len(given) - len(known), len(known) - len(kept))


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: larger than {MAX_BYTES:,} bytes; expected texts, one a line")
        return path.read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        why = f"not UTF-8 ({error.reason} at byte {error.start})"
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
    raise UsageError(f"{path}: {why}; expected texts, one a line")

"""Lines of prose for a terminal or a log."""

from __future__ import annotations

import textwrap

from rich.text import Text

WIDTH = 78


def wrapped(line: str, indent: int = 0) -> Text:
    """Return ``line`` broken between words only, every part indented: a path is never cut, so that it can be copied.

    Print it with ``crop=False``: a word that is too long for a line stands out of it.
    """
    margin = " " * indent
    parts = textwrap.wrap(
        line, WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )
    return Text("\n".join(parts), no_wrap=True, overflow="ignore")

"""Lines of prose for a terminal or a log."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

WIDTH = 78


def wrapped(line: str, indent: int = 0) -> Text:
    """``line`` broken between words alone, each part set in: a path is never cut, so that it can be found and copied.

    To be printed with ``crop=False``, for what is too long for a line stands out of it.
    """
    from rich.text import Text

    margin = " " * indent
    parts = textwrap.wrap(
        line, WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )
    return Text("\n".join(parts), no_wrap=True, overflow="ignore")

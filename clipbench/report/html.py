"""Pages: every text in them is escaped for HTML, and does nothing on the way to a person's eyes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipbench.api.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment


def html_environment() -> Environment:
    """Return where templates of pages are filled: a name that is not defined is an error."""
    from jinja2 import Environment, StrictUndefined

    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Of texts alone: what is marked as HTML is a class of its own.
        finalize=lambda value: printable(value, lines=True) if type(value) is str else value,
    )

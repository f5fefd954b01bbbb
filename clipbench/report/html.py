"""Pages: one frame for all of them; every text in them is escaped for HTML, and does nothing on the way to people."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING, Any

from clipbench import __version__
from clipbench.api.text import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

# How a page of ours begins: only such a page is replaced.
GENERATOR = '<meta name="generator" content="clipbench '


def html_environment() -> Environment:
    """Return where templates of this package are filled: a name that is not defined is an error."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    return Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(template_text),
        # Of texts alone: what is marked as HTML is a class of its own.
        finalize=lambda value: printable(value, lines=True) if type(value) is str else value,
    )


def filled(environment: Environment, name: str, **context: Any) -> str:  # noqa: ANN401
    """Return the page ``name``, which extends ``frame.html``, filled with ``context`` and what all pages have."""
    shared = {"version": __version__, "generator": marked(GENERATOR), "style": marked(template_text("page.css"))}
    return environment.get_template(name).render({**shared, **context})


def marked(html: str) -> Markup:
    """Return ``html`` of our own as what is not escaped any more."""
    from markupsafe import Markup

    return Markup(html)


@functools.cache
def template_text(name: str) -> str:
    """Return a file of this package, by its path within it."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")

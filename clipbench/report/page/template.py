"""The page's text: the template filled, with its style, script and libraries inside it."""

import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from clipbench.report.html import html_environment
from clipbench.report.judgement import wording
from clipbench.report.metric_words import unit_words
from clipbench.report.page.words import metric_words, when
from clipbench.report.quantity import MINUS, allowed_text, difference_text, figure


def render(page: Mapping[str, Any], code: str) -> str:
    """Return the page with ``code``, its libraries, inside; every text that comes from results is made harmless."""
    from markupsafe import Markup

    environment = html_environment()
    environment.filters |= {
        "when": when,
        "metric_words": metric_words,
        "unit_words": unit_words,
        "figure": figure,
        "difference": lambda verdict: difference_text(verdict, functools.partial(figure, unit=verdict.unit)),
        "allowed": lambda verdict: allowed_text(verdict, functools.partial(figure, unit=verdict.unit), MINUS),
    }
    environment.globals["wording"] = wording
    inside = {
        "style": Markup(_file("page.css")),
        "code": Markup(_in_script(_file("page.js"))),
        "libraries": Markup(code),
        "data": Markup(embedded(page["script"])),
    }
    return environment.from_string(_file("page.html")).render({**page, **inside})


def embedded(data: object) -> str:
    """Return ``data`` as JSON in which no text can end the script element around it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@functools.cache
def libraries() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script."""
    import vl_convert

    return _in_script(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _in_script(code: str) -> str:
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")

"""The page's text: the template filled, with its style, script and libraries inside it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import version
from typing import Any

from clipbench.files.cache import cache_folder
from clipbench.files.whole import whole_file
from clipbench.report.html import filled, html_environment, marked, template_text
from clipbench.report.judgement import wording
from clipbench.report.metric_words import unit_words
from clipbench.report.page.words import key_words, metric_words, when
from clipbench.report.quantity import allowed_text, difference_text, figure

SCRIPTS = ("tables.js", "page.js")


def render(page: Mapping[str, Any]) -> str:
    """Return the page with its libraries inside; every text that comes from results is made harmless."""
    environment = html_environment()
    environment.filters |= {
        "when": when,
        "metric_words": metric_words,
        "unit_words": unit_words,
        "key_words": key_words,
        "machine": lambda result: wording.machine(result.device_name, result.precision, result.world_size),
        "figure": figure,
        "spread": lambda value, unit: figure(value, unit, "+").removeprefix("+"),
        "difference": lambda verdict: difference_text(verdict, figure),
        "allowed": lambda verdict: allowed_text(verdict, figure),
    }
    environment.globals["wording"] = wording
    inside = {
        "code": marked(_in_script("\n".join(template_text(f"page/{name}") for name in SCRIPTS))),
        "libraries": marked(_in_script(libraries())),
        "data": marked(embedded(page["script"])),
    }
    return filled(environment, "page/page.html", **page, **inside)


def embedded(data: object) -> str:
    """Return ``data`` as JSON in which no text can end the script element around it."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def libraries() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script, which is cached: making it takes more than a second."""
    path = cache_folder() / f"vega-{version('vl-convert-python')}.js"
    with suppress(OSError, UnicodeDecodeError):
        digest, _, code = path.read_bytes().partition(b"\n")
        if digest == sha256(code).hexdigest().encode():
            return code.decode()
    import vl_convert

    made: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    with suppress(OSError), whole_file(path) as file:
        file.write(sha256(made.encode()).hexdigest().encode() + b"\n" + made.encode())
    return made


def _in_script(code: str) -> str:
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")

"""Text of others on its way to a terminal, a log, a page or a picture: nothing in it is a command, and it ends."""

import dataclasses
import re
import unicodedata
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

MOST_CHARACTERS = 1_000
MOST_IN_LINES = 20_000

_UNUSUAL = re.compile(r"[^ -~]+")
# What CI servers take as a command: "::error::" of GitHub at the start of a line, "##[error]" and its like anywhere.
_COMMANDS = re.compile(r"^(\s*):(?=:)|#(?=#(?:\[|vso\[|teamcity\[))", re.MULTILINE)


def printable(text: str, lines: bool = False) -> str:
    r"""Return ``text`` so that it shows and does nothing: ``\x1b``, ``\u202e`` and ``\n`` are written out.

    What would be a command to a CI server loses its first character to such an escape. A text that is too long is cut,
    and says so. ``lines``: it may have several lines, of which more is shown.
    """
    most = MOST_IN_LINES if lines else MOST_CHARACTERS
    if len(text) <= most and text.isascii() and text.isprintable() and "::" not in text and "##" not in text:
        return text  # most texts, of which there may be hundreds of thousands
    cut = f"... ({len(text) - most:,} more characters)" if len(text) > most else ""
    shown = _UNUSUAL.sub(lambda match: _written(match[0], "\n" if lines else ""), text[:most])
    return _COMMANDS.sub(lambda match: f"{match[1] or ''}\\x{ord(match[0][-1]):02x}", shown) + cut


def printable_data(data: T, lines: bool = False) -> T:
    """Return ``data`` with every text in it printable: dataclasses, mappings, lists, tuples and paths are gone through.

    Meant for what is shown next; objects of other kinds are left as they are.
    """
    return _printable(data, lines)  # type: ignore[no-any-return]


def is_shown(character: str) -> bool:
    """Return whether a character is seen as what it is: a letter, sign or space, and not a control of any kind."""
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _printable(data: Any, lines: bool) -> Any:  # noqa: ANN401
    if isinstance(data, Enum) or data is None or isinstance(data, (int, float)):
        return data
    if isinstance(data, str):
        return printable(data, lines)
    if isinstance(data, Path):
        return Path(printable(str(data)))
    if isinstance(data, Mapping):
        return {_printable(key, False): _printable(value, lines) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        values = [_printable(value, lines) for value in data]
        return type(data)._make(values) if hasattr(data, "_make") else type(data)(values)
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        named = {item.name: _printable(getattr(data, item.name), lines) for item in dataclasses.fields(data)}
        return dataclasses.replace(data, **named)
    return data


def _written(run: str, kept: str) -> str:
    """Return a run of characters that are not ASCII's own, those that are not shown as Python's escapes."""
    if run.isprintable():
        return run
    return "".join(
        char if char in kept or is_shown(char) else char.encode("unicode_escape").decode("ascii") for char in run
    )

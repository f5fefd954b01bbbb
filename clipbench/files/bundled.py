"""Files that ship with clipbench: the suites and the published references."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_IN_CHECKOUT = {"suites": Path("suites"), "reference": Path("results", "reference")}


def bundled(kind: str) -> Path:
    """Return the folder of ``suites`` or ``reference``: inside the wheel, or where a checkout has them."""
    inside = _PACKAGE / "_bundled" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / _IN_CHECKOUT[kind]

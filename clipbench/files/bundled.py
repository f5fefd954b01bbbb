"""Files that ship with clipbench: the suites and the published references."""

import re
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_IN_CHECKOUT = {"suites": Path("suites"), "reference": Path("results", "reference")}


def bundled(kind: str) -> Path:
    """Return the folder of ``suites`` or ``reference``: inside the wheel, or where a checkout has them."""
    inside = _PACKAGE / "_bundled" / kind
    return inside if inside.is_dir() else _PACKAGE.parent / _IN_CHECKOUT[kind]


def shipped_suites() -> list[Path]:
    """Return the files of the suites that ship with clipbench, by name; each is called as its suite."""
    return sorted(bundled("suites").glob("*.yaml"))


def shipped_summary(path: Path) -> str:
    """Return the summary of a shipped suite, which stands in quotes on one line: PyYAML alone takes 10 ms to import."""
    line = re.search(r'^summary: "(.*)"$', path.read_text(encoding="utf-8"), re.MULTILINE)
    return line[1] if line else ""

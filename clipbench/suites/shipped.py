"""The suites that ship with clipbench, listed without reading YAML."""

from __future__ import annotations

import re
from pathlib import Path

from clipbench.files.bundled import bundled


def shipped_suites() -> list[Path]:
    """Return the files of the suites that ship with clipbench, by name; each is called as its suite."""
    return sorted(bundled("suites").glob("*.yaml"))


def shipped_summary(path: Path) -> str:
    """Return the summary of a shipped suite, which stands in quotes on one line: PyYAML alone takes 10 ms to import."""
    line = re.search(r'^summary: "(.*)"$', path.read_text(encoding="utf-8"), re.MULTILINE)
    return line[1] if line else ""

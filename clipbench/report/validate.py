"""Verdicts on files, for ``clipbench validate``: as text and as plain data."""

from collections.abc import Sequence
from typing import Any

from clipbench.api.plain import to_plain
from clipbench.doctor.validate import FileVerdict


def verdict_data(verdict: FileVerdict) -> dict[str, Any]:
    """Return what ``clipbench validate --format json`` prints of one file."""
    return {**to_plain(verdict), "ok": verdict.ok}


def verdicts_text(verdicts: Sequence[FileVerdict]) -> str:
    """Return one line for each file, and one for each warning."""
    return "\n".join(line for verdict in verdicts for line in _lines(verdict))


def _lines(verdict: FileVerdict) -> list[str]:
    what = f"{verdict.kind}: {verdict.detail}" if verdict.detail else verdict.kind
    first = f"ok       {verdict.path} ({what})" if verdict.ok else f"refused  {verdict.problem}"
    return [first, *(f"warning  {warning}" for warning in verdict.warnings)]

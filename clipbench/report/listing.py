"""What is installed as text, for ``clipbench list``."""

from collections.abc import Mapping
from typing import Any

from clipbench.api.specs import UNTRIED

Rows = list[dict[str, Any]]


def listing_text(data: Mapping[str, Rows]) -> str:
    """Return one line for each row, with its ``name`` and ``summary``, names aligned within a kind.

    Rows of another ``distribution`` than clipbench name it, and devices that were never run say so.
    """
    blocks = []
    for kind, rows in data.items():
        width = max((len(row["name"]) for row in rows), default=0)
        lines = [f"  {row['name']:<{width}}  {row['summary']}{_origin(row)}{_untried(row)}" for row in rows]
        blocks.append("\n".join([f"{kind}:", *(lines or ["  none"])]))
    return "\n\n".join(blocks)


def _untried(row: Mapping[str, Any]) -> str:
    return "" if row.get("tried", True) else f"  ({UNTRIED})"


def _origin(row: Mapping[str, Any]) -> str:
    distribution = row.get("distribution", "clipbench")
    return "" if distribution == "clipbench" else f"  [{distribution}]"

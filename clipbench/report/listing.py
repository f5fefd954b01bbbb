"""What is installed as text, for ``clipbench list``."""

from collections.abc import Mapping
from typing import Any

from clipbench.api.specs import UNTRIED

Rows = list[dict[str, Any]]


def listing_text(data: Mapping[str, Rows]) -> str:
    """Return one line for each row, with its ``name`` and ``summary``, names aligned within a kind.

    Devices and models have their engine before the name, rows of another ``distribution`` than clipbench name it, and
    devices that were never run say so.
    """
    blocks = []
    for kind, rows in data.items():
        names = [_name(row) for row in rows]
        width = max(map(len, names), default=0)
        pairs = sorted(zip(names, rows, strict=True), key=lambda pair: pair[0])
        lines = [f"  {name:<{width}}  {row['summary']}{_origin(row)}{_untried(row)}" for name, row in pairs]
        blocks.append("\n".join([f"{kind}:", *(lines or ["  none"])]))
    return "\n\n".join(blocks)


def _name(row: Mapping[str, Any]) -> str:
    argument = f":{row['argument']}" if row.get("argument") else ""
    return f"{row['engine']} {row['name']}{argument}" if "engine" in row else str(row["name"])


def _untried(row: Mapping[str, Any]) -> str:
    return "" if row.get("tried", True) else f"  ({UNTRIED})"


def _origin(row: Mapping[str, Any]) -> str:
    distribution = row.get("distribution", "clipbench")
    return "" if distribution == "clipbench" else f"  [{distribution}]"

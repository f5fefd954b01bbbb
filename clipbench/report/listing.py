"""What is installed, for ``clipbench list``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clipbench.results.references import shipped_references
from clipbench.suites.loading import load_suite, shipped_suites

if TYPE_CHECKING:
    from clipbench.api.registry import Offers, Registry

Rows = list[dict[str, Any]]


def listing(registry: Registry, kinds: Sequence[str]) -> dict[str, Rows]:
    """Rows of each kind, by name; every row has a ``name`` and a ``summary``."""
    makers = {
        "engines": lambda: _specs(registry.engines),
        "devices": lambda: _specs(registry.devices, "engine", "priority"),
        "datasets": lambda: _specs(registry.datasets),
        "models": lambda: _specs(registry.models, "engine"),
        "observers": lambda: _specs(registry.observers),
        "suites": _suites,
        "references": _references,
    }
    return {kind: makers[kind]() for kind in kinds}


def listing_text(data: dict[str, Rows]) -> str:
    """The rows as text, one line each, names aligned within a kind."""
    blocks = []
    for kind, rows in data.items():
        width = max((len(row["name"]) for row in rows), default=0)
        lines = [f"  {row['name']:<{width}}  {row['summary']}{_origin(row)}" for row in rows]
        blocks.append("\n".join([f"{kind}:", *(lines or ["  none"])]))
    return "\n\n".join(blocks)


def _origin(row: dict[str, Any]) -> str:
    return f"  [{row['distribution']}]" if "distribution" in row and row["distribution"] != "clipbench" else ""


def _specs(offers: Offers[Any], *more: str) -> Rows:
    return [
        {
            "name": name,
            "summary": spec.summary,
            **{field: getattr(spec, field) for field in more},
            "plugin": offers.origin[name].name,
            "distribution": offers.origin[name].distribution,
            "version": offers.origin[name].version,
        }
        for name, spec in sorted(offers.specs.items())
    ]


def _suites() -> Rows:
    rows = []
    for path in shipped_suites():
        suite = load_suite(path)
        cases = [case.name for case in suite.cases]
        rows.append(
            {
                "name": suite.name,
                "summary": suite.summary,
                "path": str(path),
                "reference": suite.reference,
                "cases": cases,
            }
        )
    return rows


def _references() -> Rows:
    return [
        {"name": name, "summary": reference.summary, "source": reference.source}
        for name, reference in sorted(shipped_references().items())
    ]

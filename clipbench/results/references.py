"""References: published figures, where they come from, and what a result must have to be held against them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipbench.errors import InvalidFileError, UsageError
from clipbench.files.bundled import bundled
from clipbench.results.result import read_document

KIND = "clipbench.reference"
ABSENT = object()


@dataclass(frozen=True)
class Conditions:
    """What a result must have: dotted path into it -> a value, a list of allowed values, or ``{"not": either}``."""

    wanted: Mapping[str, Any] = field(default_factory=dict)

    def unmet(self, result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        """Path, what is there, what is wanted, for each condition not met; one on a path that is absent never is."""
        found = {path: value_at(result, path) for path in self.wanted}
        return [
            (path, _worded(found[path]), _wanted_in_words(wanted))
            for path, wanted in self.wanted.items()
            if found[path] is ABSENT or not _is_met(wanted, found[path])
        ]


@dataclass(frozen=True)
class ReferenceMetric:
    """One published figure in ``unit``; ``tolerance``, in the same unit, is how much worse still passes.

    ``direction`` says which way is better. ``tolerance`` None: shown, not gated. Worse than ``warn`` passes with a
    warning; better by more than ``better``, else by more than the tolerance, is worth a look.
    """

    value: float
    unit: str
    direction: str
    tolerance: float | None
    conditions: Conditions = Conditions()
    warn: float | None = None
    better: float | None = None


@dataclass(frozen=True)
class Reference:
    """Figures from one source; two references with the same content are equal, wherever their files are.

    ``device``, ``precision``, ``batch_size`` and ``epochs`` describe how they were measured; None is not known.
    ``target`` is the overall recall mean that the time to quality is taken to; ``loss_curve`` is the train loss of
    every epoch from the first, empty where none was published.
    """

    name: str
    summary: str
    source: str
    date: str | None
    device: str | None
    precision: str | None
    batch_size: int | None
    epochs: float | None
    metrics: Mapping[str, ReferenceMetric]
    conditions: Conditions
    notes: tuple[str, ...]
    path: Path = field(compare=False)
    target: float | None = None
    loss_curve: tuple[float, ...] = ()


def shipped_references() -> dict[str, Reference]:
    """The references that ship with clipbench, by name."""
    return load_references([bundled("reference")])


def load_references(folders: Iterable[Path]) -> dict[str, Reference]:
    """Every ``*.json`` of ``folders`` (not of folders in them), by name.

    A broken file, and one name for two contents, is an InvalidFileError that names the files. A folder that is
    not there is a UsageError.
    """
    found: dict[str, Reference] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder; expected one with references")
        for path in sorted(folder.glob("*.json")):
            if not path.name.startswith("."):
                add_reference(found, read_reference(path))
    return found


def add_reference(known: dict[str, Reference], reference: Reference) -> None:
    """Add to ``known``; the same content again is fine, other content under a known name is an InvalidFileError."""
    other = known.setdefault(reference.name, reference)
    if other != reference:
        raise InvalidFileError(
            f"{reference.path}: the reference '{reference.name}' is also in {other.path}, "
            "with other content; rename one of them or remove it"
        )


def read_reference(path: Path) -> Reference:
    """One reference from disk; anything else is an InvalidFileError that says what is wrong with it."""
    document = read_document(path)
    if document["kind"] != KIND:
        raise InvalidFileError(f"{path}: is a {document['kind']}; expected a reference")
    return parse_reference(document, path)


def parse_reference(document: Mapping[str, Any], path: Path) -> Reference:
    """A document that its schema has taken, as a Reference; a number beyond all bounds is an InvalidFileError."""
    return Reference(
        name=document["name"],
        summary=document["summary"],
        source=document["source"],
        date=document["date"],
        device=document["device"],
        precision=document["precision"],
        batch_size=document["batch_size"],
        epochs=document["epochs"],
        metrics={name: _metric(path, name, data) for name, data in document["metrics"].items()},
        conditions=Conditions(document.get("conditions", {})),
        notes=tuple(document.get("notes", ())),
        path=path,
        target=document.get("target"),
        loss_curve=tuple(document.get("loss_curve", ())),
    )


def value_at(data: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401
    """What a dotted path leads to, or ``ABSENT``, which is not null."""
    found: Any = data
    for part in path.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return ABSENT
        found = found[part]
    return found


def finite_number(value: object) -> float | None:
    """``value`` as a float, or None for anything that is not a finite number: JSON's 1e999 is read as infinity."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _metric(path: Path, name: str, data: Mapping[str, Any]) -> ReferenceMetric:
    def number(key: str, value: object) -> float:
        finite = finite_number(value)
        if finite is None:
            raise InvalidFileError(f"{path}: metrics.{name}.{key}: expected a finite number, got {str(value)[:20]}")
        return finite

    def amount(key: str) -> float | None:
        for way, size in (data.get(key) or {}).items():
            # An infinite tolerance would pass everything.
            scale = abs(value) if way == "relative" else 1.0
            return number(f"{key}.{way}", number(f"{key}.{way}", size) * scale)
        return None

    value = number("value", data["value"])
    tolerance, warn = amount("tolerance"), amount("warn")
    if warn is not None and (tolerance is None or warn > tolerance):
        raise InvalidFileError(f"{path}: metrics.{name}.warn: expected less than the tolerance, or it never warns")
    conditions = Conditions(data.get("conditions", {}))
    return ReferenceMetric(value, data["unit"], data["direction"], tolerance, conditions, warn, amount("better"))


def _is_met(wanted: Any, value: object) -> bool:  # noqa: ANN401
    if isinstance(wanted, Mapping):
        return not _is_met(wanted["not"], value)
    choices = wanted if isinstance(wanted, list) else [wanted]
    # Python has True == 1; JSON has not.
    return any(isinstance(choice, bool) == isinstance(value, bool) and choice == value for choice in choices)


def _wanted_in_words(wanted: Any) -> str:  # noqa: ANN401
    if isinstance(wanted, Mapping):
        return f"anything but {_wanted_in_words(wanted['not'])}"
    return " or ".join(map(_worded, wanted)) if isinstance(wanted, list) else _worded(wanted)


def _worded(value: object) -> str:
    if value is ABSENT:
        return "absent"
    return value if isinstance(value, str) else json.dumps(value)

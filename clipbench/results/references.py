"""References: published figures, where they come from, and what a result must have to be compared with them."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clipbench.api import ABSENT, Direction, InvalidFileError, Result, UsageError, did_you_mean
from clipbench.api.plain import finite, from_plain, to_plain, value_at
from clipbench.files.bundled import bundled
from clipbench.files.json_file import json_files
from clipbench.results.document import read_document
from clipbench.results.measures.metrics import metric_called

# Paths of results that are called otherwise since version 0.2.0; references that others wrote keep their meaning.
_RENAMED = {"config.ranks": "config.world_size", "environment.device.ranks": "environment.device.world_size"}


@dataclass(frozen=True)
class ReferenceMetric:
    """One published figure in ``unit``; ``tolerance``, in the same unit, is how much worse still passes.

    ``direction`` says which way is better. ``tolerance`` None: shown, not gated. Worse than ``warn`` passes with a
    warning; better by more than ``better``, else by more than the tolerance, is reported. ``conditions`` as in
    Reference.
    """

    value: float
    unit: str
    direction: Direction
    tolerance: float | None
    conditions: Mapping[str, Any] = field(default_factory=dict)
    warn: float | None = None
    better: float | None = None


@dataclass(frozen=True)
class Reference:
    """Figures from one source; two references with the same content are equal, wherever their files are.

    ``device``, ``precision``, ``batch_size`` and ``epochs`` describe how they were measured; None is not known.
    ``target`` is the overall recall mean that the time to quality is taken to; ``loss_curve`` is the train loss of
    every epoch from the first, empty where none was published, and ``loss_curve_tolerance`` the mean relative error of
    a curve that still passes, a share; None for the usual one. ``conditions`` are what a result must have: dotted path
    into it -> a value, a list of allowed values, or ``{"not": either}``.
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
    conditions: Mapping[str, Any]
    notes: tuple[str, ...]
    path: Path = field(compare=False)
    target: float | None = None
    loss_curve: tuple[float, ...] = ()
    loss_curve_tolerance: float | None = None

    @property
    def paths(self) -> set[str]:
        """The dotted paths of all its conditions, those of its metrics among them."""
        return {*self.conditions, *(path for metric in self.metrics.values() for path in metric.conditions)}


def shipped_references() -> dict[str, Reference]:
    """Return the references that ship with clipbench, by name."""
    return load_references([bundled("reference")])


def unknown_reference(name: str | None) -> str | None:
    """Return a warning where no reference of that name ships; None where one does, or where none is asked for."""
    if name is None or name in (shipped := shipped_references()):
        return None
    return (
        f"reference: '{name}' is none that ships with clipbench; {did_you_mean(name, shipped)}; "
        "if it is your own, `clipbench compare` needs its file"
    )


def load_references(folders: Iterable[Path]) -> dict[str, Reference]:
    """Return every ``*.json`` of ``folders`` (not of folders in them), by name.

    Raises InvalidFileError for a broken file and for one name with two contents, UsageError for a missing folder.
    """
    known: dict[str, Reference] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder; expected one with references")
        for path in json_files(folder):
            add_reference(known, read_reference(path))
    return known


def add_reference(known: dict[str, Reference], reference: Reference) -> None:
    """Add to ``known``; raise InvalidFileError for other content under a known name."""
    other = known.setdefault(reference.name, reference)
    if other != reference:
        raise InvalidFileError(
            f"{reference.path}: the reference '{reference.name}' is also in {other.path}, "
            "with other content; rename one of them or remove it"
        )


def read_reference(path: Path) -> Reference:
    """Return one reference from disk; raise InvalidFileError that says what is wrong with anything else."""
    return parse_reference(read_document(path, "reference"), path)


def parse_reference(document: Mapping[str, Any], path: Path) -> Reference:
    """Return a document that its schema has accepted, as a Reference.

    Raises InvalidFileError for a number that is not finite, and for a warning level beyond the tolerance.
    """
    metrics = {
        metric_called(name): _metric(f"{path}: metrics.{name}", data) for name, data in document["metrics"].items()
    }
    changes = {"metrics": metrics, "conditions": _conditions(document), "path": path}
    return from_plain(Reference, {"notes": (), **document, **changes})


def _conditions(data: Mapping[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(path, path): required for path, required in data.get("conditions", {}).items()}


def _metric(where: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data of a ReferenceMetric; amounts that are relative to its value become absolute."""
    value = _number(f"{where}.value", data["value"])
    amounts: dict[str, float | None] = dict.fromkeys(("tolerance", "warn", "better"))
    for key in amounts:
        for way, size in (data.get(key) or {}).items():
            # An infinite tolerance would pass everything.
            amounts[key] = _number(f"{where}.{key}.{way}", size, abs(value) if way == "relative" else 1.0)
    tolerance, warn = amounts["tolerance"], amounts["warn"]
    if warn is not None and (tolerance is None or warn > tolerance):
        raise InvalidFileError(f"{where}.warn: expected less than the tolerance, or it never warns")
    return {**data, **amounts, "value": value, "conditions": _conditions(data)}


def _number(where: str, value: object, scale: float = 1.0) -> float:
    number = finite(value)
    scaled = None if number is None else finite(number * scale)
    if scaled is None:
        raise InvalidFileError(f"{where}: expected a finite number, got {str(value)[:20]}")
    return scaled


# --- conditions ---------------------------------------------------------------------------------------------------


def unmet_conditions(conditions: Mapping[str, Any], result: Result) -> list[tuple[str, str, str]]:
    """Return (path, the result's value, the required one) for each condition not met; an absent path meets none."""
    actual = {path: to_plain(value_at(result, path, ABSENT)) for path in conditions}
    return [
        (path, describe(actual[path]), _describe_required(required))
        for path, required in conditions.items()
        if actual[path] is ABSENT or not _is_met(required, actual[path])
    ]


def _is_met(required: Any, value: object) -> bool:  # noqa: ANN401
    if isinstance(required, Mapping):
        return not _is_met(required["not"], value)
    choices = required if isinstance(required, list) else [required]
    # Python has True == 1; JSON has not.
    return any(isinstance(choice, bool) == isinstance(value, bool) and choice == value for choice in choices)


def _describe_required(required: Any) -> str:  # noqa: ANN401
    if isinstance(required, Mapping):
        return f"anything but {_describe_required(required['not'])}"
    return " or ".join(map(describe, required)) if isinstance(required, list) else describe(required)


def describe(value: object) -> str:
    """Return a value as it stands in a sentence; a hash is shortened."""
    if value is None or value is ABSENT:
        return "absent" if value is ABSENT else "none"
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:12] if len(text) in (40, 64) and set(text) <= set("0123456789abcdef") else text

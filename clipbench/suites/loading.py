"""Suites: a YAML file, what the command line sets over it, and the cases that come of it."""

from __future__ import annotations

import copy
import fnmatch
import itertools
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipbench.api.config import Case
from clipbench.errors import UsageError
from clipbench.files import schemas
from clipbench.files.bundled import bundled
from clipbench.files.yaml_file import KeyPath, YamlFile, parse_value, read_yaml

MAX_CASES = 1000


@dataclass(frozen=True)
class Suite:
    """A suite with its cases, in the order in which they run."""

    name: str
    summary: str
    path: Path
    reference: str | None
    cases: tuple[Case, ...]

    def select(self, patterns: Sequence[str]) -> Suite:
        """This suite with the cases that match any of ``patterns`` (shell wildcards); a miss is a UsageError."""
        if not patterns:
            return self
        for pattern in patterns:
            if not any(fnmatch.fnmatchcase(case.name, pattern) for case in self.cases):
                names = "\n  ".join(case.name for case in self.cases)
                raise UsageError(f"--case {pattern}: no such case in {self.path}; its cases are:\n  {names}")
        kept = tuple(c for c in self.cases if any(fnmatch.fnmatchcase(c.name, pattern) for pattern in patterns))
        return Suite(self.name, self.summary, self.path, self.reference, kept)


def find_suite(name: str) -> Path:
    """The file that ``name`` means: a path, or the name of a suite that ships with clipbench."""
    path = Path(name)
    if os.path.isfile(path):  # noqa: PTH113 -- a name that is too long is no file, and no error
        return path
    shipped = {file.stem: file for file in shipped_suites()}
    if name in shipped:
        return shipped[name]
    if os.path.exists(path):  # noqa: PTH110
        what = "a folder" if path.is_dir() else "no regular file"
        raise UsageError(f"{name}: is {what}; expected a YAML file")
    if path.stem in shipped:
        raise UsageError(
            f"{name}: no such file; the suite of that name that ships is run with: clipbench run {path.stem}"
        )
    raise UsageError(f"{name}: no such file, and not the name of a suite that ships ({', '.join(sorted(shipped))})")


def shipped_suites() -> list[Path]:
    """Files of the suites that ship with clipbench, by name."""
    return sorted(bundled("suites").glob("*.yaml"))


def load_suite(path: Path, overrides: Sequence[str] = ()) -> Suite:
    """Read, override and check a suite.

    ``overrides`` are ``key.path=value`` texts, the later winning. Whatever is wrong is a UsageError (exit 2)
    that names file, line, key, value, what was expected and the nearest valid key.
    """
    file = read_yaml(path)
    if not isinstance(file.data, dict):
        raise UsageError(f"{path}: expected keys and values of a suite, got {type(file.data).__name__}")
    _check(file, file.data, {})
    data = copy.deepcopy(file.data)
    origin: dict[KeyPath, str] = {}
    for text in overrides:
        key, value = parse_override(text)
        _set(data, key, value, f"--set {text}")
        _check(file, data, {**origin, key: f"--set {text}"})
        origin[key] = f"--set {text}"
    matrix: dict[str, list[Any]] = data.pop("matrix", {})
    # What the command line sets is what the user wants, whatever the suite would have varied.
    matrix = {key: values for key, values in matrix.items() if tuple(key.split(".")) not in origin}
    cases = tuple(_case(file, data, choice) for choice in _combinations(file, matrix))
    return Suite(data["name"], data.get("summary", ""), path, data.get("reference"), cases)


def parse_override(text: str) -> tuple[KeyPath, Any]:
    """``train.lr=1e-6`` as its key path and value."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text}: expected key.path=value, such as --set train.batch_size=16")
    path = tuple(key.strip().split("."))
    known = _schema_of(path[:1])
    if path[0] in ("name", "summary", "matrix") and known is not None:
        raise UsageError(f"--set {text}: '{path[0]}' can be set in the suite's file alone")
    return path, parse_value(value, f"--set {text}")


def _schema_of(key: KeyPath) -> schemas.Schema | None:
    schema: schemas.Schema | None = schemas.load_schema("suite")
    for part in key:
        schema = (schema or {}).get("properties", {}).get(part)
    return schema


def _set(data: dict[str, Any], key: KeyPath, value: Any, where: str) -> None:  # noqa: ANN401
    section: Any = data
    for depth, part in enumerate(key[:-1]):
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise UsageError(f"{where}: '{'.'.join(map(str, key[: depth + 1]))}' is a value, not a section")
    section[key[-1]] = value


def _check(file: YamlFile, data: dict[str, Any], origin: Mapping[KeyPath, str]) -> None:
    messages = []
    for key, message in schemas.problems("suite", data):
        said_on = [where for path, where in origin.items() if path[: len(key)] == key or key[: len(path)] == path]
        messages.append(f"{said_on[-1] if said_on else file.where(key)}: {message}")
    if messages:
        raise UsageError("\n".join(messages))


def _combinations(file: YamlFile, matrix: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    for key in matrix:
        if _schema_of(tuple(key.split("."))) is None and not key.startswith("dataset.options."):
            raise UsageError(f"{file.where(('matrix', key))}: matrix: '{key}' is not a key of a suite")
    if (count := math.prod(len(values) for values in matrix.values())) > MAX_CASES:
        raise UsageError(f"{file.where(('matrix',))}: matrix: makes {count:,} cases; expected at most {MAX_CASES:,}")
    return [dict(zip(matrix, values, strict=True)) for values in itertools.product(*matrix.values())]


def _case(file: YamlFile, base: dict[str, Any], choice: Mapping[str, Any]) -> Case:
    data = copy.deepcopy(base)
    origin: dict[KeyPath, str] = {}
    for dotted, value in choice.items():
        key = tuple(dotted.split("."))
        _set(data, key, value, file.where(("matrix", dotted)))
        origin[key] = file.where(("matrix", dotted))
    _check(file, data, origin)
    data = schemas.fill_defaults(schemas.load_schema("suite"), data)
    label = ",".join(f"{key}={_label(value)}" for key, value in choice.items())
    data |= {"suite": data["name"], "name": f"{data['name']}@{label}" if label else data["name"]}
    try:
        return Case.from_dict(data)
    except UsageError as error:  # what a section refuses on its own: limits the wrong way round, say
        key = ("train", *str(error).partition(":")[0].split("."))
        raise UsageError(f"{file.where(key)}: train.{error}") from None


def _label(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)

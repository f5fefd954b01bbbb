"""Suites: a YAML file, the changes from the command line, and the cases that both define."""

import copy
import fnmatch
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clipbench.api import Case, UsageError, from_plain
from clipbench.api.text import printable
from clipbench.files import schemas
from clipbench.files.bundled import shipped_suites
from clipbench.files.schemas import dotted
from clipbench.files.yaml_file import KeyPath, YamlFile, parse_value, read_yaml
from clipbench.suites.tasks import find_task, is_task_id

# One value on an axis of a matrix: what the case's name says of it, and the keys that it sets, each from its place.
Choice = tuple[str, dict[str, tuple[Any, KeyPath]]]

MAX_CASES = 1000
MOST_SHOWN = 200  # characters of an option
# Keys of suites of version 0.1.0 that are called otherwise now.
RENAMED = {"ranks": "world_size"}


@dataclass(frozen=True)
class Suite:
    """A suite with its cases, in the order in which they run; ``task`` is the id of the one that it is reduced to."""

    name: str
    summary: str
    path: Path
    reference: str | None
    cases: tuple[Case, ...]
    task: str | None = None

    def select(self, patterns: Sequence[str]) -> "Suite":
        """Return this suite with the cases that match any of ``patterns``: shell wildcards, or the id of one task.

        Raises UsageError for a pattern that matches none.
        """
        if not patterns:
            return self
        names = [case.name for case in self.cases]
        kept = set[str]()
        for pattern in patterns:
            if is_task_id(pattern) and pattern not in names:
                return self._reduced(pattern, alone=len(patterns) == 1)
            if not (matching := [name for name in names if fnmatch.fnmatchcase(name, pattern)]):
                listed = "\n  ".join(names)
                raise UsageError(f"--case {pattern}: no such case in {self.path}; its cases are:\n  {listed}")
            kept.update(matching)
        return replace(self, cases=tuple(case for case in self.cases if case.name in kept))

    def _reduced(self, task_id: str, alone: bool) -> "Suite":
        """Return this suite with the case of one task."""
        if not alone:
            raise UsageError(f"--case {task_id}: is the id of one task, which is run alone; leave the other --case out")
        if (task := find_task(task_id, self.cases)) is None:
            raise UsageError(
                f"--case {task_id}: no task of {self.path} has this id: ids change with all that a case computes; "
                "give the same --set, --engine and version of clipbench as to `clipbench plan`, which lists the ids"
            )
        return replace(self, cases=(task.case,), task=task_id)


def find_suite(name: str) -> Path:
    """Return the file that ``name`` means: a path, or the name of a suite that ships with clipbench.

    A file goes before a suite, and a suite before a folder, which reading refuses. Raises UsageError for anything else.
    """
    path = Path(name)
    shipped = {file.stem: file for file in shipped_suites()}
    if name in shipped and not os.path.isfile(path):  # noqa: PTH113 -- a name that is too long is no file, and no error
        return shipped[name]
    if os.path.exists(path):  # noqa: PTH110
        return path
    if path.stem in shipped:
        raise UsageError(f"{name}: no such file; to run the suite that ships, use: clipbench run {path.stem}")
    raise UsageError(f"{name}: no such file, and not the name of a suite that ships ({', '.join(sorted(shipped))})")


def load_suite(path: Path, overrides: Sequence[str] = ()) -> "Suite":
    """Return the suite in a file, changed by ``overrides``: ``key.path=value`` texts, of which the last one counts.

    Raises UsageError (exit 2) that names file, line, key, value, what was expected and the nearest valid key.
    """
    return suite_of(read_yaml(path), overrides)


def suite_of(file: YamlFile, overrides: Sequence[str] = ()) -> "Suite":
    """Return the suite that a file's content is, changed by ``overrides``, as ``load_suite`` does."""
    path = file.path
    if not isinstance(file.data, dict):
        raise UsageError(f"{path}: expected keys and values of a suite, got {type(file.data).__name__}")
    _check(file, file.data, {})
    data, origin = copy.deepcopy(file.data), dict[KeyPath, str]()
    for text in overrides:
        key, value = parse_override(text)
        _set(data, key, value, _shown(text), origin)
        _check(file, data, origin)
    cases = tuple(_case(file, data, choices) for choices in _combinations(file, data.pop("matrix", {}), origin))
    return Suite(data["name"], data.get("summary", ""), path, data.get("reference"), cases)


def parse_override(text: str) -> tuple[KeyPath, Any]:
    """Return the key path and the value of a text such as ``train.lr=1e-6``."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{_shown(text)}: expected key.path=value, such as --set train.batch_size=16")
    path = tuple(key.strip().split("."))
    if path[0] in ("name", "summary", "matrix"):
        raise UsageError(f"{_shown(text)}: '{path[0]}' can be set only in the suite's file")
    return path, parse_value(value, _shown(text))


def _shown(text: str) -> str:
    """Return the option as messages have it: a long value is cut, so that what is wrong with it stays in sight."""
    return f"--set {text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 3] + '...'}"


def _schema_of(key: KeyPath) -> schemas.Schema | None:
    schema: schemas.Schema | None = schemas.load_schema("suite")
    for part in key:
        schema = (schema or {}).get("properties", {}).get(part)
    return schema


def _set(data: dict[str, Any], key: KeyPath, value: Any, where: str, origin: dict[KeyPath, str]) -> None:  # noqa: ANN401
    """Set a key of ``data``, and note in ``origin`` where it was set."""
    origin[key] = where
    section: Any = data
    for depth, part in enumerate(key[:-1]):
        section = section.setdefault(part, {})
        if not isinstance(section, dict):
            raise UsageError(f"{where}: '{dotted(key[: depth + 1])}' is a value, not a section")
    section[key[-1]] = value


def _check(file: YamlFile, data: dict[str, Any], origin: Mapping[KeyPath, str]) -> None:
    """Raise UsageError for what the schema refuses; ``origin`` says what has set a key, if not the file."""
    messages = []
    for key, message in schemas.problems("suite", data):
        sources = [where for path, where in origin.items() if path[: len(key)] == key or key[: len(path)] == path]
        where = sources[-1] if sources else file.where(key)
        messages.append(f"{where}: {_renamed_key(dotted(key)) or message}")
    if messages:
        raise UsageError("\n".join(messages))


def _renamed_key(key: str) -> str | None:
    return f"the key '{key}' is called '{RENAMED[key]}' since version 0.2.0" if key in RENAMED else None


def _combinations(file: YamlFile, matrix: Mapping[str, Any], origin: Mapping[KeyPath, str]) -> list[tuple[Choice, ...]]:
    """Return a choice on every axis for each case; ``origin`` has the keys that the command line sets.

    An axis is a key with a list of values, or any name with named choices, each of which sets some keys.
    """
    # A key that the command line sets has that value in every case, whatever the suite's matrix says.
    axes = [list(_axis(file, name, matrix[name], origin)) for name in matrix]
    axes = [choices for choices in axes if any(settings for _, settings in choices)]
    if (count := math.prod(map(len, axes))) > MAX_CASES:
        raise UsageError(f"{file.where(('matrix',))}: matrix: makes {count:,} cases; expected at most {MAX_CASES:,}")
    return list(itertools.product(*axes))


def _axis(file: YamlFile, name: str, values: Any, origin: Mapping[KeyPath, str]) -> Iterator[Choice]:  # noqa: ANN401
    """Yield the choices of one axis, without the keys that ``origin`` has."""
    for label, settings in _labelled(name, values):
        for key, (_, place) in settings.items():
            if _schema_of(tuple(key.split("."))) is None and not key.startswith("dataset.options."):
                problem = _renamed_key(key) or f"'{key}' is not a key of a suite"
                raise UsageError(f"{file.where(place)}: matrix: {problem}")
        yield f"{name}={label}", {key: one for key, one in settings.items() if tuple(key.split(".")) not in origin}


def _labelled(name: str, values: Any) -> Iterator[Choice]:  # noqa: ANN401
    """Yield the choices of one axis as they stand in the file, each under its own name or value."""
    if isinstance(values, list):
        for value in values:
            yield value if isinstance(value, str) else json.dumps(value), {name: (value, ("matrix", name))}
        return
    for label, settings in values.items():
        yield label, {key: (value, ("matrix", name, label, key)) for key, value in settings.items()}


def _case(file: YamlFile, base: dict[str, Any], choices: Sequence[Choice]) -> Case:
    data, origin = copy.deepcopy(base), dict[KeyPath, str]()
    for _, settings in choices:
        for name, (value, place) in settings.items():
            _set(data, tuple(name.split(".")), value, file.where(place), origin)
    _check(file, data, origin)
    data = schemas.fill_defaults(schemas.load_schema("suite"), data)
    label = ",".join(text for text, _ in choices)
    data |= {"suite": data["name"], "name": f"{data['name']}@{printable(label)}" if label else data["name"]}
    try:
        return from_plain(Case, data)
    except UsageError as error:  # limits in the wrong order
        key = ("train", *str(error).partition(":")[0].split("."))
        raise UsageError(f"{file.where(key)}: train.{error}") from None

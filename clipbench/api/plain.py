"""Dataclasses to plain JSON data and back: the one way in and out."""

import functools
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]

ABSENT = object()


def to_plain(value: Any) -> Any:  # noqa: ANN401
    """Return ``value`` as JSON has it: dataclasses as objects, tuples and arrays as lists, paths as text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: to_plain(getattr(value, name)) for name in _names(type(value))}
    if isinstance(value, Mapping):
        return {key: to_plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(inner) for inner in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    return value.tolist() if hasattr(value, "tolist") else value  # numpy's numbers and arrays, array.array


def from_plain(cls: type[T], data: Any) -> T:  # noqa: ANN401
    """Return the ``cls`` that plain ``data`` stands for; what ``to_plain`` gave comes back equal.

    A key that is absent takes the field's default; a key that ``cls`` does not know is left out. Types are not checked:
    that is a schema's work. Raises TypeError where a field without a default is absent, and for data of another shape.
    """
    read: Callable[[Any], T] = _reader(cls)  # type: ignore[arg-type]  # a type is hashable
    try:
        return read(data)
    except (AttributeError, ValueError) as error:  # a list where an object is expected, or with too few items
        raise TypeError(f"not data of a {cls.__name__}: {error}") from error


def value_at(data: Any, path: str, default: Any = None) -> Any:  # noqa: ANN401
    """Return what a dotted path leads to through mappings and dataclasses, or ``default``."""
    found = data
    for part in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(part, ABSENT)
        else:
            found = getattr(found, part, ABSENT) if is_dataclass(found) else ABSENT
        if found is ABSENT:
            return default
    return found


def leaves(section: Mapping[str, Any], prefix: str = "") -> typing.Iterator[tuple[str, Any]]:
    """Yield (dotted path, value) for every value of nested mappings; an empty mapping is a value."""
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def finite(value: object) -> float | None:
    """Return ``value`` as a float, or None for anything that is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


@functools.cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(item.name for item in fields(cls))


def _same(value: Any) -> Any:  # noqa: ANN401
    return value


@functools.cache
def _reader(hint: Any) -> Reader:  # noqa: ANN401
    """Return the function that makes a value of the type ``hint`` from plain data."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        readers = [_reader(one) for one in arguments if one is not type(None)]
        return _same if len(readers) > 1 else lambda data: None if data is None else readers[0](data)
    if isinstance(origin, type) and issubclass(origin, (Mapping, Sequence)):
        return _container(origin, [_reader(one) for one in arguments if one is not Ellipsis])
    if not isinstance(hint, type):
        return _same
    if is_dataclass(hint):
        return _dataclass(hint)
    if issubclass(hint, tuple) and hasattr(hint, "_fields"):
        return lambda data: hint(*data)
    return hint if issubclass(hint, (Path, Enum)) else _same


def _container(origin: type, readers: list[Reader]) -> Reader:
    *_, read = readers
    if issubclass(origin, Mapping):
        return lambda data: {key: read(value) for key, value in data.items()}
    if len(readers) > 1:
        return lambda data: tuple(read(value) for read, value in zip(readers, data, strict=True))
    make = tuple if origin is tuple else list
    return make if read is _same else lambda data: make(map(read, data))


def _dataclass(cls: Any) -> Reader:  # noqa: ANN401
    hints = get_type_hints(cls)
    given = [(item.name, _reader(hints[item.name])) for item in fields(cls)]
    required = [item.name for item in fields(cls) if item.default is MISSING and item.default_factory is MISSING]

    def read(data: Mapping[str, Any]) -> Any:  # noqa: ANN401
        if lacking := [name for name in required if name not in data]:
            raise TypeError(f"{cls.__name__} lacks {', '.join(lacking)}")
        return cls(**{name: inner(data[name]) for name, inner in given if name in data})

    return read

"""The schemas that ship with the package, and the sentences for what they refuse."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import TYPE_CHECKING, Any, cast

from clipbench.errors import did_you_mean, nearest

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Schema = dict[str, Any]
Problem = tuple[tuple[str | int, ...], str]

# What a keyword of JSON Schema expects, by its value.
EXPECTED: Mapping[str, str] = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "a text of at least {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "a text that matches {}",
}


@functools.cache
def load_schema(kind: str) -> Schema:
    """Return the JSON Schema of ``kind``: suite, result, reference, baseline or comparison."""
    text = resources.files(__name__).joinpath(f"{kind}.schema.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


@functools.cache
def _validator(kind: str) -> Validator:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    # JSON Schema takes 1e3 for an integer; Python, which counts with it, does not.
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    strict = extend(Draft202012Validator, type_checker=types)  # type: ignore[no-untyped-call]
    return strict(load_schema(kind))  # type: ignore[no-any-return]


class _Whole:
    """The keyword ``whole`` of the fast check, which takes 3.0 for an integer: a float is refused."""

    def __init__(self, *_: object) -> None: ...

    def validate(self, value: object) -> None:
        """Raise ValueError for a float."""
        if isinstance(value, float):
            raise ValueError("not a whole number")


def _with_whole(schema: Any, item: bool = False) -> Any:  # noqa: ANN401
    """Return ``schema`` with the keyword ``whole`` beside each type integer, but not for every item of a list."""
    if isinstance(schema, list):
        return [_with_whole(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    marked = {key: _with_whole(inner, key == "items") for key, inner in schema.items() if key != "$id"}
    return marked if item or "integer" not in schema.get("type", ()) else {**marked, "whole": True}


@functools.cache
def _fast_validator(kind: str) -> Any:  # noqa: ANN401
    import jsonschema_rs

    return jsonschema_rs.validator_for(_with_whole(load_schema(kind)), keywords={"whole": _Whole})


def is_valid(kind: str, data: Any) -> bool:  # noqa: ANN401
    """Return whether ``data`` is surely valid, in a thousandth of the time that jsonschema takes for a result."""
    try:
        return bool(_fast_validator(kind).is_valid(data))
    except ValueError:  # half a surrogate pair, a number of hundreds of digits, data nested too deeply
        return False


def problems(kind: str, data: Any) -> Iterator[Problem]:  # noqa: ANN401
    """Yield every way in which ``data`` breaks the schema of ``kind``: the key path, and a sentence for a person."""
    if is_valid(kind, data):
        return
    for error in sorted(_validator(kind).iter_errors(data), key=lambda error: list(map(str, error.absolute_path))):
        yield from _problems_of(error)


def dotted(key: tuple[str | int, ...]) -> str:
    """Return ``("train", "lr")`` as ``train.lr``; the top of a file as ``(top level)``."""
    return ".".join(str(part) for part in key) or "(top level)"


def _problems_of(error: ValidationError) -> Iterator[Problem]:
    key = tuple(error.absolute_path)
    schema: Any = error.schema
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = schema.get("properties", {})
        for name in (name for name in error.instance if name not in known):
            yield (*key, name), f"unknown key '{dotted((*key, name))}'; {did_you_mean(name, known)}"
    elif error.validator == "required":
        # One error for each missing key, which only its message names.
        name = next(name for name in schema["required"] if error.message.startswith(f"'{name}'"))
        yield key, f"{dotted((*key, name))}: missing"
    else:
        meaning = schema.get("description") if isinstance(schema, dict) else None
        sentence = f"{dotted(key)}: {_expectation(error)}, got {_short(error.instance)}"
        yield key, f"{sentence} ({meaning})" if meaning else sentence


def _expectation(error: ValidationError) -> str:
    keyword, value = str(error.validator), cast(Any, error.validator_value)
    if keyword == "type":
        return "expected " + (" or ".join(value) if isinstance(value, list) else str(value))
    if keyword == "enum":
        names = ["null" if choice is None else str(choice) for choice in value]
        near = nearest(str(error.instance), names)
        return f"expected one of {', '.join(names)}" + (f" (did you mean '{near}'?)" if near else "")
    return f"expected {EXPECTED[keyword].format(value)}" if keyword in EXPECTED else str(error.message)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def fill_defaults(schema: Schema, data: Any) -> Any:  # noqa: ANN401
    """Return ``data`` with every absent key for which the schema has a default; present values are kept."""
    if not isinstance(data, dict) or "properties" not in schema:
        return data
    filled = dict(data)
    for name, inner in schema["properties"].items():
        if name not in filled and "default" in inner:
            filled[name] = copy.deepcopy(inner["default"])
        if name in filled:
            filled[name] = fill_defaults(inner, filled[name])
    return filled

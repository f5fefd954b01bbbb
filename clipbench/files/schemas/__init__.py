"""The schemas that ship with the package, and how their refusals are put into words."""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Callable, Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Schema = dict[str, Any]


@functools.cache
def load_schema(kind: str) -> Schema:
    """The JSON Schema of ``kind``: suite, result or reference."""
    text = resources.files(__name__).joinpath(f"{kind}.schema.json").read_text(encoding="utf-8")
    schema: Schema = json.loads(text)
    return schema


@functools.cache
def _validator(kind: str) -> Validator:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    # JSON Schema takes 1e3 for an integer; Python, which counts with it, does not.
    types = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    validator: Validator = extend(Draft202012Validator, type_checker=types)(  # type: ignore[no-untyped-call]
        load_schema(kind)
    )
    return validator


@functools.cache
def _quick(kind: str) -> Callable[[Any], bool]:
    from clipbench.files.schemas.fast_path import compiled

    return compiled(load_schema(kind))


def problems(kind: str, data: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:  # noqa: ANN401
    """Every way in which ``data`` breaks the schema of ``kind``: the key path, and a sentence for a person."""
    if _quick(kind)(data):
        return
    for error in sorted(_validator(kind).iter_errors(data), key=lambda error: list(map(str, error.absolute_path))):
        yield from _in_words(error)


def dotted(key: tuple[str | int, ...]) -> str:
    """``("train", "lr")`` as ``train.lr``; the top of a file as ``(top level)``."""
    return ".".join(str(part) for part in key) or "(top level)"


def _in_words(error: ValidationError) -> Iterator[tuple[tuple[str | int, ...], str]]:
    key = tuple(error.absolute_path)
    schema: Any = error.schema
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(schema.get("properties", {}))
        for name in error.instance:
            if name in known:
                continue
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
            yield (*key, name), f"unknown key '{dotted((*key, name))}'; {hint}"
        return
    if error.validator == "required":
        # One error for each missing key; only its message says which.
        for name in schema["required"]:
            if str(error.message).startswith(f"'{name}'"):
                yield key, f"{dotted((*key, name))}: missing"
        return
    meaning = schema.get("description") if isinstance(schema, dict) else None
    said = f"{dotted(key)}: {_expected(error)}, got {_short(error.instance)}"
    yield key, f"{said} ({meaning})" if meaning else said


def _expected(error: ValidationError) -> str:
    value: Any = error.validator_value
    if error.validator == "type":
        return "expected " + (" or ".join(value) if isinstance(value, list) else str(value))
    if error.validator == "enum":
        names = [json.dumps(choice) if choice is None else str(choice) for choice in value]
        text = "expected one of " + ", ".join(names)
        near = difflib.get_close_matches(str(error.instance), names, n=1)
        return f"{text} (did you mean {near[0]}?)" if near else text
    limits = {
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "more than",
        "exclusiveMaximum": "less than",
    }
    if str(error.validator) in limits:
        return f"expected {limits[str(error.validator)]} {value}"
    if error.validator == "pattern":
        return f"expected a text that matches {value}"
    if error.validator in ("minItems", "maxItems"):
        return f"expected {limits['minimum'] if error.validator == 'minItems' else limits['maximum']} {value} items"
    return str(error.message)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."


def fill_defaults(schema: Schema, data: Any) -> Any:  # noqa: ANN401
    """``data`` with every absent key that the schema gives a default for; what is there is kept as it is."""
    if not isinstance(data, dict) or "properties" not in schema:
        return data
    filled = dict(data)
    for name, inner in schema["properties"].items():
        if name not in filled and "default" in inner:
            filled[name] = json.loads(json.dumps(inner["default"]))
        if name in filled:
            filled[name] = fill_defaults(inner, filled[name])
    return filled

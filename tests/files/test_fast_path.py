"""The fast check of results says yes to nothing that the schema refuses, and yes to what clipbench writes."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from clipbench.files.schemas import load_schema, problems
from clipbench.files.schemas.fast_path import compiled
from clipbench.results.result import result_data
from tests.support.report_results import make_result

RESULT = result_data(make_result(0, epochs=2, images=3))
SCHEMA = load_schema("result")
SURE = compiled(SCHEMA)
VALIDATOR = Draft202012Validator(SCHEMA)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.floats(-1, 2, allow_nan=False)
    | st.sampled_from(["", "completed", "failed", "2025-01-01T00:00:00Z", "float32", "a" * 64, "higher"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "epoch", "x"]), inner, max_size=3)
    ),
    max_leaves=4,
)


def places(data, path=()):
    """The path to every value within ``data``."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


PLACES = list(places(RESULT))


def changed(path, value, remove=False):
    data = copy.deepcopy(RESULT)
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    if remove:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return data


def test_a_result_is_sure():
    assert SURE(RESULT) and VALIDATOR.is_valid(RESULT)


def test_a_failed_result_is_sure():
    error = {"type": "Error", "message": "it broke", "exit_code": 4, "traceback": None}
    failed = {**RESULT, "status": "failed", "error": error, "environment": None, "query_ranks": None, "epochs": []}
    assert SURE(failed) and VALIDATOR.is_valid(failed)
    assert not SURE({**failed, "error": None}) and not SURE({**RESULT, "error": error})


@given(st.sampled_from(PLACES), values)
def test_what_is_sure_is_valid(path, value):
    data = changed(path, value)
    assert not SURE(data) or VALIDATOR.is_valid(data)


@given(st.sampled_from(PLACES))
def test_what_lacks_a_key_and_is_sure_is_valid(path):
    data = changed(path, None, remove=True)
    assert not SURE(data) or VALIDATOR.is_valid(data)


@given(st.sampled_from(PLACES), st.sampled_from(["a", None, -1, [], {}, "x" * 70]))
@settings(deadline=None)  # the first call imports jsonschema
def test_a_refusal_still_comes_in_words(path, value):
    data = changed(path, value)
    assert bool(list(problems("result", data))) == (not VALIDATOR.is_valid(data))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "date"},
        {"oneOf": [{"type": "string"}]},
        {"$ref": "https://example.com/schema"},
        {"if": {"type": "string"}, "then": {"minLength": 1}},
        {"type": "array", "prefixItems": [{"type": "string"}]},
        True,
    ],
)
def test_what_is_not_known_is_never_sure(schema):
    assert not compiled(schema)("text") and not compiled(schema)(["text"])


@given(values)
def test_equal_but_of_another_type_is_not_the_same_constant(value):
    sure = compiled({"enum": [1, True, None, "a"]})
    validator = Draft202012Validator({"enum": [1, True, None, "a"]})
    assert not sure(value) or validator.is_valid(value)


def test_json_numbers_are_told_from_booleans():
    sure = compiled({"type": "array", "items": {"type": "integer", "minimum": 0}})
    assert sure([0, 3]) and sure([]) and not sure([True]) and not sure([-1]) and not sure([json.loads("1.5")])

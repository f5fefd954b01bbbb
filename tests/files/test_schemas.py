"""The fast check accepts nothing that the schema refuses, and everything that clipbench writes."""

import copy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from clipbench.errors import InvalidFileError
from clipbench.files.schemas import is_valid, load_schema, problems
from clipbench.results.result import parse_result, result_data
from tests.support.report_results import make_result

RESULT = result_data(make_result(0, epochs=2, images=3))
VALIDATOR = Draft202012Validator(load_schema("result"))


def sure(data):
    return is_valid("result", data)


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
    assert sure(RESULT) and VALIDATOR.is_valid(RESULT)


def test_a_failed_result_is_sure():
    error = {"type": "Error", "message": "it broke", "exit_code": 4, "traceback": None}
    failed = {**RESULT, "status": "failed", "error": error, "environment": None, "query_ranks": None, "epochs": []}
    assert sure(failed) and VALIDATOR.is_valid(failed)
    assert not sure({**failed, "error": None}) and not sure({**RESULT, "error": error})


@given(st.sampled_from(PLACES), values)
def test_what_is_sure_is_valid(path, value):
    data = changed(path, value)
    assert not sure(data) or VALIDATOR.is_valid(data)


@given(st.sampled_from(PLACES))
def test_what_lacks_a_key_and_is_sure_is_valid(path):
    data = changed(path, None, remove=True)
    assert not sure(data) or VALIDATOR.is_valid(data)


@given(st.sampled_from(PLACES), st.sampled_from(["a", None, -1, [], {}, "x" * 70]))
def test_a_refusal_still_comes_in_words(path, value):
    data = changed(path, value)
    assert bool(list(problems("result", data))) == (not VALIDATOR.is_valid(data))


@pytest.mark.parametrize("value", ["\ud800", 10**400, 1e300])
def test_what_the_fast_check_cannot_read_is_left_to_the_slow_one(value):
    data = changed(("config", "odd"), value)
    assert not list(problems("result", data))


@pytest.mark.parametrize(("path", "value"), [(("seed",), 0.0), (("epochs", 0, "steps"), 3.0), (("seed",), True)])
def test_a_float_is_no_integer(path, value):
    assert not sure(changed(path, value))
    assert [key for key, _ in problems("result", changed(path, value))] == [path]


def test_a_rank_that_is_a_float_is_refused():
    with pytest.raises(InvalidFileError, match=r"mine.json: not a valid result: query_ranks.text: expected integers"):
        parse_result(changed(("query_ranks", "text", 0), 0.0), Path("mine.json"))

"""Dataclasses become plain JSON data and come back equal."""

import json
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipbench.api.plain import ABSENT, finite, from_plain, leaves, to_plain, value_at
from clipbench.api.result import EpochSeconds, Metric, Window
from clipbench.errors import ExitCode


@dataclass(frozen=True)
class Inner:
    name: str
    path: Path | None = None


@dataclass(frozen=True)
class Outer:
    inner: Inner
    maybe: Inner | None
    several: tuple[Inner, ...]
    by_name: dict[str, Inner]
    windows: tuple[Window, ...] = ()
    pair: tuple[int, float] = (0, 0.0)
    codes: list[ExitCode] = field(default_factory=list)
    free: Any = None


WHOLE = Outer(
    inner=Inner("a", Path("x/y")),
    maybe=None,
    several=(Inner("b"), Inner("c")),
    by_name={"d": Inner("d")},
    windows=(Window(3, 0.5, 0.1),),
    pair=(1, 2.5),
    codes=[ExitCode.NOT_READY],
    free={"any": [1, None]},
)


def test_what_went_out_comes_back_equal_through_json():
    assert from_plain(Outer, json.loads(json.dumps(to_plain(WHOLE)))) == WHOLE


def test_a_window_is_a_list_and_a_path_is_text():
    plain = to_plain(WHOLE)
    assert plain["windows"] == [[3, 0.5, 0.1]] and plain["inner"]["path"] == "x/y" and plain["codes"] == [5]


def test_numbers_and_arrays_of_numpy_are_plain():
    given = {"number": np.float32(0.5), "array": np.arange(3), "ranks": array("i", [4, 5])}
    assert to_plain(given) == {"number": 0.5, "array": [0, 1, 2], "ranks": [4, 5]}


def test_an_absent_key_takes_the_default_and_an_unknown_one_is_left_out():
    assert from_plain(Inner, {"name": "a", "colour": "red"}) == Inner("a")


def test_a_field_without_a_default_must_be_there():
    with pytest.raises(TypeError, match="EpochSeconds lacks eval"):
        from_plain(EpochSeconds, {"train": 1.0})


@given(st.none() | st.floats() | st.integers(), st.none() | st.text())
def test_a_metric_comes_back_as_it_was(value, reason):
    made = Metric(value, "percent", "higher", reason)
    assert repr(from_plain(Metric, to_plain(made))) == repr(made)


@pytest.mark.parametrize(
    ("path", "value"),
    [("maybe", None), ("inner.name", "a"), ("free.any", [1, None]), ("by_name.d.name", "d"), ("inner.age", "absent"),
     ("inner.name.first", "absent"), ("free.none.at.all", "absent")],
)  # fmt: skip
def test_a_dotted_path_leads_through_dataclasses_and_mappings(path, value):
    assert value_at(WHOLE, path, "absent") == value


def test_a_null_is_not_absent():
    assert value_at({"a": None}, "a", ABSENT) is None and value_at({}, "a", ABSENT) is ABSENT


def test_leaves_are_every_value_with_its_path():
    assert list(leaves({"a": {"b": 1, "c": {}}, "d": [2]})) == [("a.b", 1), ("a.c", {}), ("d", [2])]


@pytest.mark.parametrize("value", [None, True, "1", float("nan"), float("inf"), 10**400, [1]])
def test_only_finite_numbers_are_finite(value):
    assert finite(value) is None


def test_a_finite_number_is_a_float():
    assert finite(3) == 3.0 and isinstance(finite(3), float)

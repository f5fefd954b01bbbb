"""Every member of a protocol has a docstring and is on the page for authors of plugins, and so is every event."""

import inspect
import re
from pathlib import Path

import pytest

from clipbench.api import protocols
from clipbench.api.events import EVENTS

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
PROTOCOLS = (
    *("Dataset", "Split", "ClassifiedSplit", "Tokenizer", "Device", "Engine", "Loader", "Learner", "Group"),
    *("Evaluation", "Meter", "Observer"),
)


def members(protocol):
    """Each member as the page writes it: ``name``, or ``name(parameter, ...)``."""
    names = {name: name for name in protocol.__annotations__}
    for name, value in vars(protocol).items():
        if isinstance(value, property):
            names[name] = name
        elif inspect.isfunction(value) and (name == "__len__" or not name.startswith("_")):
            names[name] = f"{name}({', '.join(list(inspect.signature(value).parameters)[1:])})"
    return names


def test_every_protocol_is_looked_at():
    classes = {name for name, value in vars(protocols).items() if getattr(value, "_is_protocol", False)}
    assert classes - {"Protocol"} == set(PROTOCOLS)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_member_is_in_the_table_of_its_protocol(name):
    section = PAGE.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `(.+?)` \| .+ \|$", section, re.M)
    assert rows == list(members(getattr(protocols, name)).values())


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_member_has_a_docstring(name):
    protocol = getattr(protocols, name)
    for member in set(members(protocol)) - set(protocol.__annotations__):
        assert inspect.getdoc(vars(protocol)[member]).endswith("."), member


def test_each_event_is_listed_and_documented():
    section = PAGE.partition("\n## An observer\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \| .+ \|$", section, re.M)) == set(EVENTS)
    assert all(inspect.getdoc(event) for event in EVENTS.values())

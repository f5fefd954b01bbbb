"""Every hook is documented under its exact signature and has an example."""

import ast
import inspect
import re
from pathlib import Path

import pytest

from clipbench.api import hookspecs

PAGE = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
HOOKS = {name: function for name, function in vars(hookspecs).items() if name.startswith("clipbench_")}
SECTIONS = dict(re.findall(r"^### `(.+?)`\n(.*?)(?=^### |\Z)", PAGE, re.M | re.S))


def signature(function):
    """The signature as it is in the source, with annotations."""
    node = ast.parse(inspect.getsource(function)).body[0]
    return f"{node.name}({ast.unparse(node.args)}) -> {ast.unparse(node.returns)}"


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_has_a_heading_equal_to_its_signature_and_an_example(name):
    section = SECTIONS[signature(HOOKS[name])]
    (example,) = re.findall(r"```python\n(.*?)```", section, re.S)
    (function,) = ast.parse(example).body
    assert function.name == name
    offered = set(inspect.signature(HOOKS[name]).parameters)
    assert {argument.arg for argument in function.args.args} <= offered


def test_no_heading_is_left_over():
    assert {heading.partition("(")[0] for heading in SECTIONS} == set(HOOKS)


@pytest.mark.parametrize("name", HOOKS)
def test_each_hook_has_a_docstring(name):
    assert inspect.getdoc(HOOKS[name]).endswith(".")

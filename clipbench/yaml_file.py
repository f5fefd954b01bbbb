"""YAML as people write it, with the line of every key, and nothing that could surprise or explode."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from clipbench.errors import UsageError

MAX_BYTES = 1_000_000
MAX_NODES = 100_000

KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """The safe loader, reading `1e-6` as the number that its writer meant (YAML 1.1 wants `1.0e-6`)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class YamlFile:
    """A parsed file: its data, and the line (from 1) of every key path."""

    path: Path
    data: Any
    lines: dict[KeyPath, int]

    def where(self, key: KeyPath) -> str:
        """``file:line`` of a key, or of the nearest enclosing key that is written in the file."""
        for length in range(len(key), 0, -1):
            if key[:length] in self.lines:
                return f"{self.path}:{self.lines[key[:length]]}"
        return f"{self.path}"


def read_yaml(path: Path) -> YamlFile:
    """Read one document; anything that is not plain data is a UsageError with its line and column."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: larger than {MAX_BYTES:,} bytes; expected a suite")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder; expected a YAML file") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None
    lines: dict[KeyPath, int] = {}
    return YamlFile(path, _parse(text, str(path), lines), lines)


def parse_value(text: str, where: str) -> Any:  # noqa: ANN401
    """One value as a suite would have it: ``3``, ``1e-6``, ``true``, ``null``, ``[1, 2]`` or a string."""
    return _parse(text, where, {})


def _parse(text: str, where: str, lines: dict[KeyPath, int]) -> Any:  # noqa: ANN401
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return None if node is None else _Builder(loader, where, lines).build(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UsageError(f"{where}{at}: not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: not valid YAML: {error}") from None
    except RecursionError:
        raise UsageError(f"{where}: nested too deeply") from None


class _Builder:
    """Turns YAML nodes into plain data, noting lines and refusing duplicates, tags and explosions."""

    def __init__(self, loader: _Loader, where: str, lines: dict[KeyPath, int]) -> None:
        self.loader, self.where, self.lines, self.nodes = loader, where, lines, 0

    def refuse(self, node: yaml.Node, why: str) -> UsageError:
        mark = node.start_mark
        return UsageError(f"{self.where}:{mark.line + 1}:{mark.column + 1}: {why}")

    def build(self, node: yaml.Node, key: KeyPath) -> Any:  # noqa: ANN401
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.refuse(node, f"more than {MAX_NODES:,} values once aliases are expanded")
        if not node.tag.startswith("tag:yaml.org,2002:") or "python" in node.tag:
            raise self.refuse(node, f"tag {node.tag} is not allowed; write plain values")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*key, index)) for index, child in enumerate(node.value)]
        try:
            value = self.loader.construct_object(node)
        except (ValueError, OverflowError) as error:
            raise self.refuse(node, str(error)) from None
        if isinstance(value, float) and not math.isfinite(value):
            raise self.refuse(node, f"{node.value} is not a finite number")
        if value is not None and not isinstance(value, (str, int, float, bool)):
            return node.value  # a date, say: no key takes one, so it stays the text that was written
        return value

    def mapping(self, node: yaml.MappingNode, key: KeyPath) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                raise self.refuse(name_node, "a key must be plain text")
            name = name_node.value
            if name in data:
                raise self.refuse(name_node, f"key '{name}' is given twice")
            inner = (*key, name)
            self.lines[inner] = name_node.start_mark.line + 1
            data[name] = self.build(value_node, inner)
        return data

"""YAML as people write it, with the line of every key; tags, repeated keys and huge files are refused."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError
from yaml.scanner import ScannerError

from clipbench.errors import UsageError

# A hundred times the longest suite that ships; PyYAML takes two seconds for it.
MAX_BYTES = 250_000
MAX_NODES = 100_000
MAX_DEPTH = 50
MAX_INTEGER = 2**64

KeyPath = tuple[str | int, ...]
Mark = tuple[int, int]

# The types that plain text is read as; a date, which no key takes, stays text.
_TAGS = [f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")]
EMPTY = "the value is empty; write null where there is to be none"
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9_]*)")


class _Loader(yaml.SafeLoader):
    """The safe loader, which reads `1e-6` as a number too (YAML 1.1 asks for `1.0e-6`).

    It notes where every key is written, and refuses repeated keys, tags and endless aliases.
    """

    def __init__(self, text: str, where: str, places: dict[KeyPath, Mark]) -> None:
        super().__init__(text)
        self.where, self.places, self.nodes = where, places, 0

    def fetch_flow_collection_start(self, token: type) -> None:
        """Refuse deeply nested brackets, for which PyYAML takes ever longer."""
        if self.flow_level >= MAX_DEPTH:
            raise ScannerError(None, None, "nested too deeply", self.get_mark())
        super().fetch_flow_collection_start(token)

    def refuse(self, node: yaml.Node, why: str) -> UsageError:
        """Return the error that names the place of ``node``."""
        return UsageError(f"{self.where}{_at(node.start_mark)}: {why}")

    def plain(self, node: yaml.Node, key: KeyPath) -> Any:  # noqa: ANN401
        """Return the plain data that ``node`` stands for."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise self.refuse(node, f"more than {MAX_NODES:,} values once aliases are expanded")
        if node.tag not in _TAGS:
            raise self.refuse(node, f"tag {_short(node.tag)} is not allowed; write plain values")
        if isinstance(node, yaml.MappingNode):
            return self.plain_mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self.marked((*key, index), child, child) for index, child in enumerate(node.value)]
        return self.plain_scalar(node)

    def plain_mapping(self, node: yaml.MappingNode, key: KeyPath) -> dict[str, Any]:
        """Return a mapping, whose keys are texts as they are written."""
        data: dict[str, Any] = {}
        for name_node, value_node in node.value:
            if not isinstance(name_node, yaml.ScalarNode):
                raise self.refuse(name_node, "a key must be plain text")
            if name_node.value in data:
                raise self.refuse(name_node, f"key '{_short(name_node.value)}' is given twice")
            data[name_node.value] = self.marked((*key, name_node.value), name_node, value_node)
        return data

    def marked(self, key: KeyPath, place: yaml.Node, node: yaml.Node) -> Any:  # noqa: ANN401
        """Return the value of ``node``; the messages on it name the line and column of ``place``."""
        self.places[key] = (place.start_mark.line + 1, place.start_mark.column + 1)
        return self.plain(node, key)

    def plain_scalar(self, node: yaml.Node) -> Any:  # noqa: ANN401
        """Return a text, number, truth value or None.

        Refuses an empty value, huge numbers, and what YAML 1.1 reads as another number than is meant: 010 as 8, 1:30 as
        90.
        """
        text = _short(node.value)
        if not node.value and node.tag.endswith(":null"):  # nothing after the colon
            raise self.refuse(node, EMPTY)
        try:
            value = self.construct_object(node)
        except yaml.MarkedYAMLError:
            raise
        except Exception:  # a text that is not of its tag's type: !!int x, or a date in month 13
            raise self.refuse(node, f"{text} is not a value of the type {node.tag.rpartition(':')[2]}") from None
        if type(value) is float and not math.isfinite(value):
            raise self.refuse(node, f"{text} is not a finite number")
        if type(value) is int and not _DECIMAL.fullmatch(node.value):
            raise self.refuse(node, f"{text} would be read as {_short(str(value))}; write it in decimal")
        if type(value) is int and abs(value) > MAX_INTEGER:
            raise self.refuse(node, f"{text} is out of range")
        # Anything else is a date: no key takes one, so it stays the text that was written.
        return value if isinstance(value, (str, int, float, type(None))) else node.value


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class YamlFile:
    """A parsed file: its data, and the line and column (from 1) of every key and list item, by key path."""

    path: Path
    data: Any
    marks: dict[KeyPath, Mark]

    def where(self, key: KeyPath) -> str:
        """Return ``file:line:column`` of a key, or of the nearest enclosing one that is written in the file."""
        while key not in self.marks:
            key = key[:-1]
        line, column = self.marks[key]
        return f"{self.path}:{line}:{column}"


def read_yaml(path: Path) -> YamlFile:
    """Return one document; raise UsageError, with line and column, for anything that is not plain data."""
    marks: dict[KeyPath, Mark] = {(): (1, 1)}
    return YamlFile(path, _parse(_read_text(path), str(path), marks), marks)


def parse_value(text: str, where: str) -> Any:  # noqa: ANN401
    """Return one value as a suite would have it: ``3``, ``1e-6``, ``true``, ``null``, ``[1, 2]`` or a text."""
    if not text.strip():
        raise UsageError(f"{where}: {EMPTY}")
    return _parse(text, where, {})


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "not a regular file"
            raise UsageError(f"{path}: is {what}; expected a YAML file")
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: larger than {MAX_BYTES:,} bytes; expected a suite")
        content = path.read_bytes()
        return content.decode("utf-8-sig")  # editors on Windows put a byte-order mark first
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        at = _place(content[: error.start].decode("utf-8", "replace"))
        raise UsageError(f"{path}:{at}: not UTF-8 ({error.reason}); save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(text: str, where: str, marks: dict[KeyPath, Mark]) -> Any:  # noqa: ANN401
    loader = None
    try:
        loader = _Loader(text, where, marks)
        node = loader.get_single_node()
        return None if node is None else loader.plain(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UsageError(f"{where}{_at(mark)}: not valid YAML: {error.problem or error.context}") from None
    except ReaderError as error:
        place = _place(text[: error.position])
        raise UsageError(f"{where}:{place}: not valid YAML: {text[error.position]!r} is not allowed") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: not valid YAML: {error}") from None
    except RecursionError:
        raise UsageError(f"{where}{_at(loader)}: nested too deeply") from None


def _at(mark: yaml.Mark | _Loader | None) -> str:
    """Return ``:line:column`` of a mark, or of where a loader is, counted from 1."""
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _place(before: str) -> str:
    """Return ``line:column`` of what follows this text."""
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
